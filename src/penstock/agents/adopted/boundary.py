"""Where an adopted agent meets the world: each question to its model and each call of its tools is a step, one after the other.

The framework's own code runs between the steps, again after every crash, with what was journalled given back to it. So it must do the same
each time. What it asks is compared with what was asked when the step was made; a framework that went another way is told so, instead of
being given an answer to another question.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from typing import Any

import msgspec
from msgspec import Struct

from penstock.agents.flow import LimitReached, called
from penstock.agents.limits import Limits
from penstock.agents.model import Model, Question, Said
from penstock.agents.patience import PATIENT, pause_of
from penstock.agents.performing import Outcome, told
from penstock.agents.running import Ended, Running
from penstock.agents.startable import Startable
from penstock.agents.tools import Effect, Tool, ToolContext
from penstock.kernel.errors import PenstockError
from penstock.kernel.journal import current_step

CARRIED = ("model", "messages", "tools", "stream", "stream_options")
"""What of a request is not handed on as a parameter as it stands."""


class Diverged(PenstockError):
    """An adopted agent did something else than when its steps were made: something in it depends on the clock, on chance or on order."""

    default_code = "agent_diverged"


class NotAnswered(PenstockError):
    """Its model could not be asked; the code is that of the line."""


class Asked(Struct, frozen=True):
    """What is journalled of a question: a digest of what was asked, and what was said."""

    mark: str
    said: Said


class Boundary:
    """That of one run of the agent ``name``."""

    def __init__(self, running: Running, name: str, model: Model) -> None:
        self._running = running
        self._name = name
        self._model = model
        self._turn = asyncio.Lock()
        self.broken: Exception | None = None
        """What ended the run, whatever the framework makes of it."""

    async def ask(self, body: Mapping[str, Any]) -> Said:
        """Answer a chat completion's body. Raises `NotAnswered`, `LimitReached`, `Diverged`."""
        if current_step.get() is not None:
            # A tool that asks a model by itself: done again with the tool, as whatever else it does.
            said = await self._model.say(self._question(body))
            if said.error:
                raise NotAnswered(said.message or said.error, code=said.error)
            return said
        async with self._turn:
            return await self._kept(self._asked(body))

    async def call(self, tool: Tool[..., Any], arguments: Mapping[str, Any], call: str) -> Outcome:
        """Call a tool once, whatever crashes. Inside another tool nobody can be asked about it, so only what reads is called there, as a
        part of that one. Raises `LimitReached`."""
        if current_step.get() is not None:
            if tool.effect == "read":
                return await self._running.part(tool, arguments)
            said = f"{tool.name} changes something, and inside another tool nobody is asked for it: let the agent itself call it"
            return Outcome(state="failed", text=said, code="not_durable_here")
        async with self._turn:
            return await self._kept(self._called(tool, arguments, call))

    async def _kept(self, work: Coroutine[Any, Any, Any]) -> Any:
        if self.broken is not None:
            work.close()
            raise self.broken
        try:
            return await work
        except Exception as fault:
            # A framework that catches it and goes on would only be told the same again.
            self.broken = fault
            raise

    async def _asked(self, body: Mapping[str, Any]) -> Said:
        running, failures, mark = self._running, 0, _mark(body)
        while True:
            limit = running.no_question()
            if limit is not None:
                raise LimitReached(limit)
            found = msgspec.convert(await running.run.step("model", self._say, body, mark, retry=PATIENT), Asked)
            if found.mark != mark:
                raise Diverged(
                    f"{self._name} asked its model something else than before it was interrupted: what it does between its questions must "
                    "not depend on the time, on chance, or on which of several things is over first"
                )
            said = found.said
            running.asked(said)
            if not said.error:
                return said
            failures += 1
            pause = pause_of(failures, said.again)
            if pause is None:
                raise NotAnswered(said.message or said.error, code=said.error)
            await running.pause(pause)

    async def _called(self, tool: Tool[..., Any], arguments: Mapping[str, Any], call: str) -> Outcome:
        limit = self._running.reached()
        if limit is not None:
            raise LimitReached(limit)
        ((_, outcome),) = await self._running.perform([self._running.want(0, call, tool, dict(arguments))])
        return outcome

    async def _say(self, body: Mapping[str, Any], mark: str) -> Any:
        return msgspec.to_builtins(Asked(mark, await self._model.say(self._question(body))))

    def _question(self, body: Mapping[str, Any]) -> Question:
        running = self._running
        limits = running.limits
        params = {name: value for name, value in body.items() if name not in CARRIED}
        return Question(
            model=str(body.get("model", "")),
            messages=body.get("messages", ()),
            tools=body.get("tools", ()),
            params=params,
            max_tokens=None if limits.tokens is None else max(1, limits.tokens - running.spent.tokens),
            seconds=running.left_seconds(),
            key=running.start.key,
            labels={"run": running.run.id, "agent": self._name},
        )


BOUNDARY: ContextVar[Boundary | None] = ContextVar("penstock_boundary", default=None)
"""That of the run which the caller is part of."""

Go = Callable[[Any], Awaitable[Any]]


class Adopted(Startable):
    """An agent of another framework. ``go`` has the framework answer an input, within `BOUNDARY`."""

    kind = "agent"

    def __init__(
        self,
        name: str,
        go: Go,
        *,
        model: str,
        tools: Mapping[str, Effect],
        description: str = "",
        output: Any = str,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(
            name, description=description or f"Ask the agent {name}.", limits=(limits or Limits()).filled(), arguments=None, output=output
        )
        self.model = model
        self.tools = dict(tools)
        self._go = go

    async def run_in(self, running: Running, model: Model) -> Ended:
        """One run of it. Only faults of the journal itself are raised."""
        await running.begin()
        boundary = Boundary(running, self.name, model)
        token = BOUNDARY.set(boundary)
        try:
            output = await self._go(running.start.input)
            if boundary.broken is not None:
                raise boundary.broken
            return running.ended("done", output=msgspec.to_builtins(output))
        except Exception as fault:  # whatever the framework raises is how its run ended
            return _ended(running, boundary.broken or fault, broken=boundary.broken is not None)
        finally:
            BOUNDARY.reset(token)

    def __call__(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Have it done by a run of its own, below the workflow that calls, and wait for the answer. Raises `StepFailed` without one."""
        return called(self, args, kwargs)


def _ended(running: Running, fault: Exception, *, broken: bool) -> Ended:
    match fault:
        case LimitReached():
            return running.ended("limit", f"limit_{fault.limit}", str(fault))
        case NotAnswered() | Diverged():
            return running.ended("failed", fault.code, fault.message)
        case _ if broken:
            raise fault  # the journal's
        case _:
            return running.ended("failed", "agent_failed", told(fault))


def durable(name: str, effect: Effect, call: Callable[[], Awaitable[Any]], description: str = "") -> Tool[..., Any]:
    """One call of a framework's tool as a tool of ours: its arguments are bound in ``call``, and journalled beside it."""

    async def once(_arguments: dict[str, Any], _context: ToolContext) -> Any:
        return await call()

    return Tool(once, effect=effect, name=name, description=description or name, schema={"type": "object"})


def effect_of(name: str, effects: Mapping[str, Effect], usual: Effect) -> Effect:
    """What a tool does to the world, where somebody has said so."""
    return effects.get(name, usual)


def value_of(outcome: Outcome) -> Any:
    """What a call that is done gave, as JSON values; the same the first time and when it is read back."""
    return outcome.text if outcome.plain or outcome.cut else msgspec.json.decode(outcome.text)


def _mark(body: Mapping[str, Any]) -> str:
    """What a question is recognised by: how long the conversation is and what was said last. Not by its instructions, in which many
    frameworks put the time of day."""
    messages = body.get("messages") or [None]
    named = [body.get("model"), len(messages), messages[-1]]
    return hashlib.sha256(msgspec.json.encode(named, order="deterministic")).hexdigest()[:16]

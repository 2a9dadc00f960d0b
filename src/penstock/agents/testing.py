"""Trying agents, tools and workflows out in a test, without a server, a journal or a model: `Trial`.

A tool is a function and needs none of this. What waits does not wait: a sleep is over at once, and whoever is asked answers at once.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

import msgspec

from penstock.agents.adopted.boundary import Adopted
from penstock.agents.asking import Journalled
from penstock.agents.definition import Agent
from penstock.agents.flow import Heard
from penstock.agents.here import OUTSIDE
from penstock.agents.loop import Loop
from penstock.agents.model import Question, Said, ToolCall
from penstock.agents.occasions import fits
from penstock.agents.performing import Performing
from penstock.agents.running import Ended, Running, Start
from penstock.agents.startable import Startable
from penstock.agents.tools import Tool
from penstock.agents.workflows import Workflow, go
from penstock.kernel.agents import ASK, AgentRequest
from penstock.kernel.errors import NotFound, PenstockError, StepFailed
from penstock.kernel.journal import Retry, Run, StepKey, current_step
from penstock.logs import redact

Turn = Said | str | Callable[[Question], Said | str]
Answer = Any | Callable[[AgentRequest], Any]


def calls(*wanted: tuple[str, Mapping[str, Any] | str], cost: int = 10, tokens: int = 5) -> Said:
    """A turn that asks for tools; arguments that are a text are sent as they are."""
    made = [
        ToolCall(id=f"c{n}", name=name, arguments=given if isinstance(given, str) else json.dumps(given))
        for n, (name, given) in enumerate(wanted)
    ]
    return Said(calls=tuple(made), cost=cost, tokens=tokens)


def says(text: str, cost: int = 10, tokens: int = 5) -> Said:
    """A turn that ends the conversation."""
    return Said(text=text, cost=cost, tokens=tokens)


class Script:
    """A model that says the turn that follows those already in the conversation, by the name of the agent; the last again and again."""

    def __init__(self, turns: Mapping[str, Sequence[Turn]]) -> None:
        self.turns = turns
        self.asked: list[Question] = []

    async def say(self, question: Question) -> Said:
        # As a provider would see it: what was asked does not change afterwards.
        question = msgspec.convert(msgspec.to_builtins(question), Question)
        self.asked.append(question)
        script = self.turns.get(question.labels["agent"])
        if not script:
            raise AssertionError(f"the agent {question.labels['agent']} was asked, and the trial has no turns for it")
        said = sum(message["role"] == "assistant" for message in question.messages)
        turn = script[min(said, len(script) - 1)]
        turn = turn(question) if callable(turn) else turn
        return msgspec.structs.replace(says(turn) if isinstance(turn, str) else turn, at=time.time())


class NotRepeated(AssertionError):
    """A workflow that was executed again did something else than before: it looked at a clock, at chance, at what changes."""


class Trial:
    """What runs need, in memory. Within it agents and workflows can be called as they are::

        async with Trial(desk=["It is on its way."]) as trial:
            assert await desk("Where is 7?") == "It is on its way."

    ``turns`` are what each agent's model says, by the agent's name. ``people`` are the answers of those who are asked, in order; an
    answer may be a function of the request, and None is no answer in time. ``events`` are the data of events by name, each heard once.
    ``toolboxes`` are the tools of those that agents take by name, as their settings' would be.
    Each workflow is executed a second time when it has ended, with what it journalled; what differs then raises `NotRepeated`.
    """

    def __init__(
        self,
        *,
        people: Sequence[Answer] = (),
        events: Mapping[str, Sequence[Any]] | None = None,
        repeat: bool = True,
        toolboxes: Mapping[str, Sequence[Tool[..., Any]]] | None = None,
        **turns: Sequence[Turn],
    ) -> None:
        self.model = Script(turns)
        self.performing = Performing()
        self.people = deque(people)
        self.events = {name: deque(msgspec.to_builtins(given)) for name, given in (events or {}).items()}
        self.repeat = repeat
        self.toolboxes = toolboxes or {}
        self.requests: list[AgentRequest] = []
        """What people were asked."""
        self.slept: list[float] = []
        """What was slept, in seconds."""
        self.runs: list[MemoryRun] = []
        self.startables: dict[str, Startable] = {}
        self._token: Any = None

    @property
    def asked(self) -> list[Question]:
        """What models were asked."""
        return self.model.asked

    async def __aenter__(self) -> Self:
        self._token = OUTSIDE.set(self._outside)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        OUTSIDE.reset(self._token)

    async def _outside(self, one: Startable, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        ended = await self.start(one, *args, **kwargs)
        if ended.state != "done":
            raise StepFailed(ended.message or f"{one.name} ended as {ended.state}", kind=ended.state, step_code=ended.code)
        return one.typed(ended.output)

    async def start(self, one: Startable, *args: Any, **kwargs: Any) -> Ended:
        """Run it; how it ended, whatever that is."""
        return await self.execute(one, Start(input=one.bound(args, kwargs), key="key", person="person"), {one.kind: one.name})

    async def execute(self, one: Startable, start: Start, labels: Mapping[str, str]) -> Ended:
        """One run from its beginning to its end."""
        run = MemoryRun(self, f"run_{len(self.runs)}", labels)
        self.runs.append(run)
        ended = await self._once(one, start, run)
        if self.repeat:
            again = await self._once(one, start, run.again())
            if again != ended:
                raise NotRepeated(f"{one.name} ended as {ended}, and when it was executed again as {again}")
        return ended

    async def _once(self, one: Startable, start: Start, run: MemoryRun) -> Ended:
        if isinstance(one, Agent):
            one.fill(self.toolboxes)
            for other in one.agents.values():
                self._meet(other)
            return await Loop(one, run, start, self.model, self.performing).go()
        running = Running(run, start, one.limits, self.performing, one.name)
        if isinstance(one, Adopted):
            return await one.run_in(running, self.model)
        if not isinstance(one, Workflow):
            raise TypeError(f"{type(one).__name__} cannot be tried")
        return await go(cast("Workflow[..., Any]", one), running, Journalled(), _Occasions(self), self._meet)

    def _meet(self, one: Startable) -> None:
        """What code has in hand may be run: it need not be made known."""
        self.startables[one.run] = one


class _Occasions:
    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    async def listen(
        self, wait: str, run: Run, topic: str, name: str, where: Mapping[str, Any], after: float, but: Sequence[str]
    ) -> Heard | None:
        sent = self._trial.events.get(name, deque[Any]())
        for data in sent:
            if fits(data, where):
                sent.remove(data)
                return Heard(id=wait, data=data, at=time.time())
        return None

    async def leave(self, wait: str) -> None:
        return None


class MemoryRun:
    """A run that is kept in memory: `penstock.kernel.journal.Run`. ``steps`` are what it did, in order: kind, name, result."""

    organisation = "organisation"

    def __init__(self, trial: Trial, id: str, labels: Mapping[str, str], kept: Sequence[tuple[str, str, Any]] = ()) -> None:
        self.id = id
        self.labels = labels
        self.steps: list[tuple[str, str, Any]] = []
        self._trial = trial
        self._kept = kept
        self._signals: dict[str, deque[Any]] = defaultdict(deque)
        self._requests: dict[str, AgentRequest] = {}

    def again(self) -> MemoryRun:
        """The run as it is executed a second time, with everything that it did read back."""
        return MemoryRun(self._trial, self.id, self.labels, tuple(self.steps))

    async def step(self, name: str, function: Callable[..., Any], *args: Any, retry: Retry = Retry()) -> Any:  # noqa: B008 # frozen
        key = StepKey(run=self.id, organisation=self.organisation, number=len(self.steps) + 1, name=name)

        async def tried() -> Any:
            token = current_step.set(key)
            try:
                for attempt in range(1, retry.attempts + 1):
                    try:
                        return ["done", msgspec.json.decode(msgspec.json.encode(await _value(function, args, {})))]
                    except Exception as fault:  # whatever a step raises is its result
                        if isinstance(fault, AssertionError):
                            raise  # it is about the test itself
                        if attempt == retry.attempts:
                            code = fault.code if isinstance(fault, PenstockError) else None
                            return ["failed", redact(str(fault)) or type(fault).__name__, type(fault).__name__, code]
            finally:
                current_step.reset(token)
            raise AssertionError

        result = await self._did("step", name, tried)
        if result[0] == "failed":
            raise StepFailed(result[1], kind=result[2], step_code=result[3])
        if name == ASK:
            request = msgspec.convert(result[1], AgentRequest)
            self._requests[f"request/{request.id}"] = request
        return result[1]

    async def sleep(self, seconds: float) -> None:
        async def slept() -> None:
            self._trial.slept.append(seconds)

        await self._did("sleep", "sleep", slept)

    async def wait(self, topic: str, timeout: float | None = None) -> Any:
        async def waited() -> Any:
            request = self._requests.get(topic)
            if request is None or not self._trial.people:
                if timeout is None:
                    raise AssertionError(f"{self.id} waits for ever: nobody answers, and nothing is sent; see Trial(people=, events=)")
                return None
            self._trial.requests.append(request)
            answer = self._trial.people.popleft()
            answer = answer(request) if callable(answer) else answer
            return None if answer is None else [{"value": msgspec.to_builtins(answer), "by": "person", "at": time.time()}]

        held = await self._did("wait", topic, waited)
        if held is None:
            raise TimeoutError(f"nothing was signalled under {topic!r} within {timeout} s")
        return held[0]

    async def child(
        self,
        name: str,
        input: Any = None,
        *,
        queue: str | None = None,
        priority: int = 0,
        labels: Mapping[str, str] | None = None,
    ) -> MemoryChild:
        del queue, priority

        async def started() -> str:
            return f"{self.id}-{len(self.steps) + 1}"

        place = len(self.steps)
        id = await self._did("child", name, started)
        if place < len(self._kept):
            return MemoryChild(self, id, None)
        one = self._trial.startables.get(name)
        if one is None:
            raise NotFound(f"no run is defined under the name {name!r}", param="name")
        work = asyncio.create_task(self._trial.execute(one, msgspec.convert(input, Start), labels or {}))
        return MemoryChild(self, id, work)

    async def write(self, stream: str, value: Any) -> None:
        async def written() -> Any:
            return value

        await self._did("write", stream, written)

    async def _did(self, kind: str, name: str, do: Callable[[], Awaitable[Any]]) -> Any:
        place = len(self.steps)
        self.steps.append((kind, name, None))
        if place < len(self._kept):
            before = self._kept[place]
            if before[:2] != (kind, name):
                raise NotRepeated(f"{self.id} did {kind} {name} as its number {place + 1}, and {before[0]} {before[1]} the first time")
            self.steps[place] = before
            return before[2]
        if self._kept:
            raise NotRepeated(f"{self.id} did {kind} {name} as its number {place + 1}, and nothing more the first time")
        result = await do()
        self.steps[place] = (kind, name, result)
        return result


class MemoryChild:
    """A run below another one: `penstock.kernel.journal.Child`."""

    def __init__(self, run: MemoryRun, id: str, work: asyncio.Task[Ended] | None) -> None:
        self.id = id
        self._run = run
        self._work = work

    async def result(self) -> Any:
        """How it ended, as the journal would give it."""

        async def waited() -> Any:
            assert self._work is not None
            return msgspec.to_builtins(await self._work)

        return await self._run._did("result", self.id, waited)  # type: ignore[reportPrivateUsage]


async def _value(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    value = function(*args, **kwargs)
    return await value if inspect.isawaitable(value) else value

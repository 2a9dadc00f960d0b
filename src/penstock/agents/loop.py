"""An agent at work: ask its model, call the tools that it asks for, and again, until there is an answer or a limit is reached.

All that happens is a step of a durable run: each question, each call of a tool, each wait. What a step gives is journalled once, and the
conversation is put together from those pieces, so that the journal grows with what was said and not with its square. A process that dies
is followed by another, which reads back what was done and goes on with what was not.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from penstock.agents.definition import Agent, BadOutput, Delegated
from penstock.agents.limits import Limits, Spent
from penstock.agents.model import Message, Model, Question, Said, ToolCall
from penstock.agents.performing import Outcome, Performing
from penstock.agents.tools import BadArguments, Tool, ToolContext
from penstock.kernel.errors import StepFailed
from penstock.kernel.journal import Child, Retry, Run

FAILURES = 8
"""Questions in a row that may fail before the run does; between them it waits as long as it is told, or 1, 2, 4 ... seconds."""
LONGEST_PAUSE = 60.0
CORRECTIONS = 2
"""How often a model is told that its answer is not of the type that was asked for."""
SAME = 3
"""Calls of one tool with the same arguments that are made; at the next the model is told so instead, and at `STUCK` the run ends."""
STUCK = 6
PATIENT = Retry(attempts=5, first_seconds=0.2)
"""For a step whose writing down failed; the call itself has a policy of its own."""

State = Literal["done", "limit", "failed", "stuck"]


class Start(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run begins with: what is wanted, the id of the key that pays, who it works for, and its limits."""

    input: str
    key: str
    person: str = ""
    limits: Limits = Limits()


class Ended(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a run ended. ``output`` is the answer where it is ``done``; else ``code`` is stable and ``message`` says why.

    ``stuck``: its model asked for one thing again and again. ``in_doubt`` names calls of which nobody knows whether they happened.
    """

    state: State
    spent: Spent
    output: Any = None
    code: str = ""
    message: str = ""
    in_doubt: tuple[str, ...] = ()


class Wanted(Struct, frozen=True):
    """A call that will be made: ``place`` among those of its turn, ``ordinal`` among all of its run."""

    place: int
    ordinal: int
    tool: Tool[..., Any]
    arguments: dict[str, Any]


class Loop:
    """One run of an agent. Everything it decides follows from what is journalled, so it decides the same each time it is executed."""

    def __init__(self, agent: Agent, run: Run, start: Start, model: Model, performing: Performing) -> None:
        self._agent = agent
        self._run = run
        self._start = start
        self._model = model
        self._performing = performing
        self._limits = start.limits.within(agent.limits)
        self._messages: list[Message] = []
        self._spent = Spent()
        self._dearest = 0
        self._made: Counter[tuple[str, str]] = Counter()
        self._ordinal = 0
        self._doubts: list[str] = []

    async def go(self) -> Ended:
        """Work until it ends, one way or another. Only faults of the journal itself are raised."""
        began = await self._run.step("begin", time.time)
        self._spent = Spent(began=began, at=began)
        told = self._agent.told()
        self._messages = [*([{"role": "system", "content": told}] if told else []), {"role": "user", "content": self._start.input}]
        failures = corrections = 0
        while True:
            limit = self._reached()
            if limit is not None:
                return self._ended("limit", f"limit_{limit}", f"the limit on {limit} was reached")
            said = msgspec.convert(await self._run.step("model", self._ask, retry=PATIENT), Said)
            self._dearest = max(self._dearest, said.cost)
            self._spent = self._spent.plus(cost=said.cost, tokens=said.tokens, turns=not said.error, at=said.at)
            if said.error:
                failures += 1
                if said.again is None or failures >= FAILURES:
                    return self._ended("failed", said.error, said.message)
                await self._pause(max(said.again, min(LONGEST_PAUSE, 2.0 ** (failures - 1))))
                continue
            failures = 0
            self._messages.append(said.turn())
            if said.calls:
                results = await self._turn(said.calls)
                if results is None:
                    return self._ended("stuck", "stuck", "the model asked for the same call again and again")
                for call, text in zip(said.calls, results, strict=True):
                    self._messages.append({"role": "tool", "tool_call_id": call.id, "content": text})
                continue
            try:
                return self._ended("done", output=self._agent.answer(said.text))
            except BadOutput as fault:
                corrections += 1
                if corrections > CORRECTIONS:
                    return self._ended("failed", "output_invalid", f"the answer is not of the agent's type: {fault}")
                self._messages.append({"role": "user", "content": f"That answer cannot be used: {fault}. Give it again as was asked."})

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than the run may last; the time that was waited is known without another step."""
        limit, spent = self._limits.seconds, self._spent
        if limit is not None:
            seconds = min(seconds, max(0.0, spent.began + limit - spent.at))
        await self._run.sleep(seconds)
        self._spent = spent.plus(at=spent.at + seconds + 1e-6)  # beyond what sums of times of day leave out

    def _reached(self) -> str | None:
        limits = self._limits
        if limits.depth is not None and limits.depth < 1:
            return "depth"
        reached = self._spent.reached(limits)
        if reached is None and limits.usd is not None and self._spent.cost + self._dearest > round(limits.usd * 1e6):
            return "usd"  # another question like the dearest so far would go past it
        return reached

    async def _ask(self) -> dict[str, Any]:
        limits, spent = self._limits, self._spent
        left = None if limits.seconds is None else max(0.001, spent.began + limits.seconds - time.time())
        said = await self._model.say(
            Question(
                model=self._agent.model,
                messages=self._messages,
                tools=self._agent.shown(),
                params=self._agent.params,
                max_tokens=None if limits.tokens is None else limits.tokens - spent.tokens,
                seconds=left,
                key=self._start.key,
                labels={"run": self._run.id, "agent": self._agent.name},
            )
        )
        return msgspec.to_builtins(said)

    async def _turn(self, calls: Sequence[ToolCall]) -> list[str] | None:
        """What each call gave, as the model reads it; None where the model is stuck."""
        told: dict[int, str] = {}
        wanted: list[Wanted] = []
        asked: list[tuple[int, Agent, str]] = []
        for place, call in enumerate(calls):
            same = self._made[call.name, call.arguments] = self._made[call.name, call.arguments] + 1
            if same >= STUCK:
                return None
            if same > SAME:
                told[place] = f"This was called {same - 1} times with these arguments before, with the results above. Do something else."
            elif (limit := self._spent.reached(self._limits)) is not None:
                told[place] = f"This was not called: the limit on {limit} of this run was reached."
            else:
                refused = self._take(place, call, wanted, asked)
                if refused is None:
                    self._spent = self._spent.plus(calls=1)
                else:
                    told[place] = refused
        children = [(place, await self._delegate(agent, question, len(asked))) for place, agent, question in asked]
        for one, outcome in await self._perform(wanted):
            told[one.place] = self._read(one, outcome)
        for place, child in children:  # in order, as they were started: the journal numbers what is waited for
            told[place] = await self._answered(child)
        return [told[place] for place in range(len(calls))]

    def _take(self, place: int, call: ToolCall, wanted: list[Wanted], asked: list[tuple[int, Agent, str]]) -> str | None:
        """Put a call among those that will be made; what the model is told where it cannot be."""
        agent, tool = self._agent.agents.get(call.name), self._agent.tools.get(call.name)
        if agent is not None:
            try:
                asked.append((place, agent, msgspec.json.decode(call.arguments, type=Delegated).question))
            except (msgspec.DecodeError, UnicodeDecodeError) as fault:
                return f"The arguments of {call.name} are not as its schema says: {fault}"
            return None
        if tool is None:
            names = ", ".join(sorted([*self._agent.tools, *self._agent.agents])) or "none"
            return f"There is no tool {call.name[:100]!r}. There are: {names}."
        try:
            arguments = tool.arguments(call.arguments)
        except BadArguments as fault:
            return str(fault)
        self._ordinal += 1
        wanted.append(Wanted(place, self._ordinal, tool, arguments))
        return None

    async def _perform(self, wanted: Sequence[Wanted]) -> list[tuple[Wanted, Outcome]]:
        """Make the calls: those that only read side by side, one that changes something when all before it are over."""
        done: list[tuple[Wanted, Outcome]] = []
        at = 0
        while at < len(wanted):
            until = at + 1
            while wanted[at].tool.effect == "read" and until < len(wanted) and wanted[until].tool.effect == "read":
                until += 1
            done += await self._together(wanted[at:until])
            at = until
        return done

    async def _together(self, group: Sequence[Wanted]) -> list[tuple[Wanted, Outcome]]:
        """Some calls at once, round after round until each has ended. The rounds keep the order of steps the same in every execution."""
        found: dict[int, Outcome] = {}
        left, attempt = list(group), 1
        while left:
            steps = [self._run.step(f"tool {one.tool.name}", self._once, one, attempt, retry=PATIENT) for one in left]
            ended = await asyncio.gather(*steps, return_exceptions=True)
            again: list[Wanted] = []
            pause = 0.0
            for one, result in zip(left, ended, strict=True):
                if isinstance(result, BaseException):
                    raise result
                outcome = msgspec.convert(result, Outcome)
                self._spent = self._spent.plus(at=outcome.at)
                if outcome.state != "again":
                    found[one.ordinal] = outcome
                    continue
                retry = one.tool.retry
                again.append(one)
                pause = max(pause, outcome.after, min(retry.longest_seconds, retry.first_seconds * retry.factor ** (attempt - 1)))
            left, attempt = again, attempt + 1
            if left:
                await self._pause(pause)
        return [(one, found[one.ordinal]) for one in group]

    async def _once(self, one: Wanted, attempt: int) -> dict[str, Any]:
        run = self._run
        context = ToolContext(
            key=f"{run.id}/call/{one.ordinal}", attempt=attempt, run=run.id, organisation=run.organisation, person=self._start.person
        )
        last = attempt >= one.tool.retry.attempts
        return msgspec.to_builtins(await self._performing.once(one.tool, one.arguments, context, last=last))

    def _read(self, one: Wanted, outcome: Outcome) -> str:
        """An outcome as the model reads it."""
        match outcome.state:
            case "done":
                return outcome.text + (f"\n[{outcome.cut} more bytes were left out]" if outcome.cut else "")
            case "in_doubt":
                self._doubts.append(f"{self._run.id}/call/{one.ordinal}")
                return f"Nobody knows whether this happened: {outcome.text}. Do not do it again; say so."
            case _:
                return f"This failed: {outcome.text}"

    async def _delegate(self, agent: Agent, question: str, among: int) -> Child:
        start = Start(input=question, key=self._start.key, person=self._start.person, limits=self._spent.left(self._limits, among))
        return await self._run.child(agent.run, msgspec.to_builtins(start), labels={**self._run.labels, "agent": agent.name})

    async def _answered(self, child: Child) -> str:
        try:
            ended = msgspec.convert(await child.result(), Ended)
        except StepFailed as fault:
            return f"The agent did not answer: {fault.message}"
        self._spent = self._spent.plus(
            cost=ended.spent.cost, tokens=ended.spent.tokens, turns=ended.spent.turns, calls=ended.spent.calls, at=ended.spent.at
        )
        self._doubts += ended.in_doubt
        if ended.state != "done":
            return f"The agent did not answer: {ended.message}"
        return ended.output if isinstance(ended.output, str) else msgspec.json.encode(ended.output).decode()

    def _ended(self, state: State, code: str = "", message: str = "", *, output: Any = None) -> Ended:
        return Ended(state=state, spent=self._spent, output=output, code=code, message=message, in_doubt=tuple(self._doubts))

"""A run under way, an agent's or a workflow's: what it may use up and has, the tools that it calls, the runs that it hands work to.

All that happens is a step of a durable run, and all that is decided follows from what is journalled, so that it is decided the same each
time the run is executed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from penstock.agents.inbox.consent import Held
from penstock.agents.inbox.model import Need
from penstock.agents.inbox.provenance import Reading, does
from penstock.agents.limits import Limits, Spent
from penstock.agents.model import Said
from penstock.agents.patience import PATIENT
from penstock.agents.performing import Outcome, Performing, proposed
from penstock.agents.tools import Tool, ToolContext
from penstock.kernel.errors import StepFailed
from penstock.kernel.journal import Child, Run
from penstock.kernel.wording import as_text

State = Literal["done", "limit", "failed", "stuck"]


class Start(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run begins with: what is wanted, the id of the key that pays, who it works for, and its limits.

    ``call`` is the id of the model's call that handed it on, where one did; ``thread`` the conversation that it goes on with. ``until`` is
    when whoever handed it on must have ended, ``at`` when it was started, in Unix seconds; ``labels`` are those of what
    whoever handed it on had read.
    """

    input: Any
    key: str
    person: str = ""
    limits: Limits = Limits()
    call: str = ""
    thread: str = ""
    until: float | None = None
    at: float = 0.0
    labels: tuple[str, ...] = ()


class Ended(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a run ended. ``output`` is the answer where it is ``done``; else ``code`` is stable and ``message`` says why.

    ``stuck``: its model asked for one thing again and again. ``in_doubt`` names calls of which nobody knows whether they happened, ``call``
    is that of `Start`, ``labels`` are those of what it has read.
    """

    state: State
    spent: Spent
    output: Any = None
    code: str = ""
    message: str = ""
    in_doubt: tuple[str, ...] = ()
    call: str = ""
    labels: tuple[str, ...] = ()


class Wanted(Struct, frozen=True):
    """A call that will be made: ``place`` among those of its turn, ``ordinal`` among all of its run, ``call`` is the model's id of it."""

    place: int
    ordinal: int
    call: str
    tool: Tool[..., Any]
    arguments: dict[str, Any]


class Running:
    """``limits`` are those of what is run, and ``name`` is its own; the narrower of them and of the start hold."""

    def __init__(self, run: Run, start: Start, limits: Limits, performing: Performing, name: str) -> None:
        self.run = run
        self.start = start
        self.limits = start.limits.within(limits)
        self.spent = Spent()
        self._dearest = 0
        self.doubts: list[str] = []
        self._performing = performing
        self._consent = performing.consent()
        self.reading = Reading(agent=name, start=start, labels=run.labels)
        self._ordinal = 0
        self._shares: dict[str, Limits] = {}

    async def begin(self, known: Callable[[], Any] | None = None) -> Any:
        """The first step of each run: from now on its time counts. What ``known`` gives then is kept with it, if it is anything."""

        async def begin() -> Any:
            told = None if known is None else known()
            return time.time() if told is None else {"at": time.time(), "known": told}

        told = await self.run.step("begin", begin)
        began, found = (told["at"], told["known"]) if isinstance(told, dict) else (told, None)  # type: ignore[reportUnknownVariableType]
        began = float(began)  # type: ignore[reportUnknownArgumentType]
        self.spent = Spent(began=began, at=began)
        if self.start.until is not None:
            self.limits = self.limits.within(Limits(seconds=max(0.0, self.start.until - began)))
        return found  # type: ignore[reportUnknownVariableType]

    def reached(self) -> str | None:
        """The name of the limit that leaves nothing more to spend; None while there is something of everything."""
        if self.limits.depth is not None and self.limits.depth < 1:
            return "depth"
        return self.spent.reached(self.limits)

    def no_question(self) -> str | None:
        """The name of the limit for which its model is not asked again; also where a question like the dearest so far would go past it."""
        reached, usd = self.reached(), self.limits.usd
        if reached is None and usd is not None and self.spent.cost + self._dearest > round(usd * 1e6):
            return "usd"
        return reached

    def asked(self, said: Said) -> None:
        """Its model was asked: add what that took."""
        self._dearest = max(self._dearest, said.cost)
        self.spend(cost=said.cost, tokens=said.tokens, turns=not said.error, at=said.at)

    def spend(self, **more: Any) -> None:
        """Add to what was spent, as `Spent.plus` says."""
        self.spent = self.spent.plus(**more)

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the run may last; the time that was waited is known without another step."""
        limit, spent = self.limits.seconds, self.spent
        if limit is not None:
            seconds = min(seconds, max(0.0, spent.began + limit - spent.at))
        await self.run.sleep(seconds)
        self.spent = spent.plus(at=spent.at + seconds + 1e-6)  # beyond what sums of times of day leave out

    def left_seconds(self) -> float | None:
        """How long it may last from now on; for steps, which may look at the clock."""
        return None if self.limits.seconds is None else self.spent.began + self.limits.seconds - time.time()

    # Tools

    def want(self, place: int, call: str, tool: Tool[..., Any], arguments: dict[str, Any]) -> Wanted:
        """A call that will be made, and counts."""
        self._ordinal += 1
        self.spend(calls=1)
        return Wanted(place, self._ordinal, call, tool, arguments)

    async def perform(self, wanted: Sequence[Wanted]) -> list[tuple[Wanted, Outcome]]:
        """Make the calls: those that only read side by side, one that changes something when all before it are over."""
        done: list[tuple[Wanted, Outcome]] = []
        at = 0
        while at < len(wanted):
            until = at + 1
            while wanted[at].tool.effect == "read" and until < len(wanted) and wanted[until].tool.effect == "read":
                until += 1
            done += await self.together(wanted[at:until])
            at = until
        return done

    async def together(self, group: Sequence[Wanted], at_once: int | None = None) -> list[tuple[Wanted, Outcome]]:
        """Some calls at once, round after round until each has ended. The rounds keep the order of steps the same in every execution.

        Calls in doubt are kept in ``doubts``.
        """
        found: dict[int, Outcome] = {}
        left, attempt = list(group), 1
        room = asyncio.Semaphore(at_once or len(group) or 1)
        while left:
            # All are made now, and so numbered in order; how many of them run at once is decided inside.
            steps = [self.run.step(f"tool {one.tool.name}", self._once, one, attempt, room, retry=PATIENT) for one in left]
            ended = await asyncio.gather(*steps, return_exceptions=True)
            again: list[Wanted] = []
            held: list[Held] = []
            pause = 0.0
            for one, result in zip(left, ended, strict=True):
                if isinstance(result, BaseException):
                    raise result
                outcome = msgspec.convert(result, Outcome)
                self.spend(at=outcome.at)
                if outcome.needs is not None and self._consent is not None and self.spent.reached(self.limits) != "seconds":
                    held.append(self._held(one, outcome, outcome.needs))
                    again.append(one)
                    continue
                if outcome.state != "again":
                    found[one.ordinal] = outcome
                    continue
                retry = one.tool.retry
                again.append(one)
                pause = max(pause, outcome.after, min(retry.longest_seconds, retry.first_seconds * retry.factor ** (attempt - 1)))
            left, attempt = again, attempt + (len(held) < len(again))
            if held and self._consent is not None:
                until = None if self.limits.seconds is None else self.spent.began + self.limits.seconds
                self.spend(at=await self._consent.settle(self.run, held, until))
            if len(held) < len(again):
                await self.pause(pause)
        for one in group:
            if found[one.ordinal].state == "done":
                self.reading.call(self.key(one), one.tool.name, one.tool.labels, found[one.ordinal].text)
        self.doubts += [self.key(one) for one in group if found[one.ordinal].state == "in_doubt"]
        return [(one, found[one.ordinal]) for one in group]

    async def part(self, tool: Tool[..., Any], arguments: Mapping[str, Any]) -> Outcome:
        """Make a call that only reads, within a step of the run, as a part of it."""
        assert tool.effect == "read"
        context = self._context(Wanted(0, 0, "", tool, dict(arguments)))
        return await self._performing.once(tool, arguments, context, last=True, within=self.left_seconds())

    def key(self, one: Wanted) -> str:
        """What names the call the same in every attempt, and no other."""
        return f"{self.run.id}/call/{one.ordinal}"

    async def _once(self, one: Wanted, attempt: int, room: asyncio.Semaphore) -> dict[str, Any]:
        context = self._context(one, attempt)
        async with room:
            left = self.left_seconds()
            last = attempt >= one.tool.retry.attempts
            terms: dict[str, Any] = {"last": last, "within": left, "origin": self.reading.origin()}
            outcome = await self._performing.once(one.tool, one.arguments, context, **terms)
        return msgspec.to_builtins(structs.replace(outcome, call=one.call))

    def _context(self, one: Wanted, attempt: int = 1) -> ToolContext:
        run, start, remembering = self.run, self.start, self._performing.remembering
        return ToolContext(
            key=self.key(one),
            attempt=attempt,
            run=run.id,
            organisation=run.organisation,
            person=start.person,
            memory=None if remembering is None else remembering.own(run, start.key, start.person),
            payer=start.key,
            labels=self.reading.labels,
        )

    def _held(self, one: Wanted, outcome: Outcome, need: Need) -> Held:
        origin = self.reading.origin()
        call = proposed(one.tool, one.arguments, self._context(one), origin)
        return Held(
            call=call,
            origin=origin,
            need=need,
            policy=outcome.policy,
            at=outcome.at,
            description=does(one.tool.description, one.tool.told_by),
        )

    # Runs below this one

    async def hand(self, run: str, labels: Mapping[str, str], input: Any, *, call: str = "", among: int = 1) -> Child:
        """Start a run of that name below this one, with its share of what is left where it is one of several."""
        until = None if self.limits.seconds is None else self.spent.began + self.limits.seconds
        limits = self.spent.left(self.limits, among)
        begun = self.start
        told: dict[str, Any] = {"call": call, "until": until, "at": self.spent.at, "labels": self.reading.labels}
        start = Start(input=input, key=begun.key, person=begun.person, limits=limits, **told)
        child = await self.run.child(run, msgspec.to_builtins(start), labels={**self.run.labels, **labels})
        self._shares[child.id] = limits
        return child

    async def returned(self, child: Child) -> Ended:
        """How a run below this one ended; what it spent is spent here too. Raises `StepFailed` where it did not return, was cancelled say:
        then nobody has said what it spent, and all the money and tokens that it was given count as spent."""
        share = self._shares.pop(child.id)
        try:
            ended = msgspec.convert(await child.result(), Ended)
        except StepFailed:
            self.spend(cost=round((share.usd or 0.0) * 1e6), tokens=share.tokens or 0)
            raise
        spent = ended.spent
        self.spend(cost=spent.cost, tokens=spent.tokens, turns=spent.turns, calls=spent.calls, at=spent.at)
        self.doubts += ended.in_doubt
        text = as_text(ended.output)
        self.reading.agent(child.id, ended.labels, text if ended.state == "done" else ended.message)
        return ended

    def ended(self, state: State, code: str = "", message: str = "", *, output: Any = None) -> Ended:
        """How it ended."""
        return Ended(
            state=state,
            spent=self.spent,
            output=output,
            code=code,
            message=message,
            in_doubt=tuple(self.doubts),
            call=self.start.call,
            labels=self.reading.labels,
        )

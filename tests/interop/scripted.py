"""Agents in memory that do what the tests tell them, behind the protocol that the real ones implement; and a room that offers them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

import msgspec

from penstock.kernel.agents import AgentCard, AgentEvent, AgentRequest, AgentRuns, AgentStanding, CalledTool
from penstock.kernel.capability import House, Offer
from penstock.kernel.errors import Conflict, NotFound, RequestError
from penstock.kernel.principal import Principal

TEXT = {"type": "string"}
CARDS = (
    AgentCard(
        name="desk",
        description="Answers customers.",
        kind="agent",
        input=TEXT,
        output=TEXT,
        tools={"find_order": "read", "refund": "irreversible"},
        asks=["clerk"],
        version="v1",
    ),
    AgentCard(
        name="report",
        description="Writes a report.",
        kind="workflow",
        input={"type": "object", "required": ["year"], "properties": {"year": {"type": "integer"}}},
        output={"type": "object", "properties": {"pages": {"type": "integer"}}},
        tools={},
        asks=[],
        version="v1",
    ),
)


class OneRun:
    """A run: what it was asked, and what it has done."""

    def __init__(self, id: str, agent: str, organisation: str, input: Any, thread: str) -> None:
        self.id, self.agent, self.organisation, self.input, self.thread = id, agent, organisation, input, thread
        self.events: list[AgentEvent] = []
        self.requests: dict[str, AgentRequest] = {}
        self.answers: list[Any] = []
        self.changed = asyncio.Condition()
        self.answered = asyncio.Event()
        self.watchers = 0

    async def do(self, kind: Any, **told: Any) -> AgentEvent:
        """Do something, and tell whoever watches."""
        event = AgentEvent(number=len(self.events) + 1, kind=kind, at=time.time(), **told)
        async with self.changed:
            self.events.append(event)
            if event.request is not None and kind == "asked":
                self.requests[event.request.id] = event.request
            self.changed.notify_all()
        return event

    async def ask(self, **terms: Any) -> AgentRequest:
        """Ask people something."""
        request = AgentRequest(id=f"q{len(self.events) + 1}", run=self.id, opened_at=time.time(), **terms)
        await self.do("asked", text=request.text, request=request)
        return request

    @property
    def ended(self) -> AgentEvent | None:
        return self.events[-1] if self.events and self.events[-1].kind == "ended" else None


class ScriptedRuns:
    """Runs in memory; ``play`` is what a new one does."""

    def __init__(self) -> None:
        self.runs: dict[str, OneRun] = {}
        self.keys: dict[str, str] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self._ids = itertools.count(1)

    def cards(self, principal: Principal) -> Sequence[AgentCard]:
        return CARDS if principal.home else ()

    async def begin(
        self, principal: Principal, name: str, input: Any, *, key: str | None = None, person: str = "", thread: str = ""
    ) -> str:
        if name not in {card.name for card in self.cards(principal)}:
            raise NotFound(f"there is no agent {name!r}", param="name")
        if name == "desk" and not isinstance(input, str):
            raise RequestError("the input is not text", param="input")
        named = f"{principal.organisation}/{name}/{key}"
        if key is not None and named in self.keys:
            return self.keys[named]
        run = OneRun(f"run{next(self._ids)}", name, principal.organisation, input, thread)
        self.runs[run.id] = run
        if key is not None:
            self.keys[named] = run.id
        task = asyncio.create_task(self._play(run))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return run.id

    async def _play(self, run: OneRun) -> None:
        await run.do("began")
        if run.agent == "report":
            await run.do("step", name="collect")
            await run.do("ended", state="done", output={"pages": run.input["year"] % 100})
            return
        match run.input.split()[0]:
            case "refund":
                call = CalledTool(id="c1", name="refund", arguments='{"order":"7"}')
                await run.do("said", text="I will.", calls=(call,), cost=40, tokens=12)
                await run.ask(kind="approval", text="Refund order 7?", tool="refund", arguments={"order": "7"}, digest="d" * 64)
                answer = await self._answer(run)
                await run.do("answered", request=next(iter(run.requests.values())), name="p1", output=answer, state="done")
                run.requests.clear()
                await run.do("result", name="refund", call="c1", text="done" if answer["approve"] else "refused", state="done")
                await run.do("said", text="Finished.", cost=2, tokens=3)
            case "question":
                await run.ask(kind="question", text="Which order?", schema={"type": "string", "maxLength": 9})
                answer = await self._answer(run)
                await run.do("answered", request=next(iter(run.requests.values())), name="p1", output=answer, state="done")
                run.requests.clear()
                await run.do("said", text=f"Order {answer}.")
            case "ask":
                await run.do("handed", name="clerk", child="child1", call="c2")
                await run.do("returned", name="clerk", child="child1", call="c2", state="done", text="yes")
                await run.do("said", text="The clerk says yes.")
            case "wait":
                run.answered.clear()
                await run.answered.wait()
            case "fail":
                await run.do("said", code="insufficient_quota", text="no money")
                await run.do("ended", state="failed", code="insufficient_quota", text="no money")
                return
            case _:
                await run.do("said", text=f"You said: {run.input}", cost=5, tokens=7)
        output = next((event.text for event in reversed(run.events) if event.kind == "said"), "")
        await run.do("ended", state="done", output=output)

    async def _answer(self, run: OneRun) -> Any:
        await run.answered.wait()
        run.answered.clear()
        return run.answers[-1]

    def _find(self, principal: Principal, run: str) -> OneRun:
        found = self.runs.get(run)
        if found is None or principal.reach not in (None, found.organisation):
            raise NotFound(f"there is no run {run!r}", param="id")
        return found

    async def look(self, principal: Principal, run: str) -> AgentStanding:
        found = self._find(principal, run)
        over = found.ended
        state = ("cancelled" if over.state == "cancelled" else "done") if over else "waiting" if found.requests else "running"
        at = found.events[-1].at if found.events else 0.0
        return AgentStanding(
            run=run, agent=found.agent, state=state, created_at=at, updated_at=at, requests=tuple(found.requests.values()), ended=over
        )

    async def watch(self, principal: Principal, run: str, after: int = 0) -> AsyncIterator[AgentEvent]:
        found = self._find(principal, run)
        found.watchers += 1
        try:
            place = after
            while True:
                async with found.changed:
                    while len(found.events) <= place:
                        await found.changed.wait()
                    event = found.events[place]
                place += 1
                yield event
                if event.kind == "ended":
                    return
        finally:
            found.watchers -= 1

    async def answer(self, principal: Principal, run: str, request: str, value: Any) -> None:
        found = self._find(principal, run)
        if request not in found.requests:
            raise Conflict("it is answered", param="request")
        if found.requests[request].kind == "approval" and not (isinstance(value, dict) and "approve" in value):
            raise RequestError("an approval is answered with {'approve': true or false}", param="value")
        found.answers.append(value)
        found.answered.set()

    async def cancel(self, principal: Principal, run: str) -> None:
        found = self._find(principal, run)
        if found.ended is not None:
            raise Conflict("the run has ended", code="run_ended")
        found.requests.clear()
        await found.do("ended", state="cancelled", code="run_cancelled")

    async def close(self) -> None:
        for task in tuple(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class ScriptedRoom:
    """Offers them in place of the agents'."""

    name: ClassVar[str] = "scripted"
    settings: ClassVar[type[msgspec.Struct] | None] = None
    migrations: ClassVar[str | None] = None
    commands: ClassVar[str | None] = None
    templates: ClassVar[str | None] = None

    def __init__(self) -> None:
        self.runs = ScriptedRuns()

    def open(self, house: House) -> Offer:
        return Offer(ports={AgentRuns: self.runs})

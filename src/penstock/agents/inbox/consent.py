"""What a run does about a call that needs the agreement of others: it proposes it, has validators look at it, and waits for people.

All of it is steps and waits of the run, in an order that follows from what is journalled. Whether the call may begin is not decided here:
the run tries to begin it afterwards, and whoever begins it looks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from penstock.agents.inbox.model import Need, Proposal
from penstock.agents.inbox.provenance import Origin, shown, traced
from penstock.agents.inbox.requests import Requests, topic
from penstock.agents.patience import PATIENT
from penstock.kernel.agents import ASK, AgentRequest
from penstock.kernel.journal import Run

SOONEST = 0.05
"""Seconds that a wait lasts at least, so that clocks which differ by less do not make a run ask in a circle."""


class Held(Struct, frozen=True, kw_only=True):
    """A call that was not begun: who wants what, what it needs, and what the tool does, in its author's words."""

    call: Proposal
    origin: Origin
    need: Need
    policy: str
    at: float
    description: str = ""


class Validating(Protocol):
    """Has validators look at proposals."""

    async def ask(self, run: Run, name: str, request: str, told: str) -> tuple[bool, str]:
        """What the validator says, and why; as children and steps of the run. Whatever goes wrong is a no."""
        ...

    def key(self, name: str) -> str:
        """The id of the key with which its model is asked."""
        ...


class Consent:
    """Asks for one run. Knows what it has asked already."""

    def __init__(self, requests: Requests, validating: Validating) -> None:
        self._requests = requests
        self._validating = validating
        self._asked: dict[str, AgentRequest] = {}

    async def settle(self, run: Run, held: Sequence[Held], until: float | None) -> float:
        """Ask for all of them and wait until each is decided, has expired, or ``until`` is reached; when that was, in Unix seconds."""
        # A fork finds what the run asked whose journal it has: that is not its own to be answered, so it asks for itself the next time.
        fresh = [one for one in held if (known := self._asked.get(one.call.call)) is None or known.run != run.id]
        opened = await asyncio.gather(*(run.step(ASK, self._open, one, retry=PATIENT) for one in fresh))
        for one, made in zip(fresh, opened, strict=True):
            self._asked[one.call.call] = msgspec.convert(made, AgentRequest)
        over = [await self._validate(run, one) for one in fresh]
        refused = {one.call.call for one, no in zip(fresh, over, strict=True) if no}
        waiting = [one for one in held if one.call.call not in refused]
        return max([one.at for one in held] + list(await asyncio.gather(*(self._wait(run, one, until) for one in waiting))))

    async def _open(self, one: Held) -> Any:
        call = traced(one.call, one.origin)
        made = await self._requests.open(
            run=call.run,
            ordinal=call.call,
            organisation=call.organisation,
            kind="approval",
            text=f"{call.agent or 'A run'} wants to call {call.tool}",
            agent=call.agent,
            key=call.key,
            person=call.person,
            proposal=call,
            need=one.need,
            policy=one.policy,
        )
        return msgspec.to_builtins(made)

    async def _validate(self, run: Run, one: Held) -> bool:
        """Have the validators look, one after the other; True where one says no, or where nobody else needs to be waited for."""
        if not one.need.validators:
            return False
        request = self._asked[one.call.call].id
        told = shown(traced(one.call, one.origin), one.need.rules, one.description)
        for name in one.need.validators:
            yes, note = await self._validating.ask(run, name, request, told)
            await run.step(f"validated {name}", self._keep, run.id, one.call.call, name, yes, note, retry=PATIENT)
            if not yes:
                return True
        return not one.need.quorums

    async def _keep(self, run: str, call: str, name: str, yes: bool, note: str) -> None:
        request = self._asked[call]
        if request.run == run:
            await self._requests.validated(request.id, name, self._validating.key(name), yes, note)

    async def _wait(self, run: Run, one: Held, until: float | None) -> float:
        request = self._asked[one.call.call]
        end = min(at for at in (request.expires_at, until) if at is not None)
        start = max(one.at, request.opened_at)
        if request.run != run.id:
            end = start
        with contextlib.suppress(TimeoutError):
            told = await run.wait(topic(request.id), max(SOONEST, end - start))
            return max(start, told.get("at") or 0.0)
        return max(start, end) + 1e-6

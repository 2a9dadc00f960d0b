"""How the inbox is put together, and what it does by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from penstock.agents.inbox.service import Inbox
from penstock.agents.inbox.settings import InboxSettings
from penstock.agents.running import Start
from penstock.agents.startable import Startable
from penstock.kernel.capability import Finding, House
from penstock.kernel.errors import PenstockError, StorageError
from penstock.kernel.events import RunEnded
from penstock.kernel.journal import Journal
from penstock.kernel.ports import Directory, Holders, Standings
from penstock.kernel.principal import Principal
from penstock.kernel.rounds import Rounds, Step
from penstock.storage.records import Records

SWEEP_SECONDS, FORGET_SECONDS = 30.0, 3600.0


def build(house: House, settings: InboxSettings) -> Inbox:
    """The inbox of this house."""
    ports = house.ports

    def home() -> str:
        directory = ports.find(Directory)
        return directory.home if directory is not None else ""

    def name(id: str) -> str:
        directory = ports.find(Directory)
        return directory.name(id) if directory is not None else id

    def standing(key: str) -> Principal | None:
        standings = ports.find(Standings)
        return standings.standing(key) if standings is not None else None

    told: dict[str, Any] = {"standing": standing, "begin": begin, "environ": os.environ, "home": home, "name": name}
    return Inbox(ports.get(Records), settings, lambda: ports.get(Journal), **told)


def begin(agent: str, question: str, key: str) -> tuple[str, Any]:
    """How a validator's run begins: for nobody, and with its own key."""
    return f"agent/{agent}", msgspec.to_builtins(Start(input=question, key=key))


class InboxLife:
    """The inbox as a service: sends notices, lets requests expire and go to others, and closes those of runs that have ended."""

    name = "inbox"

    def __init__(self, house: House, inbox: Inbox, settings: InboxSettings, agents: Callable[[], Mapping[str, Startable]]) -> None:
        self._house = house
        self._inbox = inbox
        self._settings = settings
        self._agents = agents
        self._closing: set[asyncio.Task[None]] = set()
        self.rounds = Rounds(
            self.name,
            (
                Step("expire", inbox.expire),
                Step("tell", inbox.tell),
                Step("deliver", inbox.deliver),
                Step("sweep", inbox.sweep, SWEEP_SECONDS),
                Step("forget", inbox.forget, FORGET_SECONDS),
            ),
            seconds=settings.round_seconds,
        )
        house.events.subscribe(RunEnded, self._ended)

    async def start(self) -> None:
        """Go round where there are agents, or channels that something may still have to go to."""
        if self._agents() or self._settings.webhooks or self._settings.mail:
            self.rounds.begin()

    async def stop(self) -> None:
        """What is being sent is sent again by whoever is next, under the same id."""
        await self.rounds.stop()
        if self._closing:
            await asyncio.wait(self._closing)
        await self._inbox.notices.close()

    def _ended(self, event: RunEnded) -> None:
        if event.name.partition("/")[0] in ("agent", "workflow"):
            task = asyncio.create_task(self._close(event.run), name="close requests")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _close(self, run: str) -> None:
        with contextlib.suppress(StorageError):  # the sweep sees to it
            await self._inbox.requests.close(run)

    async def check(self) -> Sequence[Finding]:
        """Notices that nobody took, secrets that are missing, validators whose key cannot ask, and what waits."""
        found: list[Finding] = []
        failed, lacks, standing = await self._inbox.faults()
        for variable in lacks:
            found.append(
                Finding(
                    name="inbox notices", status="fail", what=f"the variable {variable} is not set", mend=f"set {variable}, start again"
                )
            )
        if failed:
            mend = "look at the addresses in [agents.inbox.webhooks] and [agents.inbox.mail]"
            found.append(Finding(name="inbox notices", status="warn", what=f"{failed} notices were given up", mend=mend))
        holders = self._house.ports.find(Holders)
        for name, one in self._settings.validators.items():
            try:
                if holders is not None:
                    holders.holder_of(one.key)
            except PenstockError as fault:
                what, mend = fault.message, f"make a key for it and name its id in [agents.inbox.validators.{name}]"
                found.append(Finding(name=f"validator {name}", status="fail", what=f"its key cannot ask a model: {what}", mend=mend))
        waiting = {kind: count for kind, (count, _) in standing.items()}
        if waiting:
            said = ", ".join(f"{count} {kind}s" for kind, count in sorted(waiting.items()))
            found.append(Finding(name="inbox", status="ok", what=f"{said} wait for people at /console/inbox"))
        return found

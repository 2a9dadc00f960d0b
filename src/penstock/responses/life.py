"""The stored responses as a service: recovered at start, moved while it runs, removed when their time is over."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from penstock.kernel.capability import Finding
from penstock.kernel.errors import PenstockError
from penstock.kernel.journal import Journal
from penstock.kernel.ports import Authenticator, Metric, Peers, Ports, Sessions
from penstock.kernel.rounds import Rounds, Step
from penstock.kernel.seat import Seat
from penstock.kernel.vendor import VendorDoor
from penstock.responses.background import TAKE_UP_SECONDS, Background
from penstock.responses.conversation import Conversations
from penstock.responses.pending import Pending
from penstock.responses.service import ResponseService
from penstock.responses.stage import Remember

LEFT = "responses"
"""Topic under which workers tell the one with the journal that something lies there."""


class ResponsesLife:
    """Starts, sweeps in the background, and stops."""

    name = "responses"

    def __init__(
        self,
        ports: Ports,
        door: VendorDoor,
        service: ResponseService,
        conversations: Conversations,
        background: Background,
        pending: Pending,
        stage: Remember,
    ) -> None:
        self._ports = ports
        self._door = door
        self._service = service
        self._conversations = conversations
        self._background = background
        self._pending = pending
        self._stage = stage
        every = service.settings.sweep_seconds
        self._rounds = Rounds(
            self.name,
            (
                Step("take up", background.take_up),
                Step("settle", background.settle, 30.0),
                Step("expire", self._expire, every),
            ),
            seconds=TAKE_UP_SECONDS,
            alone=ports.find(Seat) is None,
        )

    async def start(self) -> None:
        """Recover what killed processes journalled, and begin. Raises `StorageError`."""
        self._door.open(self._ports.get(Authenticator), self._ports.find(Sessions))
        await self._pending.open()
        if self._ports.find(Journal) is not None:
            self._background.define()
        peers = self._ports.find(Peers)
        if peers is not None:
            peers.answer(LEFT, self._take_up)
        self._rounds.begin()

    async def stop(self) -> None:
        """Move the last turns into the database."""
        await self._rounds.stop()
        await self._pending.close()

    async def check(self) -> Sequence[Finding]:
        """Whether responses are kept."""
        settings = self._service.settings
        if settings.store == "off":
            return [Finding(name="responses", status="off", what="responses are not stored (responses.store)")]
        return [Finding(name="responses", status="ok", what=f"kept for {settings.retention_days:g} days ({settings.store})")]

    def metrics(self) -> Iterable[Metric]:
        """What was kept, what could not be, and what still moves."""
        stage, pending = self._stage, self._pending
        counters = (
            ("penstock_responses_stored_total", "Responses that were stored.", stage.kept),
            (
                "penstock_responses_not_stored_total",
                "Responses that were too large to be stored, or that the store did not take.",
                stage.lost,
            ),
            ("penstock_responses_direct_total", "Stored responses that went into the database before their reply ended.", pending.direct),
            ("penstock_responses_unreadable_total", "Journalled responses that could not be read.", pending.carrier.unreadable),
        )
        yield from (Metric(name=name, help=help, kind="counter", samples=(({}, value),)) for name, help, value in counters)
        yield from self._rounds.metrics()
        waiting = "Stored responses on their way into the database."
        yield Metric(name="penstock_responses_waiting", help=waiting, kind="gauge", samples=(({}, pending.waiting),))

    async def settle(self) -> None:
        """See `Background.settle`."""
        await self._background.settle()

    async def _take_up(self, body: bytes) -> bytes:
        """Another worker has left something for who holds the journal."""
        with contextlib.suppress(PenstockError):  # the next round does it
            await self._background.take_up()
        return b""

    async def _expire(self) -> None:
        await self._service.expire()
        await self._background.expire()
        await self._conversations.expire()

"""The stored responses as a service: recovered at start, moved while it runs, removed when their time is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from penstock.kernel.capability import Finding
from penstock.kernel.errors import PenstockError
from penstock.kernel.ports import Authenticator, Metric, Ports, Sessions
from penstock.kernel.vendor import VendorDoor
from penstock.responses.pending import Pending
from penstock.responses.service import ResponseService
from penstock.responses.stage import Remember

_log = logging.getLogger("penstock.responses")


class ResponsesLife:
    """Starts, sweeps in the background, and stops."""

    name = "responses"

    def __init__(self, ports: Ports, door: VendorDoor, service: ResponseService, pending: Pending, stage: Remember) -> None:
        self._ports = ports
        self._door = door
        self._service = service
        self._pending = pending
        self._stage = stage
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Recover what killed processes journalled, and begin. Raises `StorageError`."""
        self._door.open(self._ports.get(Authenticator), self._ports.find(Sessions))
        await self._pending.open()
        self._sweeping = asyncio.create_task(self._sweep(), name="responses sweep")

    async def stop(self) -> None:
        """Move the last turns into the database."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
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
        waiting = "Stored responses on their way into the database."
        yield Metric(name="penstock_responses_waiting", help=waiting, kind="gauge", samples=(({}, pending.waiting),))

    async def _sweep(self) -> None:
        while True:
            try:
                await self._service.expire()
            except PenstockError as fault:
                _log.warning("stored responses were not swept", extra={"fault": fault.message, "code": fault.code})
            await asyncio.sleep(self._service.settings.sweep_seconds)

"""A room whose store keeps what is appended in a list, so that a test sees what the intake gives to any store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

from tests.house import SETTINGS, House, open_house

from penstock.kernel.capability import House as Rooms
from penstock.kernel.capability import Offer
from penstock.storage.telemetry.span import Span
from penstock.storage.telemetry.store import TelemetryStore


class Keeping:
    """Appends as a store does: a batch that came before is not kept again. ``fault`` is raised instead, once."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.batches: set[str] = set()
        self.fault: Exception | None = None

    async def append(self, spans: Sequence[Span], batch: str) -> None:
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        assert len(batch) <= 64
        assert batch.replace("-", "").isalnum()
        if batch not in self.batches:
            self.batches.add(batch)
            self.spans.extend(spans)


class StoreRoom:
    """Provides the store."""

    name: ClassVar[str] = "keeping"
    settings: ClassVar[Any] = None
    migrations: ClassVar[str | None] = None
    commands: ClassVar[str | None] = None
    templates: ClassVar[str | None] = None

    def __init__(self, store: Keeping) -> None:
        self._store = store

    def open(self, house: Rooms) -> Offer:
        return Offer(ports={TelemetryStore: cast("TelemetryStore", self._store)})


@asynccontextmanager
async def keeping_house(folder: Path, more: str = "") -> AsyncGenerator[tuple[House, Keeping]]:
    """A house that takes spans."""
    store = Keeping()
    async with open_house(folder, SETTINGS + '[storage]\ntelemetry = "off"\n' + more, more=[StoreRoom(store)]) as house:
        yield house, store

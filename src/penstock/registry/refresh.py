"""Keeps what is in memory fresh: looks for changes that this or another process committed, at least once a second."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sqlalchemy import Connection

from penstock.kernel.events import ApprovalsChanged, Events
from penstock.kernel.ports import Metric
from penstock.registry import store
from penstock.registry.model import Version
from penstock.registry.prompts import store as prompts_store
from penstock.registry.prompts.model import Known, Prompt
from penstock.registry.prompts.shelf import Shelf
from penstock.registry.standing import Standing
from penstock.storage.freshness import Freshness
from penstock.storage.records import Records


class Refresh:
    """A service. While the database does not answer, what is in memory holds, and its age is measured."""

    name = "registry"

    def __init__(self, records: Records, standing: Standing, shelf: Shelf, seconds: float, events: Events) -> None:
        self._records = records
        self._standing = standing
        self._shelf = shelf
        self._events = events
        self._seen = -1
        self._fresh = Freshness(
            self.name,
            self._look,
            seconds,
            logger=logging.getLogger("penstock.registry"),
            failing="the registry cannot be refreshed, what is in memory holds",
            again="the registry is refreshed again",
        )
        self.now = self._fresh.now

    async def start(self) -> None:
        """Load every version, and where prompts stand. Raises `StorageError` when the database does not answer."""
        await self._fresh.start()

    async def stop(self) -> None:
        await self._fresh.stop()

    def metrics(self) -> Iterable[Metric]:
        age = "Seconds since changes of the registry were last looked for successfully; a revocation elsewhere is not seen in the meantime."
        yield Metric(name="penstock_registry_age_seconds", help=age, kind="gauge", samples=(({}, self._fresh.age),))
        refused = "Times that a model was kept from a call because it was not approved for it."
        yield Metric(name="penstock_registry_refusals", help=refused, kind="counter", samples=(({}, self._standing.refused),))

    async def _look(self) -> None:
        seen = self._seen

        def work(connection: Connection) -> tuple[int, tuple[list[Version], list[Prompt], dict[tuple[str, int], Known]] | None]:
            counted = store.counted(connection)
            return counted, None if counted == seen else (store.versions(connection), *prompts_store.known(connection))

        counted, found = await self._records.read(work)
        if found is not None:
            versions, prompts, known = found
            self._standing.apply(versions)
            self._shelf.apply(prompts, known)
            self._seen = counted
            self._events.publish(ApprovalsChanged())

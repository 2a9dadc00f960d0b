"""Keeps what is in memory fresh: looks for changes that this or another process committed, at least once a second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable

from sqlalchemy import Connection

from penstock.kernel.errors import PenstockError
from penstock.kernel.ports import Metric
from penstock.registry import store
from penstock.registry.model import Version
from penstock.registry.standing import Standing
from penstock.storage.records import Records

_log = logging.getLogger("penstock.registry")


class Refresh:
    """A service. While the database does not answer, what is in memory holds, and its age is measured."""

    name = "registry"

    def __init__(self, records: Records, standing: Standing, seconds: float) -> None:
        self._records = records
        self._standing = standing
        self._seconds = seconds
        self._seen = -1
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._fresh_at = time.monotonic()
        self._failing = False

    async def start(self) -> None:
        """Load every version. Raises `StorageError` when the database does not answer: nobody would know what is revoked."""
        await self.now()
        self._task = asyncio.create_task(self._watch(), name="registry refresh")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def now(self) -> None:
        """Take in everything that is committed at this moment; when this returns, this process acts on it."""
        async with self._one_at_a_time:
            seen = self._seen

            def work(connection: Connection) -> tuple[int, list[Version] | None]:
                counted = store.counted(connection)
                return counted, None if counted == seen else store.versions(connection)

            counted, versions = await self._records.read(work)
            if versions is not None:
                self._standing.apply(versions)
                self._seen = counted
            self._fresh_at = time.monotonic()

    def metrics(self) -> Iterable[Metric]:
        age = "Seconds since changes of the registry were last looked for successfully; a revocation elsewhere is not seen in the meantime."
        yield Metric(name="penstock_registry_age_seconds", help=age, kind="gauge", samples=(({}, time.monotonic() - self._fresh_at),))
        refused = "Times that a model was kept from a call because it was not approved for it."
        yield Metric(name="penstock_registry_refusals", help=refused, kind="counter", samples=(({}, self._standing.refused),))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.now()
            except PenstockError as fault:
                if not self._failing:
                    _log.warning("the registry cannot be refreshed, what is in memory holds", extra={"fault": fault.message})
                self._failing = True
            else:
                if self._failing:
                    _log.info("the registry is refreshed again")
                self._failing = False

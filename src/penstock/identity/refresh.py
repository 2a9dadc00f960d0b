"""Keeps what is in memory fresh: looks for changes that this or another process committed, several times a second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable

from penstock.identity import store
from penstock.identity.keyring import Keyring
from penstock.identity.sessions import BrowserSessions
from penstock.identity.uses import Uses
from penstock.kernel.errors import PenstockError
from penstock.kernel.ports import Metric
from penstock.storage.records import Records

_log = logging.getLogger("penstock.identity")

FLUSH_SECONDS = 60.0
"""How often moved ends of sessions and last uses of keys are written down."""


class Refresh:
    """A service. While the database does not answer, the keys in memory go on working, and the age of what is known is measured."""

    name = "identity"

    def __init__(
        self, records: Records, keyring: Keyring, sessions: BrowserSessions, seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._records = records
        self._keyring = keyring
        self._sessions = sessions
        self._uses = Uses(records, keyring.used)
        self._seconds = seconds
        self._clock = clock
        self._version = -1
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._fresh_at = time.monotonic()
        self._failing = False

    async def start(self) -> None:
        """Load every key. Raises `StorageError` when the database does not answer: without keys nobody could call."""
        await self.now()
        self._task = asyncio.create_task(self._watch(), name="identity refresh")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            await self.flush()

    async def now(self) -> None:
        """Take in everything that is committed at this moment; when this returns, this process acts on it."""
        async with self._one_at_a_time:
            since, at = self._version, self._clock()
            changes = await self._records.read(lambda connection: store.changes_since(connection, since, at))
            if changes is not None:
                self._keyring.apply(changes)
                self._sessions.apply(changes)
                self._version = changes.version
            self._fresh_at = time.monotonic()

    async def flush(self) -> None:
        """Write down what only this process knows yet. Raises `StorageError`."""
        await self._sessions.flush()
        await self._uses.flush()

    @property
    def age(self) -> float:
        """Seconds since the database last said what there is."""
        return time.monotonic() - self._fresh_at

    def metrics(self) -> Iterable[Metric]:
        help = "Seconds since changes of keys were last looked for successfully; a revocation elsewhere is not seen in the meantime."
        yield Metric(name="penstock_keys_age_seconds", help=help, kind="gauge", samples=(({}, self.age),))

    async def _watch(self) -> None:
        flush_at = time.monotonic() + FLUSH_SECONDS
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.now()
                if time.monotonic() >= flush_at:
                    flush_at = time.monotonic() + FLUSH_SECONDS
                    await self.flush()
            except PenstockError as fault:
                if not self._failing:
                    _log.warning("keys cannot be refreshed, those in memory go on working", extra={"fault": fault.message})
                self._failing = True
            else:
                if self._failing:
                    _log.info("keys are refreshed again")
                self._failing = False

"""Keeps what is in memory fresh: looks for changes that this or another process committed, several times a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from penstock.identity import store
from penstock.identity.keyring import Keyring
from penstock.identity.sessions import BrowserSessions
from penstock.identity.uses import Uses
from penstock.kernel.ports import Metric
from penstock.storage.freshness import Freshness
from penstock.storage.records import Records

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
        self._clock = clock
        self._version = -1
        self._flush_at = 0.0
        self._fresh = Freshness(
            self.name,
            self._look,
            seconds,
            logger=logging.getLogger("penstock.identity"),
            failing="keys cannot be refreshed, those in memory go on working",
            again="keys are refreshed again",
            after=self._flush_now_and_then,
        )
        self.now = self._fresh.now

    async def start(self) -> None:
        """Load every key. Raises `StorageError` when the database does not answer: without keys nobody could call."""
        self._flush_at = time.monotonic() + FLUSH_SECONDS
        await self._fresh.start()

    async def stop(self) -> None:
        if await self._fresh.stop():
            await self.flush()

    async def flush(self) -> None:
        """Write down what only this process knows yet. Raises `StorageError`."""
        await self._sessions.flush()
        await self._uses.flush()

    def metrics(self) -> Iterable[Metric]:
        help = "Seconds since changes of keys were last looked for successfully; a revocation elsewhere is not seen in the meantime."
        yield Metric(name="penstock_keys_age_seconds", help=help, kind="gauge", samples=(({}, self._fresh.age),))

    async def _look(self) -> None:
        since, at = self._version, self._clock()
        changes = await self._records.read(lambda connection: store.changes_since(connection, since, at))
        if changes is not None:
            self._keyring.apply(changes)
            self._sessions.apply(changes)
            self._version = changes.version

    async def _flush_now_and_then(self) -> None:
        if time.monotonic() >= self._flush_at:
            self._flush_at = time.monotonic() + FLUSH_SECONDS
            await self.flush()

"""Journalled rows move into the database: in batches, off the event loop, also those that a killed process left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from penstock.finops import store
from penstock.finops.rows import decode
from penstock.kernel.errors import PenstockError
from penstock.storage.carry import Carrier
from penstock.storage.records import Records
from penstock.storage.spool import Spool, SpoolFolder, adopt

_log = logging.getLogger("penstock.finops")

ADOPT_EVERY = 40
"""Rounds between two looks for spools of processes that died while this one runs."""


class Drain:
    """Moves rows from the spool to the ledger table. A row is deleted from the spool only when the table has it."""

    def __init__(self, records: Records, spool: Spool, root: Path, seconds: float) -> None:
        self._records = records
        self._spool = spool
        self._root = root
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        lost = "a journalled ledger row cannot be read"
        self.carrier = Carrier(records, decode, store.add_rows, logger=_log, lost=lost)
        self.moved = 0

    @property
    def waiting(self) -> int:
        """Bytes that are journalled and not yet in the database."""
        return self._spool.depth().bytes

    async def recover(self) -> int:
        """Move what dead processes left; how many rows were new. Raises `StorageError` when the database does not take them."""
        return await asyncio.to_thread(self._adopt)

    def begin(self) -> None:
        """Start moving rows now and then."""
        self._task = asyncio.create_task(self._run(), name="ledger drain")

    async def end(self) -> None:
        """Move the last rows and release the spool. What the database does not take stays in the spool for the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._spool.seal()
        try:
            await asyncio.to_thread(self._move, self._spool)
        except PenstockError as fault:
            _log.warning("ledger rows stay in the spool until the next start", extra={"fault": fault.message})
        self._spool.close()

    async def flush(self) -> None:
        """Move everything that is journalled at this moment."""
        await asyncio.to_thread(self._move, self._spool)

    async def _run(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(self._seconds)
            rounds += 1
            try:
                await asyncio.to_thread(self._round, rounds)
            except PenstockError as fault:
                if not self._failing:
                    _log.warning("the ledger's database takes no rows; they wait in the spool", extra={"fault": fault.message})
                self._failing = True
            else:
                self._failing = False

    def _round(self, rounds: int) -> None:
        self._spool.prepare()
        self._move(self._spool)
        if rounds % ADOPT_EVERY == 0:
            self._adopt()

    def _adopt(self) -> int:
        moved = 0
        for folder in adopt(self._root):
            try:
                moved += self._move(folder)
                # All that it spent is on the ledger now: what it held of budgets beyond that is free.
                name = folder.path.name
                with self._records.begin() as connection:
                    store.drop_shares(connection, name)
            finally:
                folder.close()
        return moved

    def _move(self, folder: SpoolFolder) -> int:
        new = self.carrier.carry(folder)
        self.moved += new
        return new

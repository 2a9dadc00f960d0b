"""Turns on their way into the database: journalled in a spool before the client knows their id, moved in batches afterwards.

A turn that fits an entry of the spool costs the line one write into a preallocated file, which survives ``kill -9``; until it is in the
table it is also held in memory, where this process finds it. A longer one (a picture inside, a long text) goes straight into the table,
and its reply ends when it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

import msgspec

from penstock.kernel.errors import PenstockError, StorageFull
from penstock.responses import store
from penstock.responses.turn import Turn
from penstock.storage.carry import Carrier
from penstock.storage.records import Records
from penstock.storage.spool import MAX_ENTRY, Spool, adopt

_log = logging.getLogger("penstock.responses")

ADOPT_SECONDS = 10.0
"""How often a process looks for spools of processes that died while it runs."""
MOST_HELD = 64 * 1024 * 1024
"""Bytes of turns in memory from which on turns go straight into the table."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Turn)


class Pending:
    """Keeps turns. Belongs to one event loop; `open` before the first, `close` after the last."""

    def __init__(self, records: Records, root: Path, seconds: float) -> None:
        self._records = records
        self._root = root
        self._seconds = seconds
        self._spool: Spool | None = None
        self._held: dict[str, Turn] = {}
        self._bytes = 0
        self._some = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self.carrier = Carrier(records, _decoder.decode, store.add, logger=_log, lost="a journalled response cannot be read")
        self.direct = 0

    async def open(self) -> None:
        """Take over what dead processes left, and begin. Raises `StorageError`."""
        self._spool = Spool(self._root)
        recovered = await asyncio.to_thread(self._adopt)
        if recovered:
            _log.info("recovered stored responses of a process that was killed", extra={"turns": recovered})
        self._task = asyncio.create_task(self._run(), name="responses")

    async def close(self) -> None:
        """Move the last turns and release the spool; what the database does not take stays for the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._spool is None:
            return
        spool, self._spool = self._spool, None
        spool.seal()
        try:
            await asyncio.to_thread(self.carrier.carry, spool)
        except PenstockError as fault:
            _log.warning("stored responses stay in the spool until the next start", extra={"fault": fault.message})
        spool.close()

    def find(self, id: str) -> Turn | None:
        """A turn of this process that may not be in the table yet."""
        return self._held.get(id)

    @property
    def waiting(self) -> int:
        """Turns that are not known to be in the table."""
        return len(self._held)

    async def keep(self, turn: Turn) -> None:
        """Keep a turn: when this returns, the death of the process does not lose it. Raises `StorageError`."""
        entry = _encoder.encode(turn)
        if len(entry) <= MAX_ENTRY and self._bytes < MOST_HELD and self._journal(entry):
            self._held[turn.id] = turn
            self._bytes += turn.size
            self._some.set()
            return
        self.direct += 1
        await self._records.write(lambda c: store.add(c, [turn]))

    async def flush(self) -> None:
        """Move everything that is journalled at this moment. Raises `StorageError`."""
        if self._spool is not None and self._held:
            held = list(self._held)
            await asyncio.to_thread(self.carrier.carry, self._spool)
            self._forget(held)

    def _journal(self, entry: bytes) -> bool:
        if self._spool is None:
            return False
        try:
            self._spool.hold()
        except StorageFull:
            return False
        self._spool.append(entry)
        return True

    def _forget(self, ids: list[str]) -> None:
        for id in ids:
            turn = self._held.pop(id, None)
            self._bytes -= turn.size if turn is not None else 0

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ADOPT_SECONDS):
                    await self._some.wait()
            some = self._some.is_set()
            self._some.clear()
            try:
                if some:
                    await asyncio.sleep(self._seconds)
                    await self.flush()
                else:
                    await asyncio.to_thread(self._adopt)
            except PenstockError as fault:
                if not self._failing:
                    _log.warning("the database takes no responses; they wait in the spool", extra={"fault": fault.message})
                self._failing = True
                self._some.set()
            else:
                self._failing = False

    def _adopt(self) -> int:
        moved = 0
        for folder in adopt(self._root):
            try:
                moved += self.carrier.carry(folder)
            finally:
                folder.close()
        return moved

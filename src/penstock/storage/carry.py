"""From a spool into a table: in batches, each of which leaves the spool only when the table has it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec
from sqlalchemy import Connection

from penstock.storage.records import Records
from penstock.storage.segments import SpoolFolder

T = TypeVar("T")


class Carrier(Generic[T]):
    """Moves what one kind of spool holds; from any thread, one at a time, since a spool has one reader.

    ``decode`` raises `msgspec.DecodeError` or `UnicodeDecodeError` for an entry that it does not understand: that is counted in
    ``unreadable``, and told to ``logger`` in the words of ``lost``. ``write`` puts a batch into its table and says how many rows were new:
    after a crash the same batch comes again.
    """

    def __init__(
        self,
        records: Records,
        decode: Callable[[bytes], T],
        write: Callable[[Connection, list[T]], int],
        *,
        logger: logging.Logger,
        lost: str,
    ) -> None:
        self._records = records
        self._decode = decode
        self._write = write
        self._log = logger
        self._lost = lost
        self._reading = threading.Lock()
        self.unreadable = 0

    def carry(self, folder: SpoolFolder) -> int:
        """Move everything that is in ``folder`` now; how many rows were new. Raises `StorageError`, and then the rest stays there."""
        new = 0
        with self._reading:
            while (batch := folder.pending()) is not None:
                rows: list[T] = []
                for entry in batch.entries:
                    try:
                        rows.append(self._decode(entry))
                    except (msgspec.DecodeError, UnicodeDecodeError):
                        # The frame's checksum held, so this was written by a version that we do not understand: count it, say it.
                        self.unreadable += 1
                        self._log.error(self._lost, extra={"spool": str(folder.path), "bytes": len(entry)})
                with self._records.begin() as connection:
                    new += self._write(connection, rows)
                folder.done(batch)
        return new

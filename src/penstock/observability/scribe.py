"""Writing finished calls down: rows, packs of payloads, and the spans that are made of the same look at them.

All of it blocks. The recorder does it on a thread, and under load in a process beside (`penstock.observability.beside`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from penstock.kernel.call import Call
from penstock.observability import store
from penstock.observability.payloads import PACK_BYTES, Entry, Kept, PayloadKeeper, encode_pack, new_pack_id
from penstock.observability.redaction import Redactor
from penstock.observability.rows import Row, row_of
from penstock.storage.records import Records

_log = logging.getLogger("penstock.observability")


class Written(NamedTuple):
    """Calls as they are stored, and those that cannot be, which would be a mistake of ours."""

    rows: list[Row]
    packs: list[tuple[int, int, bytes]]
    unwritable: list[Call]


class Scribe:
    """Belongs to one thread at a time."""

    def __init__(self, records: Records, redactor: Redactor, keeper: PayloadKeeper) -> None:
        self._records = records
        self._redactor = redactor
        self._keeper = keeper

    def write(self, calls: Sequence[Call], each: Callable[[Call, Kept | None], None]) -> Written:
        """Make rows and packs. ``each`` is given every call that can be written down, with what is kept of its prompt and reply."""
        rows: list[Row] = []
        packs: list[tuple[int, int, bytes]] = []
        entries: list[Entry] = []
        unwritable: list[Call] = []
        pack, size = new_pack_id(), 0
        for call in calls:
            try:
                kept = self._keeper.kept(call)
                row = row_of(call, pack if kept is not None else None, self._redactor)
            except Exception:  # one call that we cannot write down must not hold up all that follow
                if not call.counted:
                    _log.exception("a call cannot be recorded", extra={"call": call.id})
                unwritable.append(call)
                continue
            rows.append(row)
            each(call, kept)
            if kept is not None:
                entry = kept.entry
                entries.append(entry)
                size += len(entry.request.data) + len(entry.reply.data)
                if size >= PACK_BYTES:
                    packs.append((pack, len(entries), encode_pack(entries)))
                    entries, pack, size = [], new_pack_id(), 0
        if entries:
            packs.append((pack, len(entries), encode_pack(entries)))
        return Written(rows, packs, unwritable)

    def store(self, written: Written, summaries: Sequence[tuple[Any, ...]]) -> None:
        """Store it, with the summaries that changed, in one transaction. Doing it twice changes nothing."""
        with self._records.begin() as connection:
            store.add(connection, written.rows, written.packs, summaries)

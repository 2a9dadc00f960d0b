"""Everything of one person goes: spans with their texts, prompts and replies of calls, and what of the calls names the person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select, update

from penstock.kernel.ports import PersonalRecords
from penstock.observability.payloads import decode_pack, encode_pack
from penstock.observability.tables import call_payloads, calls
from penstock.observability.tables import trace_annotations as annotated
from penstock.storage.records import Records
from penstock.storage.telemetry.questions import Removed
from penstock.storage.telemetry.store import TelemetryStore

PIECE = 200
"""Calls whose texts go in one transaction."""


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken away: spans with their attributes, prompts and replies of spans, calls that name the person no more, prompts and
    replies of calls, and what the person said of traces. ``spans_erased`` is false where the house has no store of spans. ``others`` counts
    what other rooms kept of the person, by name."""

    spans: int
    span_payloads: int
    calls: int
    call_payloads: int
    annotations: int
    spans_erased: bool
    others: dict[str, int] = {}


class Erasing:
    """``flush`` stores what has ended, on the record and as spans, so that it goes too."""

    def __init__(
        self,
        records: Records,
        store: Callable[[], TelemetryStore | None],
        flush: Callable[[], Awaitable[None]],
        others: Sequence[PersonalRecords] = (),
    ) -> None:
        self._records = records
        self._others = others
        self._store = store
        self._flush = flush

    async def erase(self, organisation: str, person: str) -> Erased:
        """Take away everything of a person of this organisation that is stored at this moment; what is not of it stays as it is.

        The facts of the calls that bills are made of stay, without the person. Asking again takes away what has come since. Raises
        `StorageError`; what was gone by then is gone, and asking again goes on from there.
        """
        await self._flush()
        named = texts = 0
        while True:
            calls_now, texts_now = await self._records.write(lambda c: _piece(c, organisation, person))
            named, texts = named + calls_now, texts + texts_now
            if calls_now < PIECE:
                break
        said = delete(annotated).where(annotated.c.organisation == organisation, annotated.c.person == person)
        notes = await self._records.write(lambda c: c.execute(said).rowcount)
        told = {one.name: await one.erase(organisation, person) for one in self._others}
        store = self._store()
        gone = await store.erase(organisation, person) if store is not None else Removed()
        return Erased(
            spans=gone.spans,
            span_payloads=gone.payloads,
            calls=named,
            call_payloads=texts,
            annotations=notes,
            spans_erased=store is not None,
            others=told,
        )


def _piece(connection: Connection, organisation: str, person: str) -> tuple[int, int]:
    """Some of the person's calls: how many, and how many of them had their prompt and reply kept."""
    mine = (calls.c.organisation == organisation, calls.c.person == person)
    wanted = select(calls.c.id, calls.c.payload, calls.c.attempts, calls.c.verdicts)
    found = connection.execute(wanted.where(*mine).order_by(calls.c.id).limit(PIECE)).all()
    packs: dict[int, set[str]] = defaultdict(set)
    for id, pack, attempts, verdicts in found:
        if pack is not None:
            packs[pack].add(id)
        # A provider's error, or a guard, may quote the prompt.
        told = {"attempts": _without(attempts, "message"), "verdicts": _without(verdicts, "reason")}
        if told != {"attempts": attempts, "verdicts": verdicts}:
            connection.execute(update(calls).where(calls.c.id == id).values(**told))
    gone = sum(_take_out(connection, pack, ids) for pack, ids in packs.items())
    # What the caller said in words goes as well; what remains are times, counts and money.
    nobody = {"person": None, "payload": None, "labels": None, "error_message": None, "notes": None}
    connection.execute(update(calls).where(calls.c.id.in_([row[0] for row in found])).values(**nobody))
    return len(found), gone


def _without(told: str | None, name: str) -> str | None:
    """A list of objects as JSON, without what each says under this name."""
    if not told:
        return told
    entries = msgspec.json.decode(told, type=list[dict[str, Any]])
    if not any(entry.get(name) for entry in entries):
        return told
    return msgspec.json.encode([{**entry, name: None} for entry in entries]).decode()


def _take_out(connection: Connection, pack: int, ids: set[str]) -> int:
    row = call_payloads.c.id == pack
    data = connection.execute(select(call_payloads.c.data).where(row).with_for_update()).scalar()
    if data is None:
        return 0
    entries = decode_pack(bytes(data))
    left = [entry for entry in entries if entry.call not in ids]
    if left:
        connection.execute(update(call_payloads).where(row).values(entries=len(left), data=encode_pack(left)))
    else:
        connection.execute(delete(call_payloads).where(row))
    return len(entries) - len(left)

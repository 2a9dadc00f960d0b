"""The SQL of the records of calls; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, select

from penstock.observability.payloads import Entry, decode_pack, pack_id_at
from penstock.observability.rows import ABSENT, COLUMNS, NULLABLE, Row
from penstock.observability.tables import call_payloads, call_summaries, calls, id_at
from penstock.storage.insert import insert_new

PIECE = 2000
"""Rows deleted in one transaction."""

_PACK_COLUMNS = ("id", "entries", "data")
_SUMMARY_COLUMNS = tuple(c.name for c in call_summaries.columns)
_TOTALS = ("calls", "input_tokens", "output_tokens", "cost_micros", "unpriced", "total_ms", "first_token_ms")


def add(connection: Connection, rows: Sequence[Row], packs: Sequence[tuple[int, int, bytes]], summaries: Sequence[tuple[Any, ...]]) -> None:
    """Write a batch; writing it again changes nothing."""
    # PostgreSQL infers no type for nullif() of two texts that are to be a number, so there NULLs are put in here.
    postgres = connection.dialect.name == "postgresql"
    if postgres:
        rows = [tuple(None if v == ABSENT and c in NULLABLE else v for c, v in zip(COLUMNS, row, strict=True)) for row in rows]
    insert_new(connection, calls.name, COLUMNS, rows, absent=frozenset() if postgres else NULLABLE)
    insert_new(connection, call_payloads.name, _PACK_COLUMNS, packs)
    if summaries:
        marks = ", ".join("%s" if postgres else "?" for _ in _SUMMARY_COLUMNS)
        updates = ", ".join(f"{c} = excluded.{c}" for c in _TOTALS)
        sql = (
            f"INSERT INTO call_summaries ({', '.join(_SUMMARY_COLUMNS)}) VALUES ({marks})"  # noqa: S608 - our own column names
            f" ON CONFLICT (id) DO UPDATE SET {updates}"
        )
        connection.exec_driver_sql(sql, list(summaries))


def forget(connection: Connection, what: str, before: float) -> bool:
    """Delete a piece of what is older than ``before`` (Unix seconds); whether there may be more."""
    if what == "calls":
        table, key, old = calls, calls.c.id, calls.c.id < id_at(before * 1000)
    elif what == "payloads":
        table, key, old = call_payloads, call_payloads.c.id, call_payloads.c.id < pack_id_at(before)
    else:
        table, key, old = call_summaries, call_summaries.c.id, call_summaries.c.period < int(before)
    piece = select(key).where(old).order_by(key).limit(PIECE)
    return connection.execute(delete(table).where(key.in_(piece))).rowcount >= PIECE


def page(connection: Connection, where: Sequence[ColumnElement[bool]], before: str | None, limit: int) -> list[Mapping[str, Any]]:
    """Calls, newest first, from below the id ``before``."""
    conditions = [*where, *([calls.c.id < before] if before else [])]
    asked = select(calls).where(and_(True, *conditions)).order_by(calls.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(asked).mappings()]


def one(connection: Connection, id: str, visible: Sequence[ColumnElement[bool]]) -> Mapping[str, Any] | None:
    """One call, None when there is none that is ``visible``."""
    row = connection.execute(select(calls).where(calls.c.id == id, *visible)).mappings().first()
    return dict(row) if row is not None else None


def payload(connection: Connection, pack: int, id: str) -> Entry | None:
    """The payload of one call, None when it is gone."""
    data = connection.execute(select(call_payloads.c.data).where(call_payloads.c.id == pack)).scalar()
    if data is None:
        return None
    return next((entry for entry in decode_pack(bytes(data)) if entry.call == id), None)


def summaries(connection: Connection, since: int, until: int, organisation: str | None) -> list[Mapping[str, Any]]:
    """Summary rows of a period (Unix seconds), of one organisation or (None) of all and of nobody."""
    asked = select(call_summaries).where(call_summaries.c.period >= since, call_summaries.c.period < until)
    if organisation is not None:
        asked = asked.where(call_summaries.c.organisation == organisation)
    return [dict(row) for row in connection.execute(asked).mappings()]

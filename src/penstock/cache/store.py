"""The SQL of the cache; decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, func, insert, select, tuple_, update

from penstock.cache.index import Entry
from penstock.cache.tables import CALIBRATIONS, CLEARED, DAYS, ENTRIES, PAIRS
from penstock.kernel.call import Usage
from penstock.storage.insert import insert_new
from penstock.storage.schema import encode_json

_PAIR = tuple(column.name for column in PAIRS.columns)
_MANY = 500
"""Keys in one statement."""

SUMS = (
    "misses", "exact", "semantic", "saved", "unpriced", "saved_input", "saved_output", "input", "cached", "written", "discount",
)  # fmt: skip


def keep(connection: Connection, entries: Iterable[Entry], gone: Iterable[bytes]) -> None:
    """Write entries in the place of those with their keys, and delete those that are gone."""
    rows = [_values(entry) for entry in entries]
    ids = [row["id"] for row in rows] + [key.hex() for key in gone]
    for start in range(0, len(ids), _MANY):
        connection.execute(delete(ENTRIES).where(ENTRIES.c.id.in_(ids[start : start + _MANY])))
    if rows:
        connection.execute(insert(ENTRIES), rows)


def latest(connection: Connection, before: tuple[int, str] | None, now_ms: int, most: int) -> list[Entry]:
    """Entries that are still good, the latest first, from below a moment and id."""
    order = tuple_(ENTRIES.c.created_at, ENTRIES.c.id)
    where = [ENTRIES.c.expires_at > now_ms, *([order < tuple_(*before)] if before is not None else [])]
    asked = select(ENTRIES).where(and_(*where)).order_by(ENTRIES.c.created_at.desc(), ENTRIES.c.id.desc()).limit(most)
    return [_entry(row) for row in connection.execute(asked).mappings()]


def made_since(connection: Connection, since_ms: int, known: Callable[[bytes], bool], most: int) -> list[Entry]:
    """Entries that were made since a moment and are not ``known``, the oldest first."""
    asked = select(ENTRIES.c.id).where(ENTRIES.c.created_at >= since_ms).order_by(ENTRIES.c.created_at.desc()).limit(most)
    ids = [id for (id,) in connection.execute(asked) if not known(bytes.fromhex(id))]
    found: list[Entry] = []
    for start in range(0, len(ids), _MANY):
        rows = connection.execute(select(ENTRIES).where(ENTRIES.c.id.in_(ids[start : start + _MANY]))).mappings()
        found += [_entry(row) for row in rows]
    return sorted(found, key=lambda entry: entry.created)


def expire(connection: Connection, now_ms: int) -> None:
    """Delete what is past its time, also what no process holds in memory."""
    connection.execute(delete(ENTRIES).where(ENTRIES.c.expires_at <= now_ms))


def clear(connection: Connection, id: str, at_ms: int, organisation: str, task: str, model: str) -> int:
    """Delete entries, of one organisation, task and model where these are not empty, and note it for other processes; how many."""
    where = _matching(ENTRIES, organisation, task, model)
    count = connection.execute(delete(ENTRIES).where(and_(True, *where))).rowcount
    connection.execute(insert(CLEARED).values(id=id, at=at_ms, organisation=organisation, task=task, model=model))
    return count


def cleared(connection: Connection, since_ms: int) -> list[tuple[str, int, str, str, str]]:
    """What was cleared since a moment: id, when, organisation, task, model."""
    asked = select(CLEARED.c.id, CLEARED.c.at, CLEARED.c.organisation, CLEARED.c.task, CLEARED.c.model).where(CLEARED.c.at >= since_ms)
    return [(str(i), int(at), str(o), str(t), str(m)) for i, at, o, t, m in connection.execute(asked)]


def count_days(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write the sums of a process' own days in the place of what it wrote before."""
    for row in rows:
        if not connection.execute(update(DAYS).where(DAYS.c.id == row["id"]).values(**row)).rowcount:
            connection.execute(insert(DAYS).values(**row))


def days(connection: Connection, since_day: int, organisation: str | None, by: str) -> list[tuple[str, dict[str, int]]]:
    """Sums since a day by a column (``task``, ``day``, ``provider_model``), of one organisation or (None) of all."""
    key: ColumnElement[Any] = DAYS.c[by]
    if by == "provider_model":
        key = DAYS.c.provider + "/" + DAYS.c.provider_model
    where = [DAYS.c.day >= since_day, *([DAYS.c.organisation == organisation] if organisation is not None else [])]
    asked = select(key.label("name"), *(func.sum(DAYS.c[name]).label(name) for name in SUMS)).where(and_(*where)).group_by(key)
    return [(str(row[0]), {name: int(value) for name, value in zip(SUMS, row[1:], strict=True)}) for row in connection.execute(asked)]


def held(connection: Connection, organisation: str | None, now_ms: int) -> list[tuple[str, str, int, int]]:
    """Task, model, entries and bytes of what is kept."""
    where = [ENTRIES.c.expires_at > now_ms, *([ENTRIES.c.organisation == organisation] if organisation is not None else [])]
    asked = (
        select(ENTRIES.c.task, ENTRIES.c.model, func.count(), func.sum(func.length(ENTRIES.c.reply)))
        .where(and_(*where))
        .group_by(ENTRIES.c.task, ENTRIES.c.model)
        .order_by(func.count().desc(), ENTRIES.c.task, ENTRIES.c.model)
    )
    return [(str(task), str(model), int(count), int(size)) for task, model, count, size in connection.execute(asked)]


def add_pairs(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Note pairs of questions, whose answers are the same or not; a pair that is there already counts once."""
    insert_new(connection, PAIRS.name, _PAIR, [[row[name] for name in _PAIR] for row in rows])


def drop_pairs(connection: Connection, organisation: str, task: str, source: str) -> None:
    """Forget the pairs of a task from one source."""
    connection.execute(delete(PAIRS).where(PAIRS.c.organisation == organisation, PAIRS.c.task == task, PAIRS.c.source == source))


def pairs(connection: Connection, organisation: str, task: str, source: str, embedder: str) -> list[tuple[float, bool, bool]]:
    """Score, whether the wording agrees, and whether the answers are the same, of a task's pairs of one source."""
    asked = select(PAIRS.c.score, PAIRS.c.worded, PAIRS.c.same).where(
        PAIRS.c.organisation == organisation, PAIRS.c.task == task, PAIRS.c.source == source, PAIRS.c.embedder == embedder
    )
    return [(float(score), bool(worded), bool(same)) for score, worded, same in connection.execute(asked)]


def paired(connection: Connection, organisation: str | None) -> list[tuple[str, str, str, int]]:
    """Organisation, task, source and number of the pairs that there are."""
    where = [PAIRS.c.organisation == organisation] if organisation is not None else []
    asked = (
        select(PAIRS.c.organisation, PAIRS.c.task, PAIRS.c.source, func.count())
        .where(and_(True, *where))
        .group_by(PAIRS.c.organisation, PAIRS.c.task, PAIRS.c.source)
    )
    return [(str(o), str(t), str(s), int(n)) for o, t, s, n in connection.execute(asked)]


def add_calibration(connection: Connection, row: dict[str, Any]) -> None:
    """Keep a calibration; the latest of a task counts."""
    connection.execute(insert(CALIBRATIONS).values(**row))


def calibrations(connection: Connection, organisation: str | None) -> list[RowMapping]:
    """Calibrations, the oldest first."""
    where = [CALIBRATIONS.c.organisation == organisation] if organisation is not None else []
    return list(
        connection.execute(select(CALIBRATIONS).where(and_(True, *where)).order_by(CALIBRATIONS.c.at, CALIBRATIONS.c.id)).mappings()
    )


def _matching(table: Any, organisation: str, task: str, model: str) -> list[ColumnElement[bool]]:
    wanted = {"organisation": organisation, "task": task, "model": model}
    return [table.c[name] == value for name, value in wanted.items() if value]


def _values(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.key.hex(),
        "organisation": entry.organisation,
        "task": entry.task,
        "model": entry.model,
        "provider": entry.provider,
        "provider_model": entry.provider_model,
        "shape": entry.shape,
        "stream": entry.stream,
        "shown_usage": entry.shown_usage,
        "media": entry.media,
        "call": entry.call,
        "created_at": int(entry.created * 1000),
        "expires_at": int(entry.expires * 1000),
        "usage": encode_json(entry.usage),
        "reply": entry.reply,
        "partition": entry.partition,
        "wording": entry.wording,
        "answer": entry.answer,
        "embedder": entry.embedder,
        "vector": entry.vector,
    }


def _entry(row: RowMapping) -> Entry:
    return Entry(
        key=bytes.fromhex(row["id"]),
        organisation=row["organisation"],
        task=row["task"],
        model=row["model"],
        provider=row["provider"],
        provider_model=row["provider_model"],
        shape=row["shape"],
        stream=row["stream"],
        shown_usage=row["shown_usage"],
        media=row["media"],
        call=row["call"],
        created=row["created_at"] / 1000,
        expires=row["expires_at"] / 1000,
        usage=msgspec.json.decode(row["usage"], type=Usage),
        reply=bytes(row["reply"]),
        partition=_bytes(row["partition"]),
        wording=_bytes(row["wording"]),
        answer=_bytes(row["answer"]),
        embedder=row["embedder"],
        vector=_bytes(row["vector"]),
    )


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)

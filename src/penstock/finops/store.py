"""The SQL of the ledger and the budgets; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, select
from sqlalchemy import delete as sql_delete
from sqlalchemy import update as sql_update

from penstock.finops.budgets import Budget, SubjectKind
from penstock.finops.money import UnitPrices
from penstock.finops.rows import LedgerRow
from penstock.finops.tables import BUDGETS, LEDGER, SHARES
from penstock.kernel.call import Usage
from penstock.storage.insert import insert_new
from penstock.storage.schema import encode_json

_COLUMN_OF_SUBJECT = {
    "organisation": LEDGER.c.organisation,
    "team": LEDGER.c.team,
    "project": LEDGER.c.project,
    "person": LEDGER.c.person,
    "key": LEDGER.c.key_id,
    "task": LEDGER.c.task,
    "model": LEDGER.c.model,
}


def add_rows(connection: Connection, rows: Sequence[LedgerRow]) -> int:
    """Insert the rows that are not there yet; how many were new. Delivering a row twice leaves one."""
    return insert_new(connection, LEDGER.name, _COLUMNS, [_values(row) for row in rows])


def spent(
    connection: Connection, organisation: str, kind: SubjectKind, subject: str, since_ms: int, *, ids: Sequence[str] | None = None
) -> int:
    """Micro-units on the ledger for a subject, of one organisation or (empty) of all, since a moment (Unix milliseconds).

    With ``ids``, only of these rows.
    """
    where = [LEDGER.c.at >= since_ms]
    if organisation:
        where.append(LEDGER.c.organisation == organisation)
    if kind != "everything":
        where.append(_COLUMN_OF_SUBJECT[kind] == subject)
    asked = select(func.coalesce(func.sum(LEDGER.c.amount), 0)).where(and_(*where))
    if ids is None:
        return int(connection.execute(asked).scalar_one())
    parts = (ids[start : start + _PARAMETERS] for start in range(0, len(ids), _PARAMETERS))
    return sum(int(connection.execute(asked.where(LEDGER.c.id.in_(part))).scalar_one()) for part in parts)


def spent_since(connection: Connection, budget: Budget, begin: float, without: Sequence[str] = ()) -> int:
    """Micro-units on the ledger for a budget's subject since ``begin`` (Unix seconds), except for the rows ``without``."""
    terms = (budget.organisation, budget.subject_kind, budget.subject, int(begin * 1000))
    whole = spent(connection, *terms)
    # Calls that end meanwhile may be in the sum or not, and are counted by whoever settles them: they come off it.
    return whole - spent(connection, *terms, ids=without) if without else whole


def shares_of_others(connection: Connection, budget: str, process: str, begin: float, now: float) -> tuple[int, int]:
    """The sum of the other processes' shares of a budget's period that stand at ``now``, and how many they are."""
    where = and_(SHARES.c.budget == budget, SHARES.c.process != process, SHARES.c.begin == begin, SHARES.c.until > now)
    total, count = connection.execute(select(func.coalesce(func.sum(SHARES.c.share), 0), func.count()).where(where)).one()
    return int(total), int(count)


def put_share(connection: Connection, budget: str, process: str, begin: float, share: int, until: float) -> None:
    """Set a process's share."""
    values = {"begin": begin, "share": share, "until": until}
    where = and_(SHARES.c.budget == budget, SHARES.c.process == process)
    if connection.execute(sql_update(SHARES).where(where).values(values)).rowcount == 0:
        connection.execute(insert(SHARES).values(budget=budget, process=process, **values))


def drop_shares(connection: Connection, process: str, budget: str | None = None) -> None:
    """Delete a process's share of one budget, or all of its shares."""
    where = [SHARES.c.process == process, *([SHARES.c.budget == budget] if budget is not None else [])]
    connection.execute(sql_delete(SHARES).where(and_(*where)))


def rows(connection: Connection, where: Sequence[ColumnElement[bool]], before: str | None, limit: int) -> list[LedgerRow]:
    """Ledger rows, newest first, from below the id ``before``."""
    conditions = [*where, *([LEDGER.c.id < before] if before else [])]
    asked = select(LEDGER).where(and_(True, *conditions)).order_by(LEDGER.c.id.desc()).limit(limit)
    return [ledger_row(r) for r in connection.execute(asked).mappings()]


def totals(connection: Connection, where: Sequence[ColumnElement[bool]]) -> tuple[int, int, int]:
    """Number of calls, the amount of all rows in micro-units, and how many calls have no known price. Corrections are no calls."""
    call = LEDGER.c.corrects.is_(None)
    unpriced = func.count().filter(call, LEDGER.c.prices.is_(None))
    asked = select(func.count().filter(call), func.coalesce(func.sum(LEDGER.c.amount), 0), unpriced).where(and_(True, *where))
    count, amount, missing = connection.execute(asked).one()
    return int(count), int(amount), int(missing)


Sums = tuple[int, int, int, int]
"""Calls, micro-units, input and output tokens."""


def grouped(
    connection: Connection, where: Sequence[ColumnElement[bool]], column: str, limit: int
) -> tuple[list[tuple[str | None, Sums]], int, Sums]:
    """The dearest groups with their sums, how many groups there are in all, and the sums of them all.

    ``column`` is a column's name or ``day``, of which there are the latest ones, in order, as days since 1970.
    """
    key: ColumnElement[Any] = LEDGER.c[column] if column != "day" else LEDGER.c.at // 86_400_000
    if column == "day" and connection.dialect.name == "postgresql":
        key = func.floor(LEDGER.c.at / 86_400_000)
    groups = (
        select(
            key.label("name"),
            func.count().filter(LEDGER.c.corrects.is_(None)).label("calls"),
            func.sum(LEDGER.c.amount).label("amount"),
            func.sum(LEDGER.c.input_tokens).label("input"),
            func.sum(LEDGER.c.output_tokens).label("output"),
        )
        .where(and_(True, *where))
        .group_by(key)
        .subquery()
    )
    sums = (groups.c.calls, groups.c.amount, groups.c.input, groups.c.output)
    # Equal amounts by name, so that two looks show the same groups.
    order = (groups.c.name.desc(),) if column == "day" else (groups.c.amount.desc(), groups.c.name)
    # Windows over all groups are computed before the limit: one pass over the ledger gives the list and the whole.
    whole = (func.count().over(), *(func.sum(one).over() for one in sums))
    asked = select(groups.c.name, *sums, *whole).order_by(*order).limit(limit)
    found: list[tuple[Any, ...]] = [tuple(row) for row in connection.execute(asked)]
    listed = [(None if row[0] is None else str(row[0]), _sums(row[1:5])) for row in found]
    number, total = (int(found[0][5]), _sums(found[0][6:])) if found else (0, (0, 0, 0, 0))
    return listed[::-1] if column == "day" else listed, number, total


def _sums(values: Sequence[Any]) -> Sums:
    calls, amount, input, output = values
    return int(calls), int(amount), int(input), int(output)


def one(connection: Connection, id: str, organisation: str | None) -> LedgerRow | None:
    """The row with this id, of one organisation when given; None when there is none."""
    where = [LEDGER.c.id == id, *([LEDGER.c.organisation == organisation] if organisation is not None else [])]
    row = connection.execute(select(LEDGER).where(and_(*where))).mappings().first()
    return ledger_row(row) if row is not None else None


def by_id(connection: Connection, ids: Sequence[str]) -> Iterator[RowMapping]:
    """The rows that have one of these ids, as they stand; see `ledger_row`."""
    for start in range(0, len(ids), _PARAMETERS):
        yield from connection.execute(select(LEDGER).where(LEDGER.c.id.in_(ids[start : start + _PARAMETERS]))).mappings()


def corrections(connection: Connection, id: str) -> list[LedgerRow]:
    """The corrections of a row, the first one first."""
    asked = select(LEDGER).where(LEDGER.c.corrects == id).order_by(LEDGER.c.id)
    return [ledger_row(r) for r in connection.execute(asked).mappings()]


def corrected(connection: Connection, id: str) -> tuple[int, int]:
    """How many corrections a row has so far, and the micro-units that they have added to it."""
    asked = select(func.count(), func.coalesce(func.sum(LEDGER.c.amount), 0)).where(LEDGER.c.corrects == id)
    count, amount = connection.execute(asked).one()
    return int(count), int(amount)


def budgets(connection: Connection) -> list[Budget]:
    """All budgets by name."""
    return [budget(row) for row in connection.execute(select(BUDGETS).order_by(BUDGETS.c.name)).mappings()]


def budget(row: RowMapping) -> Budget:
    """The budget that a row of the table holds. Raises `msgspec.MsgspecError` when it is no budget."""
    return msgspec.convert({**{str(name): value for name, value in row.items()}, "alerts": msgspec.json.decode(row["alerts"])}, Budget)


def put_budget(connection: Connection, budget: Budget, *, new: bool) -> None:
    """Insert or overwrite one budget. Raises `Conflict` (from the records) when the name is taken."""
    values = {**msgspec.structs.asdict(budget), "alerts": encode_json(budget.alerts)}
    if new:
        connection.execute(insert(BUDGETS).values(values))
    else:
        connection.execute(sql_update(BUDGETS).where(BUDGETS.c.id == budget.id).values(values))


def remove_budget(connection: Connection, id: str) -> None:
    """Delete one budget."""
    connection.execute(sql_delete(SHARES).where(SHARES.c.budget == id))
    connection.execute(sql_delete(BUDGETS).where(BUDGETS.c.id == id))


_PARAMETERS = 500
"""Ids in one question: engines and their compiled statements have an end."""

_COLUMNS = tuple(column.name for column in LEDGER.columns)


def ledger_row(found: RowMapping) -> LedgerRow:
    """The row that a row of the table holds. Raises `msgspec.DecodeError` when a column of it is damaged."""
    values = {name: found[name] for name in LedgerRow.__struct_fields__ if name not in ("usage", "prices", "labels")}
    return LedgerRow(
        usage=msgspec.json.decode(found["usage"], type=Usage),
        prices=msgspec.json.decode(found["prices"], type=UnitPrices) if found["prices"] is not None else None,
        labels=msgspec.json.decode(found["labels"], type=dict[str, str]),
        **values,
    )


def _values(row: LedgerRow) -> tuple[Any, ...]:
    """The values of `_COLUMNS`."""
    usage = row.usage
    return (
        row.id,
        row.at,
        row.organisation,
        row.team,
        row.project,
        row.person,
        row.key_id,
        row.task,
        row.model,
        row.provider,
        row.provider_model,
        row.operation,
        usage.input,
        usage.output,
        encode_json(usage),
        encode_json(row.prices) if row.prices is not None else None,
        row.amount,
        row.currency,
        row.status,
        usage.estimated,
        row.trace_id,
        encode_json(row.labels),
        row.corrects,
        row.reason,
        row.by,
        row.run,
        row.step,
    )

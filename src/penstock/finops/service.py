"""Decides about budgets and answers questions about money."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement

from penstock.finops import store
from penstock.finops.budgets import Budget, Budgets, Period, Standing, SubjectKind, period_of
from penstock.finops.money import UnitPrices
from penstock.finops.tables import LEDGER
from penstock.kernel.call import Usage
from penstock.kernel.errors import Conflict, NotFound, RequestError
from penstock.kernel.ids import new_id
from penstock.storage.records import Records

Group = Literal["task", "model", "team", "project", "key", "provider", "person", "organisation", "status", "day"]
_COLUMN = {"key": "key_id"}
LARGEST = 10**15
"""Largest limit in micro-units: a billion dollars."""


class BudgetChange(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set on a budget; ``limit`` in micro-units (1,000,000 is one dollar)."""

    name: str
    limit: int
    period: Period = "month"
    subject_kind: SubjectKind = "everything"
    subject: str = ""
    hard: bool = True


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """A budget and how it stands."""

    budget: Budget
    standing: Standing


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which ledger rows are meant: times are Unix seconds, the rest exact values; None does not restrict."""

    since: float | None = None
    until: float | None = None
    task: str | None = None
    model: str | None = None
    team: str | None = None
    project: str | None = None
    key: str | None = None
    provider: str | None = None
    status: str | None = None


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One ledger row as it is shown; ``amount`` and ``prices`` in micro-units, ``at`` in Unix milliseconds."""

    id: str
    at: int
    organisation: str | None
    team: str | None
    project: str | None
    person: str | None
    key_id: str | None
    task: str | None
    model: str
    provider: str | None
    provider_model: str | None
    operation: str
    usage: Usage
    prices: UnitPrices | None
    amount: int
    currency: str
    status: str
    trace_id: str
    labels: dict[str, str]


class LedgerPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the ledger, newest first, and totals over all rows that the filter means."""

    data: list[LedgerEntry]
    next_cursor: str | None
    rows: int
    amount: int
    unpriced: int


class SpendRow(msgspec.Struct, frozen=True, kw_only=True):
    """Spending of one group: micro-units, calls, tokens. ``group`` is an id or name, a date for ``day``, None for what has none."""

    group: str | None
    amount: int
    calls: int
    input_tokens: int
    output_tokens: int


class Money:
    """The service of finops. Budgets in memory follow what is stored; the ledger is asked from the database."""

    def __init__(self, records: Records, budgets: Budgets, flush: Callable[[], Any], clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._budgets = budgets
        self._flush = flush
        self._clock = clock
        self._known: dict[str, Budget] = {}

    async def load(self) -> None:
        """Take in all budgets with what was spent in their periods."""
        for budget in await self._records.read(store.budgets):
            await self._take_in(budget)

    def budgets(self) -> list[BudgetView]:
        """All budgets and how they stand, by name."""
        return [self._view(budget) for budget in sorted(self._known.values(), key=lambda b: b.name)]

    def budget(self, id: str) -> BudgetView:
        """One budget. Raises `NotFound`."""
        return self._view(self._get(id))

    async def create_budget(self, change: BudgetChange) -> BudgetView:
        """Add a budget; it holds from the next call on. Raises `RequestError` or `Conflict`."""
        self._check(change, None)
        budget = Budget(id=new_id("budget"), created_at=self._clock(), **msgspec.structs.asdict(change))
        await self._records.write(lambda connection: store.put_budget(connection, budget, new=True))
        await self._take_in(budget)
        return self._view(budget)

    async def change_budget(self, id: str, change: BudgetChange) -> BudgetView:
        """Replace a budget's terms. Raises `NotFound`, `RequestError` or `Conflict`."""
        old = self._get(id)
        self._check(change, id)
        budget = Budget(id=id, created_at=old.created_at, **msgspec.structs.asdict(change))
        await self._records.write(lambda connection: store.put_budget(connection, budget, new=False))
        await self._take_in(budget)
        return self._view(budget)

    async def remove_budget(self, id: str) -> None:
        """Delete a budget; what was spent stays on the ledger. Raises `NotFound`."""
        self._get(id)
        await self._records.write(lambda connection: store.remove_budget(connection, id))
        self._budgets.remove(id)
        del self._known[id]

    async def ledger(self, wanted: Filter, cursor: str | None, limit: int) -> LedgerPage:
        """A page of rows and the totals of all that the filter means; includes every call that has ended by now."""
        await self._flush()
        where = _where(wanted)

        def work(connection: store.Connection) -> LedgerPage:
            rows = store.rows(connection, where, cursor, limit + 1)
            count, amount, unpriced = store.totals(connection, where)
            more = rows[limit - 1]["id"] if len(rows) > limit else None
            return LedgerPage(data=[_entry(r) for r in rows[:limit]], next_cursor=more, rows=count, amount=amount, unpriced=unpriced)

        return await self._records.read(work)

    async def spend(self, wanted: Filter, group: Group, limit: int = 100) -> list[SpendRow]:
        """Spending by group, the dearest first (days in order)."""
        await self._flush()
        where = _where(wanted)
        found = await self._records.read(lambda connection: store.grouped(connection, where, _COLUMN.get(group, group), limit))
        return [
            SpendRow(group=_day(name) if group == "day" and name else name, amount=amount, calls=calls, input_tokens=i, output_tokens=o)
            for name, calls, amount, i, o in found
        ]

    def _view(self, budget: Budget) -> BudgetView:
        standing = self._budgets.standing(budget.id) or Standing(spent=0, reserved=0, resets_at=None)
        return BudgetView(budget=budget, standing=standing)

    def _get(self, id: str) -> Budget:
        budget = self._known.get(id)
        if budget is None:
            raise NotFound(f"no budget {id[:100]!r}")
        return budget

    def _check(self, change: BudgetChange, id: str | None) -> None:
        if not change.name.strip() or len(change.name) > 200:
            raise RequestError("a budget's name has 1 to 200 characters", param="name")
        if not 0 <= change.limit <= LARGEST:
            raise RequestError(f"a budget's limit is 0 to {LARGEST} micro-units, not {change.limit}", param="limit")
        if (change.subject_kind == "everything") != (not change.subject):
            raise RequestError("subject names whom the budget is for, and is empty for everything", param="subject")
        if len(change.subject) > 200:
            raise RequestError("subject has at most 200 characters", param="subject")
        if any(b.name == change.name and b.id != id for b in self._known.values()):
            raise Conflict(f"a budget named {change.name!r} exists already", param="name")

    async def _take_in(self, budget: Budget) -> None:
        await self._flush()
        begin, _ = period_of(budget.period, self._clock())
        spent = await self._records.read(lambda connection: store.spent(connection, budget.subject_kind, budget.subject, int(begin * 1000)))
        self._known[budget.id] = budget
        self._budgets.put(budget, spent)


def _where(wanted: Filter) -> Sequence[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        where.append(LEDGER.c.at >= int(wanted.since * 1000))
    if wanted.until is not None:
        where.append(LEDGER.c.at < int(wanted.until * 1000))
    for name in ("task", "model", "team", "project", "key", "provider", "status"):
        value = getattr(wanted, name)
        if value is not None:
            where.append(LEDGER.c[_COLUMN.get(name, name)] == value)
    return where


def _entry(row: Any) -> LedgerEntry:
    values = {k: row[k] for k in LedgerEntry.__struct_fields__ if k not in ("usage", "prices", "labels")}
    return LedgerEntry(
        usage=msgspec.json.decode(row["usage"], type=Usage),
        prices=msgspec.json.decode(row["prices"], type=UnitPrices) if row["prices"] is not None else None,
        labels=msgspec.json.decode(row["labels"], type=dict[str, str]),
        **values,
    )


def _day(number: str) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=int(float(number)))).isoformat()

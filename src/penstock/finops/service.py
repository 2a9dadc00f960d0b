"""Decides about budgets and answers questions about money."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement

from penstock.finops import store
from penstock.finops.answers import (
    BudgetChange,
    BudgetView,
    Correction,
    Filter,
    LedgerEntry,
    LedgerPage,
    LedgerView,
    Others,
    Spending,
    SpendRow,
)
from penstock.finops.budgets import Budget, Budgets, Standing, period_of
from penstock.finops.declared import budgets_of, is_declared
from penstock.finops.rows import LedgerRow
from penstock.finops.shares import Shares
from penstock.finops.tables import LEDGER
from penstock.kernel.call import Usage
from penstock.kernel.errors import Conflict, Forbidden, NotFound, PenstockError, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import Tasks
from penstock.storage.records import Records

Group = Literal["task", "model", "team", "project", "key", "provider", "person", "organisation", "status", "day"]
_COLUMN = {"key": "key_id"}
LARGEST = 10**15
"""Largest amount in micro-units: a billion dollars."""

LONGEST_REASON = 500
LISTED = 100
"""Groups of spending that are listed by themselves."""


class Money:
    """The service of finops. Budgets in memory follow what is stored; the ledger is asked from the database."""

    def __init__(self, records: Records, budgets: Budgets, flush: Callable[[], Any], clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._budgets = budgets
        self._flush = flush
        self._clock = clock
        self._known: dict[str, Budget] = {}
        self._shares: Shares | None = None
        self._tasks: Tasks | None = None
        self._counting = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None

    def follow(self, tasks: Tasks | None) -> None:
        """From now on budgets that tasks declare hold too; `look` takes in what they have become."""
        self._tasks = tasks

    def join(self, shares: Shares) -> None:
        """From now on this process spends of hard budgets only what it holds of them."""
        self._shares = shares

    def more(self) -> Awaitable[None] | None:
        """After a call was refused: what to await before it asks once more; None when its budgets are spent whatever others hold."""
        if self._shares is None or not self._budgets.short:
            return None
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew_short(), name="shares of budgets")
        return asyncio.shield(self._renewing)

    async def leave(self) -> None:
        """Wait for what is being asked of the database, and give this process's shares back as far as it takes them."""
        if self._renewing is not None:
            await asyncio.wait([self._renewing])
        if self._shares is not None:
            with contextlib.suppress(PenstockError):  # then they end by themselves
                await self._shares.drop()

    async def look(self) -> None:
        """Take in budgets that others have made, changed or removed, and those of tasks."""
        for budget in await self._changed():
            await self._take_in(budget)

    async def refresh(self) -> None:
        """Take in all budgets, and what the ledger says was spent in their periods, by whichever process."""
        changed = {budget.id: budget for budget in await self._changed()}
        for budget in tuple(self._known.values()):
            if budget.id not in changed:
                await self._count(budget)
        for budget in changed.values():
            await self._take_in(budget)

    def all_budgets(self) -> list[BudgetView]:
        """Every budget of the installation, by name; for measures, not for readers."""
        return [self._view(budget) for budget in sorted(self._known.values(), key=lambda b: b.name)]

    def budgets(self, reader: Principal) -> list[BudgetView]:
        """The budgets that ``reader`` may see and how they stand, by name."""
        return [view for view in self.all_budgets() if _sees(reader, view.budget)]

    def budget(self, reader: Principal, id: str) -> BudgetView:
        """One budget. Raises `NotFound`."""
        return self._view(self._get(reader, id))

    async def create_budget(self, actor: Principal, change: BudgetChange) -> BudgetView:
        """Add a budget; it holds from the next call on. Raises `RequestError`, `Forbidden` or `Conflict`."""
        terms = self._terms(actor, change, None)
        budget = Budget(id=new_id("budget"), created_at=self._clock(), **terms)
        await self._records.write(lambda connection: store.put_budget(connection, budget, new=True))
        await self._take_in(budget)
        return self._view(budget)

    async def change_budget(self, actor: Principal, id: str, change: BudgetChange) -> BudgetView:
        """Replace a budget's terms; it stays with its organisation unless another is named. Raises as `create_budget`, and `NotFound`.

        `Conflict` (``budget_of_task``) for one that a task declares."""
        old = self._own(actor, id)
        if change.organisation is None:
            change = msgspec.structs.replace(change, organisation=old.organisation)
        budget = Budget(id=id, created_at=old.created_at, **self._terms(actor, change, id))
        await self._records.write(lambda connection: store.put_budget(connection, budget, new=False))
        await self._take_in(budget)
        return self._view(budget)

    async def remove_budget(self, actor: Principal, id: str) -> None:
        """Delete a budget; what was spent stays on the ledger. Raises `NotFound`, and `Conflict` for a task's."""
        self._own(actor, id)
        await self._records.write(lambda connection: store.remove_budget(connection, id))
        self._forget(id)

    async def correct(self, actor: Principal, id: str, correction: Correction) -> LedgerEntry:
        """Add a row that makes the row ``id`` amount to ``correction.amount``; nothing is overwritten.

        The new row belongs to the same owners and the same moment, so that sums over a period and budgets come out right. Raises
        `NotFound`, and `RequestError` for a row that is a correction itself or amounts to that already.
        """
        reason = correction.reason.strip()
        if not 1 <= len(reason) <= LONGEST_REASON:
            raise RequestError(f"reason: say why in 1 to {LONGEST_REASON} characters", param="reason")
        _refuse_nul(id=id, reason=reason)
        if not 0 <= correction.amount <= LARGEST:
            raise RequestError(f"amount: must be 0 to {LARGEST} micro-units", param="amount")
        await self._flush()

        def work(connection: store.Connection) -> LedgerRow:
            old = store.one(connection, id, actor.reach)
            if old is None:
                raise NotFound(f"there is no ledger row {id[:60]!r}")
            if old.corrects is not None:
                raise RequestError(f"this row is a correction itself; correct {old.corrects}", param="id")
            count, added = store.corrected(connection, id)
            difference = correction.amount - old.amount - added
            if difference == 0:
                raise RequestError(f"amount: the row amounts to {correction.amount} micro-units already", param="amount")
            row = msgspec.structs.replace(
                old,
                # Beside the row that it corrects in every list, which go by id.
                id=f"{id}.{count + 1:04d}",
                usage=Usage(),
                prices=None,
                amount=difference,
                status="correction",
                corrects=id,
                reason=reason,
                by=actor.key_id,
            )
            if store.add_rows(connection, [row]) != 1:
                raise Conflict("the row was corrected by somebody else at the same moment; look at it again")
            return row

        row = await self._records.write(work)
        for budget in tuple(self._known.values()):
            await self._count(budget)
        return _shown(row)

    async def row(self, reader: Principal, id: str) -> LedgerView:
        """One row and what corrects it; a correction is shown by itself. Raises `NotFound`."""
        _refuse_nul(id=id)
        await self._flush()

        def work(connection: store.Connection) -> LedgerView:
            row = store.one(connection, id, reader.reach)
            if row is None:
                raise NotFound(f"there is no ledger row {id[:60]!r}")
            corrections = store.corrections(connection, id)
            amount = row.amount + sum(correction.amount for correction in corrections)
            return LedgerView(row=_shown(row), corrections=[_shown(correction) for correction in corrections], amount=amount)

        return await self._records.read(work)

    async def ledger(self, reader: Principal, wanted: Filter, cursor: str | None, limit: int) -> LedgerPage:
        """A page of rows and the totals of all that the filter means; includes every call that has ended by now."""
        _refuse_nul(cursor=cursor)
        await self._flush()
        where = _where(reader, wanted)

        def work(connection: store.Connection) -> LedgerPage:
            rows = store.rows(connection, where, cursor, limit + 1)
            count, amount, unpriced = store.totals(connection, where)
            more = rows[limit - 1].id if len(rows) > limit else None
            return LedgerPage(data=[_shown(r) for r in rows[:limit]], next_cursor=more, rows=count, amount=amount, unpriced=unpriced)

        return await self._records.read(work)

    async def spend(self, reader: Principal, wanted: Filter, group: Group, limit: int = LISTED) -> Spending:
        """Spending by group: ``limit`` of them by themselves, the rest together."""
        await self._flush()
        where = _where(reader, wanted)
        column = _COLUMN.get(group, group)
        found, groups, total = await self._records.read(lambda connection: store.grouped(connection, where, column, limit))
        rows = [
            SpendRow(group=_day(name) if group == "day" and name else name, amount=amount, calls=calls, input_tokens=i, output_tokens=o)
            for name, (calls, amount, i, o) in found
        ]
        calls, amount, i, o = (whole - sum(sums[at] for _, sums in found) for at, whole in enumerate(total))
        others = Others(groups=groups - len(rows), amount=amount, calls=calls, input_tokens=i, output_tokens=o)
        return Spending(data=rows, others=others if others.groups else None, amount=total[1])

    async def _changed(self) -> list[Budget]:
        """Budgets that are stored with other terms than those that are known; forgets those that are gone."""
        stored = [*await self._records.read(store.budgets), *budgets_of(self._tasks)]
        for id in self._known.keys() - {budget.id for budget in stored}:
            self._forget(id)
        return [budget for budget in stored if self._known.get(budget.id) != budget]

    async def _renew_short(self) -> None:
        await asyncio.sleep(0)  # calls of the same moment ask together
        for id in tuple(self._budgets.short):
            budget = self._known.get(id)
            if budget is None:
                self._budgets.short.discard(id)
            else:
                await self._count(budget)

    def _view(self, budget: Budget) -> BudgetView:
        standing = self._budgets.standing(budget.id) or Standing(spent=0, reserved=0, resets_at=None)
        return BudgetView(budget=budget, standing=standing)

    def _get(self, reader: Principal, id: str) -> Budget:
        budget = self._known.get(id)
        if budget is None or not _sees(reader, budget):
            raise NotFound(f"there is no budget {id[:60]!r}")
        return budget

    def _own(self, actor: Principal, id: str) -> Budget:
        budget = self._get(actor, id)
        if is_declared(id):
            raise Conflict(f"the task {budget.subject!r} declares this budget; change the task", code="budget_of_task", param="id")
        return budget

    def _forget(self, id: str) -> None:
        self._budgets.remove(id)
        del self._known[id]

    def _terms(self, actor: Principal, change: BudgetChange, id: str | None) -> dict[str, Any]:
        organisation = actor.organisation if change.organisation is None else change.organisation
        if actor.reach not in (None, organisation):
            raise Forbidden("only administrators of the installation may limit another organisation, or all of them", param="organisation")
        if len(organisation) > 200:
            raise RequestError("organisation: not the id of one", param="organisation")
        if not 0 <= len(change.alerts) <= 10 or any(not 1 <= level <= 99 for level in change.alerts):
            raise RequestError("alerts: up to 10 levels of 1 to 99 per cent; reaching the limit is always told", param="alerts")
        if not change.name.strip() or len(change.name) > 200:
            raise RequestError("name: 1 to 200 characters", param="name")
        if not 0 <= change.limit <= LARGEST:
            raise RequestError(f"limit: 0 to {LARGEST} micro-units, not {change.limit}", param="limit")
        if (change.subject_kind == "everything") != (not change.subject):
            raise RequestError("subject: names whom the budget is for, and is empty for everything", param="subject")
        if len(change.subject) > 200:
            raise RequestError("subject: at most 200 characters", param="subject")
        _refuse_nul(name=change.name, subject=change.subject, organisation=organisation)
        if any(b.name == change.name and b.organisation == organisation and b.id != id for b in self._known.values()):
            raise Conflict(f"name: a budget named {change.name!r} exists already", param="name")
        return {**msgspec.structs.asdict(change), "organisation": organisation, "alerts": tuple(sorted(set(change.alerts)))}

    async def _take_in(self, budget: Budget) -> None:
        # Counted before it is put, so that it holds from the first moment and tells nothing that was reached long ago; and again after,
        # for what was settled in between.
        begin, _ = period_of(budget.period, self._clock())
        spent = await self._spent(budget, begin)
        self._known[budget.id] = budget
        self._budgets.put(budget, spent)
        await self._count(budget)

    async def _count(self, budget: Budget) -> None:
        # One after the other: of two at once, one could leave its share in the table and the other its own, larger one, in memory.
        async with self._counting:
            # The order matters: all that was settled before the mark is in the database when it is asked.
            mark = self._budgets.mark(budget.id)
            if mark is not None:
                try:
                    if self._shares is None or not await self._shares.renew(budget, mark):
                        self._budgets.correct(budget.id, await self._spent(budget, mark.begin, mark.since), mark)
                finally:
                    self._budgets.drop(mark)

    async def _spent(self, budget: Budget, begin: float, without: Sequence[str] = ()) -> int:
        await self._flush()
        return await self._records.read(lambda connection: store.spent_since(connection, budget, begin, tuple(without)))


def _refuse_nul(**given: str | None) -> None:
    # PostgreSQL takes no text that holds one, so nothing on record can.
    for field, text in given.items():
        if text is not None and "\0" in text:
            raise RequestError(f"{field}: holds the character NUL", param=field)


def _sees(reader: Principal, budget: Budget) -> bool:
    return reader.reach in (None, budget.organisation)


def _where(reader: Principal, wanted: Filter) -> Sequence[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [] if reader.reach is None else [LEDGER.c.organisation == reader.reach]
    if wanted.since is not None:
        where.append(LEDGER.c.at >= int(wanted.since * 1000))
    if wanted.until is not None:
        where.append(LEDGER.c.at < int(wanted.until * 1000))
    for name in ("task", "model", "team", "project", "key", "provider", "status", "run"):
        value = getattr(wanted, name)
        if value is not None:
            _refuse_nul(**{name: value})
            where.append(LEDGER.c[_COLUMN.get(name, name)] == value)
    return where


def _shown(row: LedgerRow) -> LedgerEntry:
    return LedgerEntry(**{name: getattr(row, name) for name in LedgerEntry.__struct_fields__})


def _day(number: str) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=int(float(number)))).isoformat()

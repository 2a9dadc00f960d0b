"""A second opinion on the ledger: every amount computed again from what the row itself says, and what follows from the amounts.

Rows are streamed: memory does not grow with the ledger, nor with what is wrong with it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, func, inspect, or_, select
from sqlalchemy.engine import Row

from penstock.finops import store
from penstock.finops.budgets import Budget, Owners, Subject, period_of, subject_of, subjects
from penstock.finops.journals import Journals, look
from penstock.finops.money import UnitPrices, amount
from penstock.finops.rows import LedgerRow
from penstock.finops.running import compare, over_http
from penstock.finops.settings import FinopsSettings
from penstock.finops.tables import BUDGETS, LEDGER, SPOOL
from penstock.kernel.call import Usage
from penstock.settings import ServerSettings, StorageSettings, load
from penstock.storage.records import Records, open_records

KEPT = 100
"""Faults that are told in words; more are only counted."""

STREAM = {"stream_results": True, "yield_per": 1000}
"""Without it a driver hands over the whole ledger at once."""

_OWNERS = ("at", "organisation", "team", "project", "person", "key_id", "task", "model", "provider", "provider_model", "currency")
"""What a correction shares with the row that it corrects."""


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: ``checked`` rows of which ``corrections``, ``budgets`` whose spending was added up twice, the number of faults
    (``wrong``), the first of them in words, what stands in the journals, and how many budgets a running process was asked for."""

    checked: int
    corrections: int
    budgets: int
    wrong: int
    faults: list[str]
    journals: Journals
    compared: int = 0


class Faults:
    """Counts faults and keeps the first in words."""

    def __init__(self) -> None:
        self.count = 0
        self.kept: list[str] = []

    def __call__(self, fault: str) -> None:
        self.count += 1
        if len(self.kept) < KEPT:
            self.kept.append(fault)


def verify_ledger(config: Path | None, running: str | None = None, key: str = "") -> Audit:
    """Look at the ledger, its corrections, the budgets' sums and the journals of the installation that ``config`` describes.

    With the address of a ``running`` Penstock, and a ``key`` of it, also compare what it says of its budgets. Changes nothing: what waits
    in the spool of a dead process is moved by the next start.
    """
    settings = load({"finops": FinopsSettings}, file=config, others=True)
    folder = Path(settings.of(ServerSettings).data_dir)
    records = open_records(settings.of(StorageSettings).records, folder)
    try:
        found = audit(records, folder / SPOOL, time.time())
        if running is None:
            return found
        # Twice, since a process may just have begun to count when it is asked first.
        patience = 1.0 + (2 * settings.of(FinopsSettings).budget_refresh_seconds if records.dialect != "sqlite" else 0.0)
        said = compare(records, over_http(running, key), patience)
        faults, wrong = [*found.faults, *said.faults], found.wrong + len(said.faults)
        return msgspec.structs.replace(found, compared=said.budgets, wrong=wrong, faults=faults)
    finally:
        records.close()


def audit(records: Records, root: Path, now: float) -> Audit:
    """The same for an open database and a folder of spools; ``now`` (Unix seconds) says which period each budget is in."""
    faults = Faults()
    checked = corrections = budgets = 0
    with records.snapshot() as connection:
        if inspect(connection).has_table(LEDGER.name):
            spending = _Spending(connection, now, faults)
            for row in connection.execute(select(LEDGER), execution_options=STREAM):
                checked += 1
                corrections += row.corrects is not None
                spending.add(row, _check(row, faults))
            _check_corrections(connection, faults)
            budgets = spending.compare(connection, faults)
    journals = look(root, lambda ids: _known(records, ids), faults)
    return Audit(checked=checked, corrections=corrections, budgets=budgets, wrong=faults.count, faults=faults.kept, journals=journals)


def _known(records: Records, ids: Sequence[str]) -> dict[str, LedgerRow | None]:
    # Asked anew for each stretch: what a running process has moved since the rows were looked at is there by now.
    found: dict[str, LedgerRow | None] = {}
    with records.snapshot() as connection:
        if inspect(connection).has_table(LEDGER.name):
            for row in store.by_id(connection, ids):
                try:
                    found[row["id"]] = store.ledger_row(row)
                except msgspec.DecodeError:  # told already, when the rows were looked at
                    found[row["id"]] = None
    return found


def _check(row: Row[Any], fault: Faults) -> int:
    """Tell what is wrong with one row by itself; what it should amount to."""
    usage, prices = _decoded(row, fault)
    if usage is not None:
        for column, stored, should in (
            ("input_tokens", row.input_tokens, usage.input),
            ("output_tokens", row.output_tokens, usage.output),
            ("estimated", row.estimated, usage.estimated),
        ):
            if stored != should:
                fault(f"{row.id}: {column} is {stored}, {should} by its usage")
    if row.corrects is not None:
        if row.status != "correction" or not row.reason or row.prices is not None or usage not in (None, Usage()):
            fault(f"{row.id}: corrects {row.corrects}, but has a price, usage or another status, or gives no reason")
        return int(row.amount)
    if row.status == "correction":
        fault(f"{row.id}: is a correction, of no row")
    if usage is None or (prices is None and row.prices is not None):
        return int(row.amount)
    should = amount(prices, usage) if prices is not None else 0
    if should != row.amount:
        fault(f"{row.id}: {row.amount} on the ledger, {should} by its prices")
    return should


def _decoded(row: Row[Any], fault: Faults) -> tuple[Usage | None, UnitPrices | None]:
    usage: Usage | None = None
    prices: UnitPrices | None = None
    for column in ("usage", "prices", "labels"):
        text: str | None = getattr(row, column)
        try:
            if column == "usage":
                usage = msgspec.json.decode(text or "", type=Usage)
            elif column == "prices" and text is not None:
                prices = msgspec.json.decode(text, type=UnitPrices)
            elif column == "labels":
                msgspec.json.decode(text or "", type=dict[str, str])
        except msgspec.DecodeError:
            fault(f"{row.id}: its {column} cannot be read")
    return usage, prices


def _check_corrections(connection: Connection, fault: Faults) -> None:
    whole = LEDGER.alias("whole")
    joined = LEDGER.outerjoin(whole, whole.c.id == LEDGER.c.corrects)
    strays = or_(*(LEDGER.c[name].is_distinct_from(whole.c[name]) for name in _OWNERS))
    asked = (
        select(LEDGER.c.id, LEDGER.c.corrects, whole.c.id, whole.c.corrects)
        .select_from(joined)
        .where(LEDGER.c.corrects.is_not(None), or_(whole.c.id.is_(None), whole.c.corrects.is_not(None), strays))
    )
    for id, corrects, there, again in connection.execute(asked, execution_options=STREAM):
        if there is None:
            fault(f"{id}: corrects {corrects}, which is not on the ledger")
        elif again is not None:
            fault(f"{id}: corrects {corrects}, which is a correction itself")
        else:
            fault(f"{id}: corrects {corrects}, but has another moment or other owners")
    grouped = (
        select(whole.c.id, func.count(), func.max(LEDGER.c.id), func.sum(LEDGER.c.amount) + whole.c.amount)
        .select_from(LEDGER.join(whole, whole.c.id == LEDGER.c.corrects))
        .group_by(whole.c.id, whole.c.amount)
    )
    for id, number, latest, amounts in connection.execute(grouped, execution_options=STREAM):
        # Numbered from 1 without a gap, so that a row that was taken out is missed. Beyond four digits texts have another order.
        if number < 10_000 and latest != f"{id}.{number:04d}":
            fault(f"{id}: has {number} corrections, the last of which is {latest}")
        if amounts < 0:
            fault(f"{id}: comes to {int(amounts)} with its corrections, less than nothing")


class _Spending:
    """What the budgets should count, added up from the rows as the line would count them, beside what the database's sums say."""

    def __init__(self, connection: Connection, now: float, fault: Faults) -> None:
        self._begins: dict[str, int] = {}
        self._sums: dict[str, int] = {}
        self._found: dict[Subject, list[Budget]] = {}
        for row in connection.execute(select(BUDGETS)).mappings():
            try:
                budget = store.budget(row)
            except msgspec.MsgspecError:
                fault(f"budget {row['id']}: its terms cannot be read")
                continue
            self._begins[budget.id] = int(period_of(budget.period, now)[0] * 1000)
            self._sums[budget.id] = 0
            self._found.setdefault(subject_of(budget), []).append(budget)
        self._first = min(self._begins.values(), default=0)

    def add(self, row: Row[Any], should: int) -> None:
        """Count a row for every budget that it is in."""
        if not self._found or row.at < self._first:
            return
        owners = Owners(row.organisation, row.team, row.project, row.person, row.key_id, row.task, row.model)
        for subject in subjects(owners):
            for budget in self._found.get(subject, ()):
                if row.at >= self._begins[budget.id]:
                    self._sums[budget.id] += should

    def compare(self, connection: Connection, fault: Faults) -> int:
        """Tell where the two differ; how many budgets there are."""
        for budgets in self._found.values():
            for budget in budgets:
                counted = store.spent(connection, budget.organisation, budget.subject_kind, budget.subject, self._begins[budget.id])
                if counted != self._sums[budget.id]:
                    fault(f"budget {budget.name!r}: counts {counted} as spent, its rows come to {self._sums[budget.id]}")
        return len(self._sums)

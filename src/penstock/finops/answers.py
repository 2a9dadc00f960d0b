"""What is asked of the service of money, and what it answers: the shapes of the routes and the pages."""

from __future__ import annotations

import msgspec

from penstock.finops.budgets import Budget, Period, Standing, SubjectKind
from penstock.finops.money import UnitPrices
from penstock.kernel.call import Usage
from penstock.kernel.web import Moment


class BudgetChange(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set on a budget; ``limit`` in micro-units (1,000,000 is one dollar), ``alerts`` in per cent of it.

    ``organisation`` is whose spending counts: the asker's own when left out; empty for the whole installation, which only its own
    administrators may ask for.
    """

    name: str
    limit: int
    period: Period = "month"
    subject_kind: SubjectKind = "everything"
    subject: str = ""
    hard: bool = True
    organisation: str | None = None
    alerts: tuple[int, ...] = (80,)


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """A budget and how it stands."""

    budget: Budget
    standing: Standing


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which ledger rows are meant: times are Unix seconds, the rest exact values; None does not restrict."""

    since: Moment | None = None
    until: Moment | None = None
    task: str | None = None
    model: str | None = None
    team: str | None = None
    project: str | None = None
    key: str | None = None
    provider: str | None = None
    status: str | None = None
    run: str | None = None


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One ledger row as it is shown; ``amount`` and ``prices`` in micro-units, ``at`` in Unix milliseconds.

    A correction names the row that it ``corrects``; its ``amount`` is the difference.
    """

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
    corrects: str | None
    reason: str | None
    by: str | None
    run: str | None
    step: int | None


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """What a row should have said: ``amount`` in micro-units, and why it did not."""

    amount: int
    reason: str


class LedgerView(msgspec.Struct, frozen=True, kw_only=True):
    """One row, the corrections of it in their order, and the ``amount`` that they come to together, in micro-units."""

    row: LedgerEntry
    corrections: list[LedgerEntry]
    amount: int


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


class Others(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of the groups that are not listed by themselves, and how many they are."""

    groups: int
    amount: int
    calls: int
    input_tokens: int
    output_tokens: int


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """The dearest groups (the latest days, in order), the ``others`` if there are any, and the ``amount`` of all in micro-units."""

    data: list[SpendRow]
    others: Others | None
    amount: int

"""What a running Penstock says is spent of its budgets, beside what the ledger comes to: the one figure that only the process holds."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from penstock.finops import store
from penstock.finops.budgets import Budget, period_of
from penstock.finops.declared import is_declared
from penstock.finops.service import BudgetView
from penstock.kernel.errors import Unavailable
from penstock.remote import Remote
from penstock.storage.records import Records

Ask = Callable[[str], bytes]
"""The answer to a GET of a path, as the holder of some key. Raises a `PenstockError`."""

PAUSE = 0.2
"""Seconds between two looks."""


class Comparison(msgspec.Struct, frozen=True):
    """How many budgets were compared, and a line for each that does not agree with the ledger."""

    budgets: int
    faults: list[str]


class _Listed(msgspec.Struct):
    data: list[BudgetView]


def compare(records: Records, ask: Ask, patience: float) -> Comparison:
    """Compare what the process says of each budget that the key may see with the sum on the ledger.

    Calls go on meanwhile: the sum must lie between what was spent before and after it was taken. What does not agree is looked at again
    for ``patience`` seconds, since a process takes over what others spend only now and then, and periods end.
    """
    until = time.monotonic() + patience
    while True:
        found = _look(records, ask)
        if not found.faults or time.monotonic() >= until:
            return found
        time.sleep(PAUSE)


def _look(records: Records, ask: Ask) -> Comparison:
    before = _spent(ask)
    ask("/v1/ledger?limit=1")  # moves what is journalled into the database
    now = time.time()
    with records.snapshot() as connection:
        stored = {budget.id: budget for budget in store.budgets(connection)}
        # What tasks declare is not stored: the process's own terms are the ones there are.
        stored |= {id: budget for id, (budget, _) in before.items() if is_declared(id)}
        sums = {b.id: _sum(connection, b, now) for b in stored.values() if b.id in before}
    after = _spent(ask)
    faults: list[str] = []
    for id, (budget, least) in before.items():
        if id not in after:
            continue
        most = after[id][1]
        if id not in stored:
            faults.append(f"budget {budget.name!r}: is held by the process, but not in the database")
        elif stored[id] != budget:
            faults.append(f"budget {budget.name!r}: the process holds other terms than the database")
        elif not min(least, most) <= sums[id] <= max(least, most):
            told = str(least) if least == most else f"{least} to {most}"
            faults.append(f"budget {budget.name!r}: the process says that {told} is spent, the ledger comes to {sums[id]}")
    return Comparison(len(before), faults)


def _sum(connection: store.Connection, budget: Budget, now: float) -> int:
    since = int(period_of(budget.period, now)[0] * 1000)
    return store.spent(connection, budget.organisation, budget.subject_kind, budget.subject, since)


def _spent(ask: Ask) -> dict[str, tuple[Budget, int]]:
    try:
        listed = msgspec.json.decode(ask("/v1/budgets"), type=_Listed)
    except msgspec.DecodeError as fault:
        raise Unavailable("what answers there is no Penstock of this version") from fault
    return {view.budget.id: (view.budget, view.standing.spent) for view in listed.data}


def over_http(url: str, key: str) -> Ask:
    """An `Ask` of the Penstock at ``url`` (http or https), with a key that may read."""
    return Remote(url, key, seconds=30).get

"""What a form says is read exactly, and what is wrong with it is told at its field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.finops.budgets import Budget, Period
from penstock.finops.forms import budget_change, correction, filled
from penstock.finops.service import LARGEST, BudgetChange, Correction
from penstock.kernel.errors import RequestError


def test_a_form_that_is_left_as_it_comes_is_the_default_of_the_api() -> None:
    form = {"name": " month ", "limit": "25", "alerts": "80", "hard": "on", "subject_kind": "everything", "subject": "", "period": "month"}
    assert budget_change(form) == BudgetChange(name="month", limit=25_000_000)
    assert budget_change({"name": "month", "limit": "$0.50", "hard": "on"}) == BudgetChange(name="month", limit=500_000)


def test_levels_are_read_however_they_are_parted() -> None:
    for written in ("50, 80,95", "50 80 95", "50%, 80 %, 95%"):
        assert budget_change({"name": "b", "limit": "1", "alerts": written}).alerts == (50, 80, 95)
    assert budget_change({"name": "b", "limit": "1", "alerts": " "}).alerts == ()


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"limit": ""}, "limit"),
        ({"limit": "a lot"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "0.0000001"}, "limit"),
        ({"limit": "1000000001"}, "limit"),
        ({"limit": "1e999999999"}, "limit"),
        ({"limit": "NaN"}, "limit"),
        ({"alerts": "half"}, "alerts"),
        ({"alerts": "-5"}, "alerts"),
        ({"alerts": "80.5"}, "alerts"),
        ({"alerts": "²"}, "alerts"),
        ({"period": "decade"}, "period"),
        ({"subject_kind": "planet"}, "subject_kind"),
    ],
    ids=str,
)
def test_a_wrong_budget_names_its_field(terms: dict[str, str], field: str) -> None:
    with pytest.raises(RequestError) as fault:
        budget_change({"name": "b", "limit": "5", **terms})
    assert fault.value.param == field
    assert fault.value.message.startswith(f"{field}: ")


@pytest.mark.parametrize("amount", ["", "x", "-1", "1e30"])
def test_a_wrong_correction_names_its_field(amount: str) -> None:
    with pytest.raises(RequestError) as fault:
        correction({"amount": amount, "reason": "because"})
    assert fault.value.param == "amount"


def test_a_correction_is_in_dollars() -> None:
    assert correction({"amount": "0.000015", "reason": "r"}) == Correction(amount=15, reason="r")


@given(
    limit=st.integers(0, LARGEST),
    alerts=st.sets(st.integers(1, 99), max_size=10),
    hard=st.booleans(),
    period=st.sampled_from(("day", "week", "month", "total")),
)
def test_a_form_that_is_filled_and_read_back_changes_nothing(limit: int, alerts: set[int], hard: bool, period: Period) -> None:
    levels = tuple(sorted(alerts))
    budget = Budget(
        id="b", name="n", subject_kind="model", subject="m", period=period, limit=limit, hard=hard, created_at=0.0, alerts=levels
    )
    change = budget_change(filled(budget))
    for field in ("name", "subject_kind", "subject", "period", "limit", "hard", "alerts"):
        assert getattr(change, field) == getattr(budget, field)

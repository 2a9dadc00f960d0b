from __future__ import annotations

import datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from penstock.finops.budgets import Budget, Budgets, Owners, Period, Reservation, SubjectKind, period_of
from penstock.kernel.errors import BudgetExceeded
from penstock.kernel.events import BudgetSpent, Events

MARCH_4 = datetime.datetime(2026, 3, 4, 12, tzinfo=datetime.UTC).timestamp()
DAY = 86_400


class Clock:
    def __init__(self) -> None:
        self.now = MARCH_4

    def __call__(self) -> float:
        return self.now


def budget(
    limit: int, *, id: str = "b", kind: SubjectKind = "key", subject: str = "k1", period: Period = "month", hard: bool = True
) -> Budget:
    return Budget(id=id, name=id, subject_kind=kind, subject=subject, period=period, limit=limit, hard=hard, created_at=MARCH_4)


def owners(key: str = "k1", task: str | None = None) -> Owners:
    return Owners("org", "team", None, None, key, task, "gpt-4o")


@pytest.mark.parametrize(
    ("period", "begin", "end"),
    [("day", "2026-03-04", "2026-03-05"), ("week", "2026-03-02", "2026-03-09"), ("month", "2026-03-01", "2026-04-01")],
)
def test_periods_are_calendar_periods_in_utc(period: Period, begin: str, end: str) -> None:
    expected = tuple(datetime.datetime.fromisoformat(d).replace(tzinfo=datetime.UTC).timestamp() for d in (begin, end))
    assert period_of(period, MARCH_4) == expected
    assert period_of(period, expected[0]) == expected, "a period holds its first moment"
    assert period_of(period, expected[1])[0] == expected[1], "and not its last"


def test_what_is_reserved_counts_until_it_is_settled() -> None:
    budgets = Budgets(Events(), Clock())
    budgets.put(budget(100), 0)
    first = budgets.reserve(owners(), 60)
    with pytest.raises(BudgetExceeded, match=r"budget 'b' .* it resets at 2026-04-01 00:00 UTC") as refused:
        budgets.reserve(owners(), 50)
    assert refused.value.retry_after == pytest.approx(27.5 * DAY)
    budgets.settle(first, owners(), 10)
    second = budgets.reserve(owners(), 90)
    budgets.settle(second, owners(), 90)
    with pytest.raises(BudgetExceeded):
        budgets.check(owners())


def test_a_refused_reservation_leaves_nothing_behind_in_any_budget() -> None:
    budgets = Budgets(Events(), Clock())
    budgets.put(budget(1000, id="wide", kind="organisation", subject="org"), 0)
    budgets.put(budget(10, id="narrow"), 0)
    with pytest.raises(BudgetExceeded, match="narrow"):
        budgets.reserve(owners(), 11)
    standing = budgets.standing("wide")
    assert standing is not None
    assert standing.reserved == 0


def test_other_owners_are_not_concerned() -> None:
    budgets = Budgets(Events(), Clock())
    budgets.put(budget(0), 0)
    assert budgets.reserve(owners("k2"), 10**9) is None


def test_a_reservation_is_settled_once() -> None:
    budgets = Budgets(Events(), Clock())
    budgets.put(budget(100), 0)
    held = budgets.reserve(owners(), 50)
    budgets.settle(held, owners(), 20)
    budgets.settle(held, owners(), 20)
    standing = budgets.standing("b")
    assert standing is not None
    assert (standing.spent, standing.reserved) == (20, 0)


def test_a_soft_budget_only_tells_and_tells_once() -> None:
    events, told = Events(), list[BudgetSpent]()
    events.subscribe(BudgetSpent, told.append)
    budgets = Budgets(events, Clock())
    budgets.put(budget(100, hard=False), 0)
    for _ in range(3):
        budgets.settle(budgets.reserve(owners(), 70), owners(), 70)
    assert [(t.budget_id, t.limit, t.spent) for t in told] == [("b", 100, 140)]


def test_a_new_period_begins_with_nothing_spent() -> None:
    clock = Clock()
    budgets = Budgets(Events(), clock)
    budgets.put(budget(100, period="day"), 100)
    with pytest.raises(BudgetExceeded):
        budgets.check(owners())
    clock.now += DAY
    budgets.check(owners())
    standing = budgets.standing("b")
    assert standing is not None
    assert standing.spent == 0


def test_a_call_counts_for_the_period_in_which_it_began() -> None:
    clock = Clock()
    budgets = Budgets(Events(), clock)
    budgets.put(budget(100, id="day", period="day"), 0)
    budgets.put(budget(100, id="month"), 0)
    held, began = budgets.reserve(owners(), 60), clock.now
    clock.now += DAY
    budgets.settle(held, owners(), 50, id="call_1", started=began)
    stands = [budgets.standing(id) for id in ("day", "month")]
    assert [(s.spent, s.reserved) for s in stands if s is not None] == [(0, 0), (50, 0)]
    budgets.settle(budgets.reserve(owners(), 10), owners(), 10, id="call_2", started=clock.now)
    today = budgets.standing("day")
    assert today is not None
    assert today.spent == 10


class Interleavings(RuleBasedStateMachine):
    """Any order of calls on two overlapping budgets: only what a call costs above its reservation may exceed a limit."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.budgets = Budgets(Events(), Clock())
        self.budgets.put(budget(100, id="key"), 0)
        self.budgets.put(budget(150, id="org", kind="organisation", subject="org"), 0)
        self.open: dict[str, int] = {"key": 0, "org": 0}
        self.spent: dict[str, int] = {"key": 0, "org": 0}
        self.above: dict[str, int] = {"key": 0, "org": 0}

    @rule(target=calls, key=st.sampled_from(["k1", "k2"]), most=st.integers(0, 80))
    def begin(self, key: str, most: int) -> tuple[str, Reservation, int] | None:
        concerned = ["key", "org"] if key == "k1" else ["org"]
        try:
            held = self.budgets.reserve(owners(key), most)
        except BudgetExceeded:
            limits = {"key": 100, "org": 150}
            assert any(self.spent[b] + self.open[b] + most > limits[b] or self.spent[b] >= limits[b] for b in concerned), (
                "refused although there was room"
            )
            return None
        assert held is not None
        for b in concerned:
            self.open[b] += most
        return key, held, most

    @rule(call=consumes(calls), cost=st.integers(0, 120))
    def end(self, call: tuple[str, Reservation, int] | None, cost: int) -> None:
        if call is None:
            return
        key, held, most = call
        self.budgets.settle(held, owners(key), cost)
        for b in ["key", "org"] if key == "k1" else ["org"]:
            self.open[b] -= most
            self.spent[b] += cost
            self.above[b] += max(0, cost - most)

    @invariant()
    def no_limit_is_exceeded_by_more_than_calls_cost_above_their_reservation(self) -> None:
        for b, limit in (("key", 100), ("org", 150)):
            standing = self.budgets.standing(b)
            assert standing is not None
            assert (standing.spent, standing.reserved) == (self.spent[b], self.open[b])
            assert standing.spent + standing.reserved <= limit + self.above[b]


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)

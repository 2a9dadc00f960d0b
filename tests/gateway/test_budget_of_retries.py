from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway.budget_of_retries import RetryBudget


def test_a_quiet_provider_may_be_asked_again_until_the_reserve_is_used_up() -> None:
    budget = RetryBudget(0.1, 3)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    for _ in range(11):
        budget.deposit()
    assert budget.take()
    assert not budget.take()
    assert (budget.taken, budget.refused) == (4, 2)


def test_fallbacks_are_never_refused_but_leave_less() -> None:
    budget = RetryBudget(0.1, 2)
    for _ in range(5):
        budget.drain()
    assert not budget.take()
    assert budget.tokens == 0


@given(st.lists(st.booleans(), max_size=500), st.floats(0, 0.5), st.integers(0, 20))
def test_further_tries_stay_within_the_ratio_and_the_reserve(steps: list[bool], ratio: float, reserve: int) -> None:
    budget, firsts, further = RetryBudget(ratio, reserve), 0, 0
    for first in steps:
        if first:
            budget.deposit()
            firsts += 1
        else:
            further += budget.take()
        assert further <= reserve + ratio * firsts + 1e-6
        assert 0 <= budget.tokens <= reserve

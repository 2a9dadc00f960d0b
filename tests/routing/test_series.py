"""Attempts share what may go wrong; a new claim needs labels that have certified nothing before."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.routing.policy import VERSION, WATCH, Frozen, Policy
from penstock.routing.series import next_attempt, share

PAIR = ("a", "b")


def policy(state: Any, **terms: Any) -> Policy:
    given: dict[str, Any] = {
        "id": "p", "organisation": "o", "task": "t", "number": 1, "state": state, "created_at": 1.0, "by": "k", "claim": "c", "series": 1,
        "attempt": 1, "since": 0.0, "until": 100.0, "frozen": Frozen(candidates=PAIR, costs=(1.0, 2.0), singles=PAIR),
    }  # fmt: skip
    return Policy(**{**given, **terms})


def test_all_attempts_together_get_alpha_wrong_at_most() -> None:
    assert sum(share(0.05, k) for k in range(1, 100_000)) <= 0.05
    assert sum(share(0.05, k) for k in range(1, 100_000)) == pytest.approx(0.05, rel=1e-4)


def test_the_first_attempt_may_use_every_label() -> None:
    first = next_attempt([], "c", PAIR, 0.95)
    assert (first.series, first.number, first.since, first.again) == (1, 1, 0.0, None)
    assert next_attempt([policy("failed"), policy("fitting")], "c", PAIR, 0.95).series == 1


def test_a_refused_claim_is_tried_again_with_the_same_fit_and_less_alpha() -> None:
    refused = policy("refused")
    again = next_attempt([refused], "c", PAIR, 0.95)
    assert (again.series, again.number, again.since, again.again) == (1, 2, 0.0, refused)
    assert again.alpha == share(1 - 0.95, 2)


@pytest.mark.parametrize("last", [policy("active"), policy("suspended"), policy("superseded"), policy("refused", claim="other")])
def test_another_claim_takes_fresh_labels(last: Policy) -> None:
    fresh = next_attempt([last], "c", PAIR, 0.95)
    assert (fresh.series, fresh.number, fresh.since, fresh.again) == (2, 1, 100.0, None)
    assert next_attempt([policy("refused")], "c", ("a", "b", "new"), 0.95).series == 2


def test_what_was_fitted_to_another_model_is_fitted_anew() -> None:
    refused = policy("refused", models={"a": ("up/a", "v1")})
    assert next_attempt([refused], "c", PAIR, 0.95, bound={"a": ("up/a", "v1")}).again is refused
    for now in ({"a": ("up/a", "v2")}, {"a": ("down/a", "v1")}):
        other = next_attempt([refused], "c", PAIR, 0.95, bound=now)
        assert (other.series, other.again) == (2, None)


def test_attempts_that_nobody_asked_for_share_one_alpha_over_all_series() -> None:
    first = policy("active", attempt=2, spent=2, alpha=0.01)
    second = next_attempt([first], "c", PAIR, 0.95, automatic=True)
    assert (second.series, second.number, second.spent, second.alpha) == (2, 1, 3, share(1 - 0.95, 3))
    assert next_attempt([first], "c", PAIR, 0.95).alpha == share(1 - 0.95, 1)  # a person begins anew
    assert next_attempt([first], "other", PAIR, 0.95, automatic=True).spent == 3  # another claim does not
    refused = policy("refused", series=2, attempt=1, spent=3)
    assert next_attempt([refused], "c", PAIR, 0.95, automatic=True).spent == next_attempt([refused], "c", PAIR, 0.95).spent == 4


def test_a_task_that_is_declared_to_and_fro_spends_no_more_than_one_alpha() -> None:
    before, spent = [policy("active", spent=1, alpha=share(0.05, 1))], share(0.05, 1)
    for number in range(2, 30):
        claim = "cd"[number % 2]
        attempt = next_attempt(before, claim, PAIR, 0.95, automatic=True)
        assert attempt.spent == number
        spent += attempt.alpha
        made = policy("refused", number=number, claim=claim, series=attempt.series, attempt=attempt.number, spent=attempt.spent)
        before.insert(0, made)
    assert spent <= 0.05


@pytest.mark.parametrize("by", [WATCH, VERSION, "key_1"])
@pytest.mark.parametrize("automatic", [True, False])
def test_after_a_suspension_only_newer_labels_count_whoever_suspended_and_whoever_asks(by: str, automatic: bool) -> None:
    gone = policy("suspended", changed_at=200.0, changed_by=by)
    assert next_attempt([gone], "c", PAIR, 0.95, automatic=automatic).since == 200.0


@pytest.mark.parametrize("automatic", [True, False])
def test_a_suspension_ends_the_series_of_a_refusal_from_before_it(automatic: bool) -> None:
    gone = policy("suspended", changed_at=8740.0, changed_by=WATCH)
    refused = policy("refused", number=2, series=2, since=1000.0, until=5000.0, spent=2)
    next_one = next_attempt([refused, gone], "c", PAIR, 0.95, automatic=automatic)
    assert (next_one.series, next_one.number, next_one.since, next_one.again) == (3, 1, 8740.0, None)
    after = policy("refused", number=3, series=3, since=8740.0, until=9000.0, spent=3)
    again = next_attempt([after, refused, gone], "c", PAIR, 0.95, automatic=automatic)
    assert (again.series, again.number, again.since, again.again) == (3, 2, 8740.0, after)


def test_a_candidate_that_was_left_out_is_no_change() -> None:
    frozen = Frozen(candidates=("a",), costs=(1.0,), singles=("a",), left_out={"b": "no known price"})
    assert next_attempt([policy("refused", frozen=frozen)], "c", PAIR, 0.95).number == 2

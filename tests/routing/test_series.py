"""Attempts share what may go wrong; a new claim needs labels that have certified nothing before."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.routing.policy import Frozen, Policy
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


def test_a_candidate_that_was_left_out_is_no_change() -> None:
    frozen = Frozen(candidates=("a",), costs=(1.0,), singles=("a",), left_out={"b": "no known price"})
    assert next_attempt([policy("refused", frozen=frozen)], "c", PAIR, 0.95).number == 2

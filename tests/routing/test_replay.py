"""Recorded traffic says what another policy would have done, or that it cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.kernel.evidence import Outcome
from penstock.routing.policy import Policy
from penstock.routing.replay import as_served, picks, replay, traffic

COSTS = {"a": 1.0, "b": 10.0}
CERTAIN = {"a": 0.4, "b": 0.9}
"""How good each really is."""


def single(name: str) -> Policy:
    return Policy(
        id="p",
        organisation="o",
        task="t",
        number=1,
        state="active",
        created_at=0.0,
        by="k",
        kind="single",
        chosen=name,
        candidates=("a", "b"),
    )


def recorded(n: int, explore: float, seed: int = 0) -> list[Outcome]:
    """Calls served by b, all judged; a share also put to a."""
    rng = np.random.default_rng(seed)
    found: list[Outcome] = []
    for number in range(n):
        explored = rng.random() < explore
        known: dict[str, Any] = {"item": f"call_{number}", "judge": "exact", "prompt": f"p{number}", "reply": "r", "at": 1.0}
        good = {name: float(rng.random() < rate) for name, rate in CERTAIN.items()}
        found.append(Outcome(**known, candidate="b", score=good["b"], source="live", propensity=1.0, cost=10))
        if explored:
            found.append(Outcome(**known, candidate="a", score=good["a"], source="shadow", propensity=explore, cost=1))
    return found


def test_the_truth_lies_in_the_interval_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(40):
        calls = traffic(recorded(300, 0.3, seed))
        policy = single("a")
        wrong = {"a": np.full(len(calls), 0.8), "b": np.full(len(calls), 0.2)}  # a bad guess costs width, not truth
        found = replay(policy, picks(policy, None, calls, None), calls, wrong, COSTS, seed)
        assert found.quality is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= CERTAIN["a"] <= found.high
    assert held >= 34  # 95 % of 40 is 38; below 34 comes by chance once in 300


def test_what_was_never_shown_cannot_be_told() -> None:
    calls = traffic(recorded(300, 0.05))
    policy = single("a")
    guesses = {name: np.full(len(calls), 0.5) for name in COSTS}
    found = replay(policy, picks(policy, None, calls, None), calls, guesses, COSTS)
    assert (found.enough, found.quality) == (False, None)
    assert "overlap is too small" in found.why
    same = replay(single("b"), picks(single("b"), None, calls, None), calls, guesses, COSTS)
    now = as_served(calls, COSTS)
    assert (same.quality, same.cost) == (pytest.approx(now.quality), pytest.approx(now.cost))
    assert as_served([], COSTS).enough is False


def test_evaluations_are_no_traffic() -> None:
    known: dict[str, Any] = {"judge": "exact", "prompt": "p", "reply": "r", "at": 1.0, "candidate": "b", "score": 1.0}
    assert traffic([Outcome(**known, item="i", source="evaluation"), Outcome(**known, item="j", source="shadow")]) == []

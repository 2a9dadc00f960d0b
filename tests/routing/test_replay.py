"""Recorded traffic says what another policy would have done, or that it cannot."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.kernel.evidence import Outcome
from penstock.routing.policy import Policy
from penstock.routing.replay import as_served, picks, replay, traffic

COSTS = {"a": 1.0, "b": 10.0}
CERTAIN = {"a": 0.4, "b": 0.9}
"""How good each really is."""


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.routing.replay.DRAWS", 250)


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


def mixed(n: int, seed: int, *, sampled: float, explored: float, second: bool = True) -> list[Outcome]:
    """Calls served by b, judged by sampling and by exploring. On even ones a is right in 90 %, on odd ones b is right in 50 %."""
    rng = np.random.default_rng(seed)
    found: list[Outcome] = []
    for number in range(n):
        rates = {"a": 0.9, "b": 0.9} if number % 2 == 0 else {"a": 0.1, "b": 0.5}
        good = {name: float(rng.random() < rate) for name, rate in rates.items()}
        known: dict[str, Any] = {"item": f"call_{number}", "judge": "exact", "prompt": str(number), "reply": "r", "at": 1.0}
        if rng.random() < sampled:
            found.append(Outcome(**known, candidate="b", score=good["b"], source="live", propensity=sampled, cost=10))
        if rng.random() < explored:
            found.append(Outcome(**known, candidate="b", score=good["b"], source="live", propensity=explored, cost=10))
            if second:
                found.append(Outcome(**known, candidate="a", score=good["a"], source="shadow", propensity=explored, cost=1))
    return found


@pytest.mark.parametrize(("sampled", "explored"), [(0.5, 0.3), (1.0, 0.2), (0.0, 0.4)])
def test_calls_that_are_judged_by_two_ways_count_once(sampled: float, explored: float) -> None:
    """A policy that picks a where it is good, and whoever served elsewhere, is worth 0.7: the ways of judging must not weigh in."""
    held, found = 0, list[float]()
    for seed in range(24):
        calls = traffic(mixed(500, seed, sampled=sampled, explored=explored))
        chosen = ["a" if int(call.prompt) % 2 == 0 else "b" for call in calls]
        told = replay(single("a"), chosen, calls, {name: np.full(len(calls), 0.7) for name in COSTS}, COSTS, seed)
        assert told.quality is not None
        assert told.low is not None
        assert told.high is not None
        found.append(told.quality)
        held += told.low <= 0.7 <= told.high
    assert np.mean(found) == pytest.approx(0.7, abs=0.015)
    assert held >= 19  # 95 % of 24 is 22.8; fewer than 19 come by chance once in 500


def test_a_cascade_counts_calls_by_how_likely_its_small_answer_was_judged() -> None:
    cascade = msgspec.structs.replace(single("a"), kind="cascade", chosen="a", next="b")
    found: list[float] = []
    for seed in range(24):
        calls = traffic(mixed(600, seed, sampled=1.0, explored=0.3))
        # It keeps a's answer on even calls, where it has one to look at; on odd ones it asks b.
        chosen = [None if "a" not in call.answers else "a" if int(call.prompt) % 2 == 0 else "b" for call in calls]
        told = replay(cascade, chosen, calls, {name: np.full(len(calls), 0.5) for name in COSTS}, COSTS, seed)
        assert told.quality is not None
        assert told.cost == pytest.approx(6.0, abs=1.0)  # 1 on the one half, 1 + 10 on the other
        found.append(told.quality)
    assert np.mean(found) == pytest.approx(0.7, abs=0.015)


def test_a_pick_that_was_never_judged_is_no_figure_however_many_others_were() -> None:
    calls = traffic(mixed(500, 0, sampled=1.0, explored=0.0))
    guesses = {"a": np.full(len(calls), 1.0), "b": np.full(len(calls), 0.5)}
    half = ["a" if number % 2 else "b" for number in range(len(calls))]
    told = replay(single("a"), half, calls, guesses, COSTS)
    assert (told.enough, told.quality) == (False, None)
    assert "of a, picked in 50% of them" in told.why
    few = ["a" if number < 10 else "b" for number in range(len(calls))]
    told = replay(single("a"), few, calls, guesses, COSTS)
    sure = replay(single("a"), ["b"] * len(calls), calls, guesses, COSTS)
    assert told.low is not None
    assert told.high is not None
    assert sure.low is not None
    assert sure.high is not None
    assert told.low < sure.low + 0.005  # two in a hundred are blind: they may all be wrong, though the guess says all right
    assert told.high > told.quality  # type: ignore[operator]


def test_nothing_recorded_is_no_figure() -> None:
    told = replay(single("a"), [], [], {"a": np.zeros(0)}, COSTS)
    assert (told.enough, told.calls, told.matched) == (False, 0, 0)


def test_people_go_before_judges_and_the_likelier_way_before_the_rarer() -> None:
    known: dict[str, Any] = {"item": "i", "candidate": "b", "prompt": "p", "reply": "r", "at": 1.0, "source": "live"}
    found = [
        Outcome(**known, score=0.0, judge="human", propensity=0.1),
        Outcome(**known, score=1.0, judge="exact", propensity=1.0),
    ]
    for order in (found, found[::-1]):
        (call,) = traffic(order)
        assert (call.answers["b"].score, call.answers["b"].judge) == (0.0, "human")
    (call,) = traffic([Outcome(**known, score=1.0, judge="exact", propensity=p) for p in (0.5, 0.1)])
    assert call.chance == 0.5

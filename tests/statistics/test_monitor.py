from __future__ import annotations

import numpy as np
import pytest

from penstock.statistics.monitor import Shortfall, Strangeness, Watch, Witness


def test_strangeness_stays_calm_while_nothing_changes() -> None:
    alarms = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        gambler = Strangeness(rng.normal(0, 1, 200).tolist(), seed)
        alarms += max(gambler.observe(float(x)) for x in rng.normal(0, 1, 300)) >= 20
    assert alarms <= 12  # 6 expected at most


@pytest.mark.parametrize("shift", [-1.5, 1.5])
def test_strangeness_sees_a_change_late_in_the_stream(shift: float) -> None:
    rng = np.random.default_rng(1)
    gambler = Strangeness(rng.normal(0, 1, 500).tolist())
    assert max(gambler.observe(float(x)) for x in rng.normal(0, 1, 400)) < 20
    changed = [gambler.observe(float(x)) for x in rng.normal(shift, 1, 100)]
    assert next(k for k, money in enumerate(changed) if money >= 20) < 60


def test_ties_are_no_evidence() -> None:
    gambler = Strangeness([1.0] * 50)
    assert max(gambler.observe(1.0) for _ in range(300)) < 20


def test_scores_that_are_low_are_no_trouble_to_one_that_bets_on_high_ones() -> None:
    reference = np.random.default_rng(3).normal(0, 1, 200)
    both, higher = Strangeness(reference.tolist()), Strangeness(reference.tolist(), higher=True)
    for _ in range(200):
        both.observe(-3.0)
        higher.observe(-3.0)
    assert both.evidence > 20
    assert higher.evidence < 1
    with pytest.raises(ValueError, match="other bets"):
        higher.resume(both.state())


def test_who_bets_on_high_scores_raises_no_more_false_alarms_and_sees_them_sooner() -> None:
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        gambler = Strangeness(rng.normal(0, 1, 100).tolist(), seed, higher=True)
        alarms += max(gambler.observe(float(x)) for x in rng.normal(0, 1, 200)) >= 20
    assert alarms <= 20  # 5 % of 200 are 10; Ville's bound is never reached in practice
    gambler, calls = Strangeness(np.random.default_rng(9).normal(0, 1, 300).tolist(), higher=True), 0
    while gambler.observe(2.5) < 20:
        calls += 1
    assert calls < 30


def test_witness_stays_calm_while_nothing_changes_and_sees_a_direction() -> None:
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        gambler = Witness(rng.normal(0, 1, (300, 8)))
        alarms += max(gambler.observe(x) for x in rng.normal(0, 1, (300, 8))) >= 20
    assert alarms <= 8  # 3 expected at most
    rng = np.random.default_rng(9)
    gambler = Witness(rng.normal(0, 1, (600, 8)))
    for x in rng.normal(0, 1, (300, 8)):
        gambler.observe(x)
    changed = [gambler.observe(x) for x in rng.normal(0, 1, (150, 8)) + np.eye(8)[3] * 2]
    assert next(k for k, money in enumerate(changed) if money >= 20) < 100


def test_a_witness_without_evidence_left_stays_where_it_is() -> None:
    gambler = Witness(np.zeros((2, 3)))
    found = [gambler.observe(np.ones(3)) for _ in range(5)]
    assert gambler.exhausted
    assert found[1:] == [found[1]] * 4


def test_shortfall_notices_bad_labels_and_no_good_ones() -> None:
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(100):
        gambler = Shortfall(0.8)
        alarms += max(gambler.observe(float(x)) for x in rng.random(300) < 0.8) >= 20
    assert alarms <= 11
    worse = Shortfall(0.8)
    found = [worse.observe(float(x)) for x in rng.random(300) < 0.6]
    assert next(k for k, money in enumerate(found) if money >= 20) < 200
    with pytest.raises(ValueError, match="floor"):
        Shortfall(1.0)


def test_a_watch_suspends_once_and_for_good() -> None:
    gambler = Shortfall(0.9)
    watch = Watch(gambler, Shortfall(0.9), alpha=0.05)
    assert not watch.check()
    for _ in range(12):
        gambler.observe(0.0)
    assert watch.check()
    for _ in range(200):
        gambler.observe(1.0)
    assert watch.evidence < 20
    assert watch.check()
    with pytest.raises(ValueError, match="somebody"):
        Watch()

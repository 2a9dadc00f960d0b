"""The benchmark of routing measures what it says: curves, rivals and unseen prompts, on small made-up outcomes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.routing import floors, frontier, report, shift
from benchmarks.routing.curves import intervals, random_mixing, read
from benchmarks.routing.data import Outcomes
from benchmarks.routing.rivals import knn, mlp

from benchmarks import page

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "routing.json"


def outcomes(n: int = 400, groups: bool = False) -> Outcomes:
    rng = np.random.default_rng(0)
    features, embeddings = rng.normal(0, 1, (n, 4)), rng.normal(0, 1, (n, 6))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    small = rng.random(n) < 1 / (1 + np.exp(-2 * features[:, 0]))
    scores = np.stack([small, rng.random(n) < 0.9], axis=1).astype(float)
    named = np.where(embeddings[:, 0] > 0.3, "odd", np.char.mod("%d", np.arange(n) % 9)) if groups else None
    return Outcomes(name="GSM8K", candidates=("s", "l"), features=features, embeddings=embeddings, scores=scores, groups=named)


def test_a_curve_is_read_as_it_is_drawn() -> None:
    small, large = np.array([1.0, 0.0, 0.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    best = read(large - small, small, large)
    assert (best["cpt50"], best["share90"], best["share100"]) == (0.2, 0.2, 0.2)
    worst = read(small - large, small, large)
    assert worst["cpt50"] == 1.0
    assert random_mixing(small, large) | {"share100": 1.0} == random_mixing(small, large)
    assert read(large - small, small, large, np.full(5, 2.0))["apgr"] == pytest.approx(best["apgr"])


def test_a_coin_recovers_half_of_the_gap() -> None:
    found = outcomes(4000)
    gains = [np.random.default_rng(seed).random(4000) for seed in range(3)]
    mean, low, high = intervals(gains, found.small, found.large, draws=40)["apgr"]
    assert low < 0.5 < high
    assert mean == pytest.approx(0.5, abs=0.05)


def test_every_prompt_is_tested_by_somebody_who_has_not_seen_it() -> None:
    for train, test in frontier.folds(50, 5, 1):
        assert not set(train.tolist()) & set(test.tolist())
        assert len(train) + len(test) == 50
    assert sorted(t for _, test in frontier.folds(50, 5, 1) for t in test.tolist()) == list(range(50))
    found = outcomes()
    blind = frontier.unseen(found, 5, 0, lambda train, test: found.scores[train].mean(axis=0) + np.zeros((len(test), 2)))
    assert blind.std(axis=0).max() < 0.05


def test_rivals_learn_what_is_near() -> None:
    found = outcomes(1200)
    x = found.embeddings
    y = (x[:, :1] > 0).astype(float)
    for chances in (knn(x[:800], y[:800], x[800:], 20), mlp(x[:800], y[:800], x[800:], epochs=60)):
        assert ((chances > 0.5) == (y[800:] > 0.5)).mean() > 0.8


def test_floors_and_shift_report_all_their_cases() -> None:
    found = outcomes(900)
    case = floors.cases()["GSM8K"][1]
    small = floors.resplit(found, case, fits=1, draws=10)
    assert small["resplits"] == 10
    assert 0 <= small["violated"] + small["cannot_certify"] <= 1
    far = shift.distance(found.embeddings[:100], found.embeddings)
    assert far.shape == (900,)
    assert far[0] == far[:100].min() or far[0] < -0.2


@pytest.mark.skipif(not RESULT.exists(), reason="no result has been kept")
def test_the_page_holds_the_kept_figures() -> None:
    found = json.loads(RESULT.read_text())
    for name in ("bars", "two", "many", "floors", "shift"):
        assert getattr(report, name)(found)
    text = (page.ROOT / "docs" / "routing.md").read_text()
    assert page.filled(text) == text, "run `make docs`"

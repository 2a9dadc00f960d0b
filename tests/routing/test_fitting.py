"""The fit: paths from safe to cheap, estimates only where labels and vectors allow them, and figures that are none too sure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.routing.simulated import CHEAP, DEAR, directions, drawn, outcome

from penstock.kernel.tasks import Floor
from penstock.routing.fitting import KNOWN, Settled, cascade_scores, distances, features_of, router_scores, settle, watched, with_answers
from penstock.routing.labels import table

PAIR = (CHEAP, DEAR)
FLOOR = Floor(level=0.8, kind="absolute")


def settled(outcomes: list[Any], n: int, *, cascades: bool = True, vectors: bool = True, least: int = 40) -> Settled:
    labels = table(outcomes, PAIR, 1000)
    found = directions(n)[: len(labels)] if vectors else None
    return settle(labels, found, (10.0, 1000.0), FLOOR, DEAR, cascades=cascades, least=least, left_out={})


def test_the_reference_stands_first_and_the_others_by_what_they_seem_worth() -> None:
    names = ("a", "b", DEAR, "c")
    labels = table(drawn({"a": 0.5, "b": 0.9, DEAR: 0.7, "c": 0.9}, 200), names, 1000)
    found = settle(labels, None, (1.0, 2.0, 1000.0, 3.0), FLOOR, DEAR, cascades=False, least=40, left_out={})
    assert found.frozen.singles[0] == DEAR
    assert found.frozen.singles[-1] == "a"
    nothing = settle(labels.part(np.zeros(200, bool)), None, (1.0, 2.0, 9.0, 3.0), FLOOR, DEAR, cascades=False, least=40, left_out={})
    assert nothing.frozen.singles == (DEAR, "c", "b", "a")  # the dearest are thought the safest


@pytest.mark.parametrize(("n", "vectors"), [(39, True), (60, False), (0, True)])
def test_too_few_labels_or_no_vectors_estimate_nothing_by_prompt(n: int, vectors: bool) -> None:
    found = settled(drawn({CHEAP: 0.9, DEAR: 0.95}, n), n, vectors=vectors)
    assert (found.estimators, found.frozen.worths, found.frozen.pair) == ({}, (), None)


def test_estimates_of_what_nothing_predicts_are_near_the_mean() -> None:
    """Nearly all right, prompts alike but for a few: the calibration must not run away."""
    rows = drawn({CHEAP: 0.9, DEAR: 0.95}, 160)
    labels, vectors = table(rows, PAIR, 1000), directions(160)
    found = settle(labels, vectors, (10.0, 1000.0), FLOOR, DEAR, cascades=False, least=40, left_out={})
    chances = found.estimators["router"].chances(features_of(labels), vectors)
    assert chances.mean(axis=0) == pytest.approx(labels.scores.mean(axis=0), abs=0.03)
    assert float(chances.max()) < 0.9999


def test_all_alike_and_duplicated_labels_stay_finite() -> None:
    for right in (0.0, 1.0):
        rows = [outcome(str(n), name, right, prompt=f"{n}") for n in range(60) for name in PAIR]
        found = settled(rows, 60)
        labels = table(rows, PAIR, 1000)
        assert np.isfinite(found.estimators["router"].chances(features_of(labels), directions(60))).all()
        assert all(np.isfinite(found.frozen.worths))
        assert all(np.isfinite(found.frozen.thresholds))
    same = [outcome(str(n), name, float(n % 2), prompt="the same") for n in range(60) for name in PAIR]
    assert settled(same, 60).labels == 1  # one prompt is one label, however often it was asked


def test_paths_run_from_the_dear_to_the_cheap() -> None:
    rows = drawn({CHEAP: 0.6, DEAR: 0.95}, 160)
    found, labels, vectors = settled(rows, 160), table(rows, PAIR, 1000), directions(160)
    assert list(found.frozen.worths) == sorted(found.frozen.worths, reverse=True)
    _, costs = router_scores(found.estimators["router"], found.frozen, labels, vectors)
    assert costs[-1] == pytest.approx(10.0)  # a good answer is worth nothing: the cheapest for all
    assert list(costs) == sorted(costs, reverse=True)
    assert found.frozen.pair == PAIR
    scores, costs = cascade_scores(found.estimators["cascade"], found.frozen, labels, vectors)
    assert scores[:, 0].tolist() == labels.scores[:, 1].tolist()
    assert scores[:, -1].tolist() == labels.scores[:, 0].tolist()
    assert costs[-1] == pytest.approx(10.0)


def test_no_cascade_without_answers_or_where_nobody_asks_for_one() -> None:
    assert settled([outcome(str(n), name, 1.0, reply="") for n in range(60) for name in PAIR], 60).frozen.pair is None
    assert settled(drawn({CHEAP: 0.9, DEAR: 0.9}, 60), 60, cascades=False).frozen.pair is None


def test_nothing_has_features_of_the_right_width() -> None:
    labels = table([], PAIR, 10)
    features = features_of(labels)
    assert features.shape == (0, features_of(table(drawn(dict.fromkeys(PAIR, 1.0), 1), PAIR, 10)).shape[1])
    assert with_answers(labels, features, CHEAP).shape[0] == 0


def test_monitors_compare_with_prompts_that_they_do_not_know() -> None:
    vectors = directions(100)
    fits = np.arange(100) < 40
    found = watched(vectors, fits, {})
    assert (len(found.known), len(found.scores), len(found.points)) == (40, 30, 30)
    assert not any((found.points[:, None] == found.known[None]).all(axis=2).any(axis=1))
    none = watched(directions(KNOWN + 40), np.zeros(KNOWN + 40, bool), {})
    assert (len(none.known), len(none.scores), len(none.points)) == (KNOWN, 20, 20)
    assert distances(vectors[:0], vectors).size == 0
    assert distances(vectors, vectors[:3]).shape == (3,)

"""What fresh labels support: options share alpha, slices have floors of their own, and nothing is claimed of nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tests.routing.simulated import CHEAP, COSTS, DEAR, directions, drawn, outcome, task

from penstock.kernel.evidence import Outcome
from penstock.kernel.tasks import Floor, SliceFloor, Task
from penstock.routing.fitting import settle
from penstock.routing.labels import table
from penstock.routing.policy import Frozen
from penstock.routing.proving import Proof, group_of, interval, prove, slices

PAIR = (CHEAP, DEAR)


def proof(of: Task, outcomes: list[Outcome], alpha: float = 0.05) -> Proof:
    frozen = Frozen(candidates=PAIR, costs=(10.0, 1000.0), singles=(DEAR, CHEAP))
    assert of.floor is not None
    return prove(of, of.floor, DEAR, frozen, {}, table(outcomes, PAIR, 10_000), None, alpha)


def test_the_cheapest_that_holds_is_proven() -> None:
    found = proof(task(), drawn({CHEAP: 0.95, DEAR: 0.97}, 200))
    assert (found.kind, found.singles, found.cost) == ("single", (CHEAP, DEAR), COSTS[CHEAP])
    assert found.bound is not None
    assert 0.8 < found.bound < (found.quality or 0)


def test_a_cheap_one_below_the_floor_is_not() -> None:
    found = proof(task(), drawn({CHEAP: 0.5, DEAR: 0.97}, 200))
    assert (found.singles, found.cost) == ((DEAR,), COSTS[DEAR])


def test_a_walk_ends_at_the_first_that_fails() -> None:
    """The safest fails, so nothing after it is claimed, however good it looks."""
    found = proof(task(), drawn({CHEAP: 0.99, DEAR: 0.6}, 200))
    assert (found.kind, found.singles) == (None, ())
    assert found.why.startswith("cannot certify: even the safest policy looks")


def test_false_claims_are_as_rare_as_promised() -> None:
    """Both are just below the floor; a claim of either is false."""
    labels = table(drawn({CHEAP: 0.5, DEAR: 0.5}, 120), PAIR, 1000)
    frozen = Frozen(candidates=PAIR, costs=(10.0, 1000.0), singles=(DEAR, CHEAP))
    false = 0
    for seed in range(150):
        scores = (np.random.default_rng(seed).random((120, 2)) < 0.799).astype(float)
        floor = Floor(level=0.8, kind="absolute", confidence=0.9)
        false += prove(task(), floor, DEAR, frozen, {}, replace(labels, scores=scores), None, 0.1).kind is not None
    assert false <= 26  # 10 % of 150 is 15; more than 26 come by chance once in 400


@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_no_labels_claim_nothing(kind: Any) -> None:
    found = proof(task(floor=Floor(level=0.8, kind=kind), slices=(SliceFloor(by="team", level=0.5),)), [])
    assert (found.kind, found.singles, found.slices) == (None, (), ())
    assert found.why == "cannot certify: there are no labels"
    assert all(one.bound == 0.0 and not one.certified for one in found.standings)


def test_too_few_labels_say_how_many_would_do() -> None:
    found = proof(task(), drawn({CHEAP: 1.0, DEAR: 1.0}, 12))  # 0.8 to the 12th is 0.069
    assert found.kind is None
    assert found.labels_wanted is not None
    assert found.labels_wanted > 12
    assert f"about {found.labels_wanted} would do" in found.why


def test_an_average_hides_no_broken_slice() -> None:
    by = (SliceFloor(by="language", level=0.7),)
    good = drawn({CHEAP: 0.98, DEAR: 0.99}, 400, groups={"language": "en"})
    broken = drawn({CHEAP: 0.3, DEAR: 0.95}, 60, seed=1, groups={"language": "de"})
    assert proof(task(), good + broken).singles == (CHEAP, DEAR)
    found = proof(task(slices=by), good + broken)
    assert (found.singles, found.cost) == ((DEAR,), COSTS[DEAR])
    assert {(one.group, one.judged, one.holds) for one in found.slices} == {("de", True, True), ("en", True, True)}
    both = proof(task(slices=by), good + drawn({CHEAP: 0.3, DEAR: 0.3}, 60, seed=1, groups={"language": "de"}))
    assert both.kind is None
    assert "the floor of a slice does not" in both.why
    assert "language de" in both.why


def test_a_slice_of_few_labels_is_not_judged_and_says_so() -> None:
    good = drawn({CHEAP: 0.98, DEAR: 0.99}, 400, groups={"language": "en"})
    few = drawn({CHEAP: 0.0, DEAR: 0.9}, 29, seed=1, groups={"language": "de"})
    of = task(slices=(SliceFloor(by="language", level=0.7),))
    found = proof(of, good + few)
    assert found.singles == (CHEAP, DEAR)
    (told,) = [one for one in found.slices if one.group == "de"]
    assert (told.labels, told.quality, told.judged, told.holds) == (29, 0.0, False, False)
    one_more = drawn({CHEAP: 0.0, DEAR: 1.0}, 30, seed=1, groups={"language": "de"})
    assert proof(of, good + one_more).singles == (DEAR,)


def test_a_slice_that_no_label_has_is_none() -> None:
    labels = table(drawn({CHEAP: 1.0, DEAR: 1.0}, 5, groups={"team": "a"}), PAIR, 100)
    found = slices((SliceFloor(by="label:team", level=0.5), SliceFloor(by="language", level=0.5)), labels)
    assert [(of.by, int(rows.sum())) for of, rows in found] == [("label:team", 5)]
    assert group_of({"team": "a"}, "label:team") == "a"
    assert group_of({"label:team": "b", "team": "a"}, "label:team") == "b"
    assert group_of({}, "team") is None


def test_graded_scores_take_another_test_and_hold_too() -> None:
    graded = [outcome(str(n), name, score) for n in range(150) for name, score in ((CHEAP, 0.9), (DEAR, 0.95 if n % 2 else 0.85))]
    found = proof(task(), graded)
    assert found.singles == (CHEAP, DEAR)
    assert found.bound is not None
    assert 0.8 <= found.bound <= 0.9


def test_a_router_and_a_cascade_are_options_beside_singles_and_share_alpha() -> None:
    rows = drawn({CHEAP: 0.9, DEAR: 0.95}, 160)
    labels, vectors = table(rows, PAIR, 1000), directions(160)
    settled = settle(labels, vectors, (10.0, 1000.0), Floor(level=0.8, kind="absolute"), DEAR, cascades=True, least=40, left_out={})
    floor = Floor(level=0.8, kind="absolute")
    found = prove(task(), floor, DEAR, settled.frozen, settled.estimators, labels, vectors, 0.06)
    assert [one.kind for one in found.considered] == ["single", "router", "cascade"]
    alone = prove(task(), floor, DEAR, settled.frozen, {}, labels, None, 0.02)
    assert [one.bound for one in found.standings] == [one.bound for one in alone.standings]  # a third of alpha each
    nothing = prove(task(), floor, DEAR, settled.frozen, settled.estimators, labels.part(np.zeros(160, bool)), vectors[:0], 0.05)
    assert (nothing.kind, nothing.why) == (None, "cannot certify: there are no labels")


def test_intervals_for_display_hold_the_mean() -> None:
    for scores in (np.array([1.0, 0.0, 1.0]), np.array([0.2, 0.4, 0.9])):
        low, high = interval(scores)
        assert 0 <= low < float(scores.mean()) < high <= 1
    assert interval(np.zeros(0)) == (0.0, 1.0)

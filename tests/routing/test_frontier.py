"""Points with intervals that hold the truth, whatever there is to see; nothing is certified by looking."""

from __future__ import annotations

import msgspec
from tests.routing.simulated import CHEAP, DEAR, SETTINGS, directions, drawn, material, policy, task

from penstock.kernel.tasks import Floor
from penstock.routing.frontier import SHOWN, frontier
from penstock.routing.views import Frontier


def test_candidates_have_points_with_intervals_about_their_truth() -> None:
    found = frontier(material(task(), drawn({CHEAP: 0.7, DEAR: 0.95}, 400, seed=2)), None, SETTINGS)
    for point, truth in zip(found.points, (0.7, 0.95), strict=True):
        assert point.low <= truth <= point.high
        assert point.cost_low <= point.cost <= point.cost_high
    assert [point.serving for point in found.points] == [False, True]
    assert not any(point.certified for point in found.points)
    assert found.line == 0.8


def test_dials_are_judged_on_labels_that_their_fit_has_not_seen() -> None:
    held = material(task(), drawn({CHEAP: 0.7, DEAR: 0.95}, 200), directions(200))
    found = frontier(held, None, SETTINGS)
    dials = [point for point in found.points if point.kind != "candidate"]
    assert {point.kind for point in dials} == {"router", "cascade"}
    assert all(point.labels + found.fitted_on == 200 for point in dials)
    assert len([point for point in dials if point.kind == "router"]) <= SHOWN
    assert all(0 <= point.low <= point.quality <= point.high <= 1 for point in dials)
    msgspec.json.decode(msgspec.json.encode(found), type=Frontier)  # nothing in it that JSON has no word for


def test_a_relative_floor_is_drawn_at_the_reference_s_mean() -> None:
    held = material(task(floor=Floor(level=0.9)), drawn({CHEAP: 0.7, DEAR: 1.0}, 100))
    assert frontier(held, None, SETTINGS).line == 0.9


def test_what_serves_has_a_point_of_its_own() -> None:
    held = material(task(), drawn({CHEAP: 0.9, DEAR: 0.95}, 100))
    serves = policy(cost=10.0, quality=0.9, bound=0.82, labels=50, number=7)
    points = frontier(held, serves, SETTINGS).points
    assert (points[-1].name, points[-1].serving, points[-1].certified) == (f"{CHEAP} (policy 7)", True, True)
    router = policy(kind="router", cost=100.0, quality=0.9, bound=None, labels=50, worth=3.0)
    assert frontier(held, router, SETTINGS).points[-1].dial == 3.0
    cascade = policy(kind="cascade", next=DEAR, cost=100.0, quality=0.9, bound=0.85, labels=50, threshold=0.25)
    assert frontier(held, cascade, SETTINGS).points[-1].name == f"{CHEAP} before {DEAR} (policy 1)"


def test_nothing_has_no_points_and_too_little_says_so() -> None:
    nothing = frontier(material(task(), []), None, SETTINGS)
    assert (nothing.points, nothing.labels) == ([], 0)
    few = frontier(material(task(), drawn({CHEAP: 0.9, DEAR: 0.9}, 30), directions(30)), None, SETTINGS)
    assert "too few to estimate by prompt" in few.notes[0]
    assert frontier(material(task(), [], unembedded="no model here"), None, SETTINGS).notes == ["no model here"]

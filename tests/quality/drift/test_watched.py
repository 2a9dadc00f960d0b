"""One task that is watched: what changes is found and placed, what does not stays quiet."""

from __future__ import annotations

import msgspec
from tests.quality.drift.house import START, kept, traffic

from penstock.quality.drift.watched import Watched, score


def watch(calls: list[object]) -> Watched:
    watched = Watched("org", "faq", reference=200)
    for one in calls:
        watched.observe(one)  # type: ignore[arg-type]
    return watched


def test_what_changed_first_comes_first() -> None:
    watched = watch([*traffic(800, changes=500, model=600)])
    found = {change.feature: change for change in watched.changes}
    assert list(found)[:2] == ["vocabulary", "model"]
    assert abs(found["vocabulary"].changed_at - (START + 500 * 60)) <= 20 * 60
    assert abs(found["model"].changed_at - (START + 600 * 60)) <= 60
    assert found["model"].detected_at > found["model"].changed_at
    assert set(found) == {"vocabulary", "model"}, "replies and lengths are as they were"


def test_calm_traffic_is_steady_and_a_call_counts_once() -> None:
    calls = traffic(500)
    watched = watch([*calls])
    assert watched.ready
    assert watched.changes == []
    assert watched.observe(calls[3]) == []
    assert len(watched.seen) == 500
    assert all(len(one.path) == 300 and len(one.scores) == 500 for one in watched.features.values())
    limit = next(iter(watched.features.values())).limit
    assert limit == 10_000 * len(watched.features), "one budget of false alarms for all features"


def test_too_few_calls_are_no_reference() -> None:
    watched = watch([*traffic(150)])
    assert not watched.ready
    assert watched.features == {}


def test_the_same_calls_say_the_same_again() -> None:
    calls = traffic(600, changes=400)
    first, again = watch([*calls]), watch([*calls])
    assert msgspec.json.encode(first.changes) == msgspec.json.encode(again.changes)
    assert first.features["vocabulary"].path == again.features["vocabulary"].path


def test_calls_without_a_feature_are_passed_over() -> None:
    calls = [*traffic(300), *(kept(300 + at, "???", "You may.") for at in range(5))]
    watched = watch([*calls])
    assert len(watched.features["vocabulary"].scores) == 305
    assert watched.features["vocabulary"].path[-1] == watched.features["vocabulary"].path[99]


def test_scores() -> None:
    assert score(0, 1e4) == 0
    assert score(1e9, 1e4) == 1
    assert 0.4 < score(100, 1e5) < 0.5

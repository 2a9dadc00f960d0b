"""Two windows side by side: the reference, and what came since the first change."""

from __future__ import annotations

import pytest
from tests.quality.drift.house import traffic

from penstock.quality.drift.watched import Watched
from penstock.quality.drift.windows import RECENT, bounds, figure, windows


def watch(n: int, changes: int | None = None, model: int | None = None) -> Watched:
    watched = Watched("org", "faq", reference=200)
    for one in traffic(n, changes=changes, model=model):
        watched.observe(one)
    return watched


def test_both_windows() -> None:
    watched = watch(800, changes=500, model=600)
    end, start = bounds(watched)
    assert end == 200
    assert 480 <= start <= 520
    told = windows(watched, watched.features["model"])
    assert {part.label: part.before for part in told.parts} == {"up/m": 1.0, "other": 0.0}
    assert sum(part.now for part in told.parts) == pytest.approx(1)
    words = windows(watched, watched.features["vocabulary"])
    assert sum(part.before for part in words.parts) == pytest.approx(1)
    assert words.parts[-1].now > words.parts[-1].before
    lengths = windows(watched, watched.features["input_length"])
    assert sum(part.now for part in lengths.parts) == pytest.approx(1)
    assert lengths.unit == "characters"


def test_where_nothing_changed_the_last_calls_are_the_recent_ones() -> None:
    assert bounds(watch(150)) == (150, 200)
    assert bounds(watch(300)) == (200, 200)
    assert bounds(watch(900)) == (200, 900 - RECENT)


def test_one_value_is_one_part() -> None:
    told = windows(watched := watch(300), watched.features["refusals"])
    assert [(part.before, part.now) for part in told.parts] == [(1.0, 1.0)]


@pytest.mark.parametrize(("value", "wanted"), [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23")])
def test_figures(value: float, wanted: str) -> None:
    assert figure(value) == wanted

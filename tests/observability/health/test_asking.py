"""What an address of readings means: its period, its steps, its values by dimension."""

from __future__ import annotations

import pytest

from penstock.kernel.errors import MalformedRequest
from penstock.kernel.measures import Asked, Measure
from penstock.observability.health.asking import (
    DAY,
    DRAWN,
    WHOLE,
    PeriodQuery,
    ReadingsQuery,
    answerable,
    asked,
    names_of,
    period,
    step_for,
)
from penstock.observability.health.measured import DIMENSIONS

NOW = 1_800_000_123.0


@pytest.mark.parametrize("seconds", [60, 3600, 6 * 3600, DAY, 7 * DAY, 14 * DAY, 30 * DAY, 400 * DAY, 4000 * DAY])
def test_steps_are_about_as_many_as_a_chart_shows(seconds: float) -> None:
    step = step_for(NOW - seconds, NOW)
    assert seconds / step <= DRAWN
    assert seconds / step >= DRAWN / 6 or step in (60, 7 * DAY)


def test_the_last_day_where_nothing_is_said() -> None:
    assert period(PeriodQuery(), NOW) == (NOW - DAY, NOW)
    assert period(PeriodQuery(until=500.0 + DAY), NOW) == (500.0, 500.0 + DAY)
    with pytest.raises(MalformedRequest, match="after"):
        period(PeriodQuery(since=NOW, until=NOW), NOW)


def test_values_by_dimension_with_commas_between_them() -> None:
    query = ReadingsQuery(names="calls", since=0, until=DAY, model="a, b,", task="t", by="team", groups=3)
    found = asked(query, "org", NOW)
    assert found == Asked(
        organisation="org", since=0, until=DAY, step=900.0, equal={"model": ("a", "b"), "task": ("t",)}, by="team", groups=3
    )
    assert asked(ReadingsQuery(names="calls", step=7.5), None, NOW).step == 7.5
    assert asked(ReadingsQuery(names="calls", whole=True, step=60), None, NOW).step == WHOLE
    assert names_of(" calls,error_rate,, calls") == ["calls", "error_rate"]


def test_which_dimensions_a_measure_does_not_know() -> None:
    measure = Measure(name="m", title="M", help="", unit="share", dimensions=frozenset({"task"}))
    question = Asked(organisation=None, since=0, until=1, step=1, equal={"task": ("t",), "team": ("x",)}, by="model")
    assert answerable(measure, question) == ["team", "model"]
    assert "task" in DIMENSIONS

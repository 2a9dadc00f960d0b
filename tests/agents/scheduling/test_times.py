"""Moments: cron lines, zones, clocks that change, pauses."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from penstock.agents.scheduling.times import due, next_after
from penstock.kernel.errors import RequestError

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def following(cron: str, text: str, times: int = 1) -> list[str]:
    moment, found = at(text), []
    for _ in range(times):
        after = next_after(cron, "Europe/Berlin", moment)
        assert after is not None
        moment = after
        found.append(datetime.fromtimestamp(moment, BERLIN).isoformat())
    return found


def test_lines() -> None:
    assert following("0 9 * * 1-5", "2026-03-06T10:00") == ["2026-03-09T09:00:00+01:00"]
    assert following("*/20 * * * *", "2026-03-06T10:05", 2) == ["2026-03-06T10:20:00+01:00", "2026-03-06T10:40:00+01:00"]


def test_the_day_keeps_its_hour_when_clocks_change() -> None:
    assert following("0 9 * * *", "2026-03-28T10:00", 2) == ["2026-03-29T09:00:00+02:00", "2026-03-30T09:00:00+02:00"]
    assert following("0 9 * * *", "2026-10-24T10:00") == ["2026-10-25T09:00:00+01:00"]


def test_an_hour_that_is_not_there_and_one_that_comes_twice() -> None:
    spring = following("30 2 * * *", "2026-03-28T12:00", 2)
    assert spring == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    autumn = following("30 2 * * *", "2026-10-24T12:00", 2)
    assert [one[:10] for one in autumn] == ["2026-10-25", "2026-10-26"]


def test_pauses() -> None:
    first, now = 3600.0, 3600.0 * 4 + 30
    hourly = "0 * * * *"
    assert due(hourly, "UTC", first, now, "once") == ([3600.0 * 4], 3600.0 * 5)
    assert due(hourly, "UTC", first, now, "all") == ([3600.0, 7200.0, 10800.0, 14400.0], 3600.0 * 5)
    assert due(hourly, "UTC", first, now, "skip") == ([14400.0], 3600.0 * 5)  # the last is only half a minute late
    assert due(hourly, "UTC", first, now + 600, "skip") == ([], 3600.0 * 5)
    assert due("", "UTC", first, now, "once") == ([first], None)
    assert due("", "UTC", first, now, "skip") == ([], None)
    moments, after = due("* * * * *", "UTC", 60.0, 60.0 * 5000, "all")
    assert (len(moments), moments[-1], after) == (100, 300_000.0, 300_060.0)


@pytest.mark.parametrize(
    ("cron", "zone"),
    [("nonsense", "UTC"), ("61 * * * *", "UTC"), ("0 0 30 2 *", "UTC"), ("* * * * *", "Europe/Nowhere"), ("* * * * *", "../x")],
)
def test_what_is_none(cron: str, zone: str) -> None:
    with pytest.raises(RequestError):
        next_after(cron, zone, 0.0)

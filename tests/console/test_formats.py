"""How numbers and times read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.console import formats


@pytest.mark.parametrize(
    ("micros", "words"),
    [
        (None, "—"),
        (0, "$0"),
        (0.2, "<$0.000001"),
        (1, "$0.000001"),
        (123, "$0.000123"),
        (1_234, "$0.00123"),
        (12_300, "$0.0123"),
        (200_410, "$0.20"),
        (234_560, "$0.235"),
        (999_999, "$1.00"),
        (1_000_000, "$1.00"),
        (84_120_433, "$84.12"),
        (1_234_567_890_123, "$1,234,567.89"),
        (-12_300, "−$0.0123"),
    ],
)
def test_money(micros: float | None, words: str) -> None:
    assert formats.money(micros) == words


def test_money_in_other_currencies() -> None:
    assert formats.money(12_300_000, "EUR") == "€12.30"
    assert formats.money(12_300_000, "CHF") == "12.30 CHF"


@given(st.integers(min_value=1, max_value=10**15))
def test_money_that_was_spent_never_reads_as_nothing(micros: int) -> None:
    number = float(formats.money(micros).removeprefix("$").replace(",", ""))
    assert number > 0
    assert number == pytest.approx(micros / 1e6, rel=0.006)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (None, "—"),
        (0, "0 ms"),
        (0.4211, "0.42 ms"),
        (9.994, "9.99 ms"),
        (9.996, "10.0 ms"),
        (128.4, "128 ms"),
        (999.6, "1.00 s"),
        (3_412, "3.41 s"),
        (14_310, "14.3 s"),
        (59_960, "1 m 00 s"),
        (125_000, "2 m 05 s"),
        (3_780_000, "1 h 03 m"),
        (200 * 3_600_000, "8 d 08 h"),
        (-12, "−12.0 ms"),
    ],
)
def test_duration(milliseconds: float | None, words: str) -> None:
    assert formats.duration(milliseconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (None, "—"),
        (0, "0"),
        (2.25, "2.2"),
        (9_480, "9,480"),
        (12_345, "12.3k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (4_560_000, "4.56M"),
        (1.2e9, "1.20B"),
        (-12_345, "−12.3k"),
    ],
)
def test_compact(number: float | None, words: str) -> None:
    assert formats.compact(number) == words


@pytest.mark.parametrize(
    ("fraction", "words"),
    [(None, "—"), (0, "0%"), (0.0234, "2.3%"), (0.0001, "<0.1%"), (0.9999, ">99.9%"), (1, "100%"), (0.5, "50%")],
)
def test_percent_never_rounds_something_to_nothing_nor_nearly_to_all(fraction: float | None, words: str) -> None:
    assert formats.percent(fraction) == words


def test_count_and_share_and_initials() -> None:
    assert formats.count(1234567) == "1,234,567"
    assert formats.count(None) == "—"
    assert [formats.counted(n, "call") for n in (0, 1, 2000)] == ["0 calls", "1 call", "2,000 calls"]
    assert [formats.counted(n, "batch", "batches") for n in (1, 2)] == ["1 batch", "2 batches"]
    assert [formats.share(a, b) for a, b in [(1, 4), (5, 4), (-1, 4), (1, 0), (None, 4), (1, None)]] == [0.25, 1, 0, 0, 0, 0]
    assert [formats.initials(name) for name in ("Ada Lovelace", "ci-runner", "root", "", "—")] == ["AL", "CR", "R", "?", "?"]


def test_times_are_utc_whatever_they_came_as() -> None:
    moment = datetime(2026, 11, 20, 9, 41, 7, 250_000, tzinfo=UTC)
    same = [moment, moment.replace(tzinfo=None), moment.astimezone(timezone(timedelta(hours=2))), moment.timestamp()]
    assert {formats.iso(each) for each in same} == {"2026-11-20T09:41:07.250Z"}
    assert formats.clock(moment) == "2026-11-20 09:41:07 UTC"
    assert formats.iso(None) == formats.clock(None) == formats.ago(None) == "—"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.5, "just now"), (12, "12 s ago"), (150, "2 min ago"), (3 * 3600, "3 h ago"), (60 * 3600, "2 d ago"), (-7200, "in 2 h")],
)
def test_ago(seconds: float, words: str) -> None:
    assert formats.ago(1_000_000 - seconds, now=1_000_000) == words


def test_ticks_are_round_and_within_the_axis() -> None:
    assert [words for _, words in formats.ticks(3210)] == ["0", "1 s", "2 s", "3 s"]
    assert [words for _, words in formats.ticks(0.31)] == ["0", "0.1 ms", "0.2 ms", "0.3 ms"]
    assert [words for _, words in formats.ticks(1000)] == ["0", "200 ms", "400 ms", "600 ms", "800 ms", "1 s"]
    assert formats.ticks(0) == [(0.0, "0")]


@given(st.floats(min_value=1e-4, max_value=1e9))
def test_ticks_never_leave_the_axis_and_never_crowd_it(whole: float) -> None:
    marks = formats.ticks(whole)
    assert 2 <= len(marks) <= 6
    assert all(0 <= at <= 1 for at, _ in marks)
    assert [at for at, _ in marks] == sorted(at for at, _ in marks)

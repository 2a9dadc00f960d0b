"""What every implementation of the counters promises."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.storage.counters import SWEEP_AT, Counters, MemoryCounters
from penstock.storage.shared import SharedCounters, shared_memory


class Clock:
    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "shared"])
def counters(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Counters]:
    if request.param == "memory":
        yield MemoryCounters(clock)
        return
    handle = shared_memory(2)
    shared = SharedCounters(handle, 1, 2, clock)
    yield shared
    shared.close()
    os.close(handle)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_minutes_worth_may_come_at_once_and_then_at_the_rate(counters: Counters, clock: Clock) -> None:
    assert [counters.take("k", 1, 60) for _ in range(60)] == [0.0] * 60
    wait = counters.take("k", 1, 60)
    assert wait == pytest.approx(1)
    clock.now += wait
    assert counters.take("k", 1, 60) == 0
    assert counters.take("k", 1, 60) > 0
    assert counters.take("other", 1, 60) == 0


def test_what_is_refused_takes_nothing(counters: Counters, clock: Clock) -> None:
    assert counters.take("k", 90, 100) == 0
    assert counters.take("k", 20, 100) == pytest.approx(6)
    assert counters.take("k", 10, 100) == 0


def test_more_than_the_bucket_holds_is_never_granted(counters: Counters) -> None:
    assert counters.take("k", 101, 100) == math.inf
    assert counters.take("k", 11, 100, burst=10) == math.inf
    assert counters.take("k", 1, 0) == math.inf


def test_an_estimate_is_settled_either_way(counters: Counters, clock: Clock) -> None:
    assert counters.take("k", 80, 100) == 0
    counters.adjust("k", -70, 100)
    assert counters.take("k", 90, 100) == 0
    counters.adjust("k", 200, 100)  # overdrawn
    assert counters.take("k", 0, 100) > 0
    clock.now += 60 * 3
    assert counters.take("k", 100, 100) == 0


def test_giving_back_more_than_was_taken_does_not_grow_the_bucket(counters: Counters) -> None:
    counters.adjust("k", -1000, 100)
    assert counters.take("k", 100, 100) == 0
    assert counters.take("k", 1, 100) > 0


def test_a_clock_that_goes_back_grants_no_more(counters: Counters, clock: Clock) -> None:
    assert counters.take("k", 100, 100) == 0
    clock.now -= 1000
    assert counters.take("k", 1, 100) > 0


def test_slots(counters: Counters) -> None:
    assert counters.enter("k", 2)
    assert counters.enter("k", 2)
    assert not counters.enter("k", 2)
    assert counters.occupied("k") == 2
    counters.leave("k")
    assert counters.enter("k", 2)
    for _ in range(5):
        counters.leave("k")
    assert counters.occupied("k") == 0


@settings(max_examples=50, derandomize=True)
@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 30)), max_size=60))
def test_never_more_than_the_rate_and_one_burst(asks: list[tuple[float, int]]) -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    begin, granted = clock.now, 0
    for pause, amount in asks:
        clock.now += pause
        if counters.take("k", amount, 60) == 0:
            granted += amount
        assert granted <= 60 + (clock.now - begin) + 1e-6


def test_idle_buckets_are_forgotten() -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    for n in range(5 * SWEEP_AT):
        counters.take(f"key {n}", 1, 6000)
        clock.now += 0.05
    assert len(counters) < 2 * SWEEP_AT

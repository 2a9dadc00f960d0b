from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.gateway.capacity import CUT, Capacity, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_strain_cuts_below_what_was_in_flight_once_for_all_calls_of_that_time() -> None:
    clock = Clock()
    capacity = Capacity(150, clock=clock)
    capacity.in_flight, clock.now = 100, 1.0
    for _ in range(50):
        capacity.strained(began=0.5)
    assert (capacity.limit, capacity.cuts) == (100 * CUT, 1)
    clock.now = 2.0
    capacity.strained(began=1.5)
    assert capacity.limit == 70 * CUT


def test_good_answers_raise_the_limit_above_all_while_it_is_in_use() -> None:
    clock = Clock()
    capacity, pace = Capacity(100, clock=clock), Pace()
    capacity.in_flight = 60
    capacity.strained(0.0)
    low = capacity.limit
    capacity.in_flight = 2
    for _ in range(10):
        capacity.good(pace)
    assert low < capacity.limit < low + 0.2
    capacity.limit = low
    capacity.in_flight = int(low)
    for _ in range(int(low)):
        capacity.good(pace)
    assert low + 4 < capacity.limit < low + 7, "about its square root a round"
    for _ in range(10_000):
        capacity.in_flight = int(capacity.limit)
        capacity.good(pace)
    assert capacity.limit == 100


def test_a_429_at_low_load_hardly_changes_how_many_are_let_in_at_once() -> None:
    capacity = Capacity(1000)
    capacity.in_flight = 1
    capacity.strained(0.0)
    assert capacity.limit == 1000 * CUT


def test_batch_leaves_the_last_part_to_interactive_calls() -> None:
    capacity = Capacity(10, batch_share=0.7)
    capacity.in_flight = 6
    assert capacity.room(batch=True)
    capacity.in_flight = 7
    assert not capacity.room(batch=True)
    assert capacity.room(batch=False)
    capacity.in_flight = 10
    assert not capacity.room(batch=False)
    one = Capacity(1, batch_share=0.7)
    assert one.room(batch=True), "batch work never starves where nothing else runs"


def test_a_pace_that_falls_counts_only_where_all_load_is_ours() -> None:
    for by_pace in (False, True):
        clock = Clock()
        capacity, pace = Capacity(1000, by_pace=by_pace, clock=clock), Pace()
        capacity.in_flight = 200
        for _ in range(100):
            pace.add(0.1, 10)
        for _ in range(100):
            clock.now += 0.01
            pace.add(0.4, 10)
            capacity.good(pace)
        assert (capacity.limit < 200) == by_pace


def test_long_answers_are_not_slow_answers() -> None:
    pace = Pace()
    for _ in range(200):
        pace.add(0.3 + 0.01 * 20, 20)
    for _ in range(200):
        pace.add(0.3 + 0.01 * 2000, 2000)
    assert not pace.slow


class Load(RuleBasedStateMachine):
    """Whatever the provider does, the limit stays between its bounds and what is let in never exceeds it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.capacity = Capacity(64, least=3, batch_share=0.5, by_pace=True, clock=self.clock)
        self.pace = Pace()
        self.out: list[float] = []

    @rule(seconds=st.floats(0, 5))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(batch=st.booleans(), count=st.integers(1, 30))
    def calls_come(self, batch: bool, count: int) -> None:
        for _ in range(count):
            if self.capacity.room(batch=batch):
                self.capacity.in_flight += 1
                self.out.append(self.clock.now)
                assert self.capacity.in_flight < self.capacity.limit + 1

    @precondition(lambda self: bool(self.out))
    @rule(which=st.integers(0, 100), well=st.booleans(), tokens=st.integers(0, 5000))
    def a_call_ends(self, which: int, well: bool, tokens: int) -> None:
        began = self.out.pop(which % len(self.out))
        before = self.capacity.limit
        if well:
            self.pace.add(self.clock.now - began, tokens)
            self.capacity.good(self.pace)
        else:
            self.capacity.strained(began)
            assert self.capacity.limit <= before
        self.capacity.in_flight -= 1

    @invariant()
    def within_bounds(self) -> None:
        assert 3 <= self.capacity.limit <= 64
        assert self.capacity.in_flight == len(self.out)


TestLoad = Load.TestCase
TestLoad.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)

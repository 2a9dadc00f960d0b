from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.gateway.circuit import FIRST_SHARE, Circuit, Pass, Rules, State

RULES = Rules(streak=3, share=0.5, window=10, open=2, longest=16, probe=5, ramp=10)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def circuit(chance: float = 0.5) -> tuple[Circuit, Clock]:
    clock = Clock()
    return Circuit(RULES, clock, lambda: chance), clock


def broken() -> tuple[Circuit, Clock]:
    found, clock = circuit()
    for _ in range(3):
        found.failed("upstream_reset", clock.now)
    return found, clock


def test_a_streak_of_failures_opens_it_and_a_success_ends_the_streak() -> None:
    found, clock = circuit()
    for _ in range(5):
        found.failed("x", clock.now)
        found.failed("x", clock.now)
        for _ in range(5):
            found.succeeded()
    assert found.state is State.CLOSED
    for _ in range(3):
        found.failed("upstream_reset", clock.now)
    assert (found.state, found.why, found.soft) == (State.OPEN, "upstream_reset", False)
    assert found.enter() is Pass.REFUSED


def test_a_share_of_failures_opens_it_once_there_are_enough_within_the_window() -> None:
    found, clock = circuit()
    for _ in range(5):
        found.failed("x", clock.now)
        found.succeeded()
        assert found.state is State.CLOSED
    assert found.failing == pytest.approx(0.5)
    found.failed("x", clock.now)
    assert found.state is State.OPEN


def test_failures_that_lie_far_apart_do_not_add_up() -> None:
    found, clock = circuit()
    for _ in range(40):
        found.failed("x", clock.now)
        found.succeeded()
        clock.now += 6
    assert found.state is State.CLOSED


def test_one_probe_at_a_time_and_a_slow_return() -> None:
    found, clock = broken()
    assert found.wait() == pytest.approx(2.0)  # chance 0.5 is the middle of the jitter
    clock.now += 2.0
    assert [found.enter() for _ in range(50)] == [Pass.PROBE] + [Pass.REFUSED] * 49
    found.succeeded()  # a call from before the opening that is only done now says nothing
    assert found.state is State.PROBING
    found.succeeded(probe=True)
    assert found.state is State.RAMPING
    assert found.share(clock.now) == FIRST_SHARE
    assert found.enter() is Pass.REFUSED  # 0.5 is above a tenth
    clock.now += 5
    assert found.enter() is Pass.FREE
    clock.now += 5
    assert found.enter() is Pass.FREE
    assert found.state is State.CLOSED


def test_the_ramp_lets_in_a_share_that_grows() -> None:
    clock, dice = Clock(), random.Random(7)
    found = Circuit(RULES, clock, dice.random)
    found.pause(1, "rate limited (429)")
    clock.now += 2
    let_in: list[int] = []
    for _ in range(9):
        let_in.append(sum(found.enter() is Pass.FREE for _ in range(1000)))
        clock.now += 1
    assert let_in[0] < 150
    assert let_in == sorted(let_in)
    assert let_in[-1] > 750


def test_a_failed_return_doubles_the_time_up_to_the_longest() -> None:
    found, clock = broken()
    waits: list[float] = []
    for _ in range(6):
        waits.append(found.wait())
        clock.now += found.wait()
        assert found.enter() is Pass.PROBE
        found.failed("upstream_reset", clock.now, probe=True)
    assert waits == pytest.approx([2, 4, 8, 16, 16, 16])


def test_failures_while_ramping_open_it_again_but_not_those_of_older_calls() -> None:
    found, clock = broken()
    clock.now += 2
    found.enter()
    found.succeeded(probe=True)
    for _ in range(10):
        found.failed("late", clock.now - 5)
    assert found.state is State.RAMPING
    found.failed("x", clock.now)
    assert found.state is State.RAMPING
    found.failed("x", clock.now)
    assert found.state is State.OPEN
    assert found.wait() == pytest.approx(4)


def test_an_abandoned_probe_frees_its_place_and_a_lost_one_does_not_hold_it_for_ever() -> None:
    found, clock = broken()
    clock.now += 2
    assert found.enter() is Pass.PROBE
    found.abandoned(probe=True)
    assert found.enter() is Pass.PROBE
    clock.now += 5
    assert found.enter() is Pass.PROBE


def test_a_pause_needs_no_probe_and_the_longer_one_stands() -> None:
    found, clock = circuit()
    found.pause(10, "rate limited (429)")
    found.pause(1, "shorter")
    assert found.limited
    assert found.wait() == pytest.approx(10.5)
    clock.now += 10.5
    found.enter()
    assert found.state is State.RAMPING


def test_a_pause_without_a_time_lasts_as_an_opening_and_doubles() -> None:
    found, clock = circuit(chance=0.0)
    found.pause(None, "rate limited (429)")
    assert found.wait() == pytest.approx(1.5)
    clock.now += 1.5
    assert found.enter() is Pass.FREE
    found.pause(None, "rate limited (429)")
    assert found.wait() == pytest.approx(3)


def test_one_set_aside_may_still_be_asked_as_a_last_resort() -> None:
    found, _ = circuit()
    found.eject("fails 20% of its calls, others do not")
    assert (found.state, found.soft) == (State.OPEN, True)
    found.eject("again")
    assert found.why.startswith("fails")


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order: never two probes at once, never a way out of open but through time and a probe or a ramp."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.dice = random.Random(1)
        self.circuit = Circuit(RULES, self.clock, self.dice.random)
        self.out: list[tuple[float, bool]] = []

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def a_call_comes(self) -> None:
        before, wait = self.circuit.state, self.circuit.wait()
        said = self.circuit.enter()
        if said is Pass.PROBE:
            fresh = [at for at, probe in self.out if probe and self.clock.now - at < RULES.probe]
            assert not fresh
            assert self.circuit.state is State.PROBING
        if before is State.OPEN and wait > 0:
            assert said is Pass.REFUSED
        if before is State.CLOSED:
            assert said is Pass.FREE
        if said is not Pass.REFUSED:
            self.out.append((self.clock.now, said is Pass.PROBE))

    @precondition(lambda self: bool(self.out))
    @rule(which=st.integers(0, 1000), how=st.sampled_from(["well", "badly", "left", "limited"]))
    def a_call_ends(self, which: int, how: str) -> None:
        began, probe = self.out.pop(which % len(self.out))
        before = self.circuit.state
        if how == "well":
            self.circuit.succeeded(probe=probe)
        elif how == "badly":
            self.circuit.failed("x", began, probe=probe)
        elif how == "left":
            self.circuit.abandoned(probe=probe)
        else:
            self.circuit.pause(1.0, "rate limited (429)")
        after = self.circuit.state
        if after is State.CLOSED:
            assert before is State.CLOSED
        if after is State.RAMPING and before is not State.RAMPING:
            assert before is State.PROBING
            assert probe
            assert how == "well"

    @invariant()
    def it_always_comes_back(self) -> None:
        assert 0 <= self.circuit.wait() <= max(RULES.longest * 1.25, RULES.probe, 1.1)
        assert 0 <= self.circuit.failing <= 1


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

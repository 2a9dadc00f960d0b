from __future__ import annotations

import pytest

from penstock.gateway.circuit import Pass, State
from penstock.gateway.health import LOAD_HALF_LIFE, REMEMBERED, Health, Standing
from penstock.gateway.settings import ProviderSettings, ResilienceSettings
from penstock.kernel.call import Target
from penstock.kernel.errors import DeadlineExceeded, PenstockError, UpstreamRefused, UpstreamReset, UpstreamUnreachable


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def standing(adaptive: str = "refusals") -> tuple[Standing, Clock]:
    clock = Clock()
    given = ProviderSettings(max_connections=100, adaptive=adaptive)  # type: ignore[arg-type]
    health = Health(ResilienceSettings(failures=2), {"p": given}, clock, lambda: 0.5)
    return health.of(Target("p", "m", "x")), clock


def fail(found: Standing, fault: PenstockError, clock: Clock, took: float = 1.0, patience: float = 1.0) -> None:
    found.begin(10)
    began = clock.now
    clock.now += took
    found.failed(10, fault, began, patience, ())


def refused(status: int) -> UpstreamRefused:
    return UpstreamRefused("no", status=502, upstream_status=status)


@pytest.mark.parametrize(
    ("fault", "target", "provider"),
    [
        (UpstreamReset("x"), State.OPEN, State.CLOSED),
        (refused(500), State.OPEN, State.CLOSED),
        (DeadlineExceeded("x"), State.OPEN, State.CLOSED),
        (UpstreamUnreachable("x"), State.CLOSED, State.OPEN),
        (refused(401), State.CLOSED, State.OPEN),
        (refused(404), State.CLOSED, State.CLOSED),
        (refused(422), State.CLOSED, State.CLOSED),
    ],
)
def test_whom_a_failure_speaks_against(fault: PenstockError, target: State, provider: State) -> None:
    found, clock = standing()
    for _ in range(2):
        fail(found, fault, clock)
    assert (found.circuit.state, found.provider.circuit.state) == (target, provider)
    assert (found.tokens, found.provider.capacity.in_flight) == (0, 0)


def test_who_had_no_patience_has_learned_nothing() -> None:
    found, clock = standing()
    for _ in range(10):
        fail(found, DeadlineExceeded("x"), clock, took=0.1, patience=1.0)
    assert found.quiet
    assert found.provider.capacity.cuts == 0


@pytest.mark.parametrize(("adaptive", "cuts"), [("refusals", True), ("pace", True), ("off", False)])
def test_strain_lowers_the_limit_unless_it_is_fixed(adaptive: str, cuts: bool) -> None:
    found, clock = standing(adaptive)
    for _ in range(50):
        found.begin(10)
    found.failed(10, refused(529), clock.now, 1.0, ())
    assert (found.provider.capacity.limit < 100) == cuts


def test_a_probe_of_the_provider_goes_back_when_the_targets_circuit_refuses() -> None:
    found, clock = standing()
    for _ in range(2):
        fail(found, UpstreamUnreachable("x"), clock)
    clock.now += 3
    found.circuit.pause(60, "rate limited (429)")
    assert found.enter() is Pass.REFUSED
    assert found.provider.circuit.state is State.OPEN
    assert found.provider.circuit.wait() == 0


def test_load_is_what_is_in_flight_and_half_of_what_was_sent_a_half_life_ago() -> None:
    found, clock = standing()
    found.begin(100)
    assert found.load(clock.now) == 200
    found.succeeded(100, 0.1, 5)
    clock.now += LOAD_HALF_LIFE
    assert found.load(clock.now) == pytest.approx(50)


def test_names_that_callers_make_up_do_not_fill_memory_nor_hide_what_is_in_trouble() -> None:
    clock = Clock()
    health = Health(ResilienceSettings(failures=1), {}, clock)
    troubled = health.of(Target("p", "troubled", "x"))
    fail(troubled, UpstreamReset("x"), clock)
    for n in range(3 * REMEMBERED):
        health.of(Target("p", f"made-up-{n}", "x"))
    assert len(health.targets) <= REMEMBERED
    assert health.of(Target("p", "troubled", "x")) is troubled

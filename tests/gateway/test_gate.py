from __future__ import annotations

import pytest

from penstock.gateway.circuit import State
from penstock.gateway.gate import CAPACITY, CIRCUIT, RATE_LIMIT, Gate
from penstock.gateway.health import Health
from penstock.gateway.settings import ProviderSettings, ResilienceSettings
from penstock.kernel.call import Call, Target, Trace
from penstock.kernel.errors import CircuitOpen, Overloaded, UpstreamRefused

A, B = Target("a", "m", "x", 0), Target("b", "m", "x", 1)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def desk(priority: str = "interactive") -> tuple[Health, Gate, Clock]:
    clock = Clock()
    sections = {name: ProviderSettings(max_connections=10) for name in "ab"}
    health = Health(ResilienceSettings(failures=1), sections, clock, lambda: 0.5)
    call = Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin())
    call.priority = priority
    return health, Gate(health, call, 100), clock


def test_nothing_stands_in_the_way_and_nothing_is_refused() -> None:
    _, gate, _ = desk()
    assert gate.asks(A) is None
    assert gate.refusal() is None


def test_the_reasons_and_the_refusal_is_the_one_that_ends_soonest() -> None:
    health, gate, clock = desk()
    health.of(A).circuit.failed("upstream_reset", clock.now)
    held = gate.asks(A)
    assert held is not None
    assert (held.reason, held.soft, held.seconds) == (CIRCUIT, False, 2.0)
    refusal = gate.refusal()
    assert isinstance(refusal, CircuitOpen)
    health.of(B).circuit.pause(60, "rate limited (429)")
    held = gate.asks(B)
    assert held is not None
    assert held.reason == RATE_LIMIT
    assert isinstance(gate.refusal(), CircuitOpen)
    _, gate, _ = health, Gate(health, Call(operation="chat", shape="s", credential=None, deadline=0.0, trace=Trace.begin()), 1), None
    assert gate.asks(B) is not None
    refusal = gate.refusal()
    assert isinstance(refusal, UpstreamRefused)
    assert refusal.status == 429


@pytest.mark.parametrize(
    ("priority", "in_flight", "fits"), [("interactive", 9, True), ("interactive", 10, False), ("batch", 6, True), ("batch", 7, False)]
)
def test_room_by_priority(priority: str, in_flight: int, fits: bool) -> None:
    health, gate, _ = desk(priority)
    health.provider("a").capacity.in_flight = in_flight
    held = gate.asks(A)
    assert (held is None) == fits
    if held is not None:
        assert held.reason == CAPACITY
        assert isinstance(gate.refusal(), Overloaded)
        assert health.provider("a").capacity.refused == 1


def test_early_probes_are_of_the_circuit_that_keeps_the_target_out() -> None:
    health, gate, clock = desk()
    found = health.of(A)
    found.provider.circuit.failed("upstream_unreachable", clock.now)
    assert not gate.early(A), "not at once"
    clock.now += 0.6
    assert gate.early(A)
    assert found.provider.circuit.state is State.PROBING
    assert not gate.early(A), "one at a time"
    found.provider.circuit.failed("upstream_unreachable", clock.now, probe=True)
    found.circuit.failed("upstream_reset", clock.now)
    clock.now += 1
    assert not gate.early(A), "both are open: the target's own could not be told apart"

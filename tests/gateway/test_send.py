"""The walk over targets, with a relay that does as it is told and a clock of its own: who is asked, who is passed over, what is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from penstock.gateway.choose import Catalogue
from penstock.gateway.circuit import State
from penstock.gateway.health import Health
from penstock.gateway.providers.http import HttpProvider
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.providers.provider import Provider
from penstock.gateway.quota import Quota
from penstock.gateway.relay import Relay
from penstock.gateway.send import Send
from penstock.gateway.settings import GatewaySettings, ModelSettings, ProviderSettings, ResilienceSettings
from penstock.kernel.call import Attempt, Call, Reply, Target, Trace, Usage
from penstock.kernel.errors import (
    CircuitOpen,
    DeadlineExceeded,
    Overloaded,
    PenstockError,
    UpstreamRefused,
    UpstreamReset,
    UpstreamUnreachable,
)
from penstock.kernel.stage import Proceed

Answer = Callable[[], Awaitable[Reply]]


async def nobody(call: Call) -> Reply:
    raise AssertionError("nothing stands behind the sender")


BEHIND: Proceed = nobody


def refused(status: int, retry_after: float | None = None) -> UpstreamRefused:
    return UpstreamRefused(f"answered {status}", status=503, upstream_status=status, retry_after=retry_after)


class Told(Relay):
    """Answers for each provider as its entry says: None for well, or the fault to raise."""

    def __init__(self) -> None:
        super().__init__({}, GatewaySettings())
        self.faults: dict[str, PenstockError | None] = {}
        self.asked: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def attempt(self, call: Call, target: Target, provider: Provider, wire: str, attempt: Attempt, quota: Quota) -> Reply:
        self.asked.append(target.provider)
        gate = self.gates.get(target.provider)
        if gate is not None:
            await gate.wait()
        fault = self.faults.get(target.provider)
        if fault is not None:
            raise fault
        call.usage = Usage(input=10, output=20)
        return Reply(body=target.provider.encode())


class Desk:
    """A sender with providers a, b, c and a clock that only the test moves."""

    def __init__(self, model: ModelSettings | None = None, **settings: object) -> None:
        self.now = 1000.0
        given = GatewaySettings(resilience=ResilienceSettings(failures=3), **settings)  # type: ignore[arg-type]
        sections = {n: ProviderSettings(base_url="http://127.0.0.1:9/v1", models=("m",), max_connections=10) for n in "abc"}
        providers = {n: HttpProvider(n, PROFILES["openai-compatible"], s, {}) for n, s in sections.items()}
        self.catalogue = Catalogue(providers, {"x": model} if model is not None else {})
        self.health = Health(given.resilience, sections, lambda: self.now, lambda: 0.5)
        self.relay = Told()
        self.send = Send(self.catalogue, self.relay, given, self.health, lambda: self.now)

    async def call(self, *targets: str, priority: str = "interactive") -> Call:
        call = Call(operation="chat", shape="openai.chat", credential=None, deadline=time.monotonic() + 60, trace=Trace.begin())
        call.model, call.priority, call.input_estimate = "x", priority, 10
        call.targets = list(self.catalogue.resolve("x")) if not targets else [Target(t, "m", "x", n) for n, t in enumerate(targets)]
        try:
            await self.send(call, BEHIND)
        finally:
            call.end()
        return call

    def state(self, provider: str) -> State:
        return self.health.of(Target(provider, "m", "x")).circuit.state


async def test_an_open_circuit_is_passed_over_and_the_record_says_why() -> None:
    desk = Desk(retries=0)
    desk.relay.faults["a"] = refused(500)
    for _ in range(3):
        await desk.call("a", "b")
    desk.relay.asked.clear()
    call = await desk.call("a", "b")
    assert desk.relay.asked == ["b"]
    assert [(a.provider, a.skipped, a.error) for a in call.attempts] == [("a", "circuit", None), ("b", None, None)]
    assert "upstream_refused (500)" in (call.attempts[0].message or "")
    last = call.last_attempt()
    assert last is not None
    assert last.provider == "b"


async def test_with_one_target_an_open_circuit_is_said_at_once_with_the_time_to_wait() -> None:
    desk = Desk(retries=0)
    desk.relay.faults["a"] = UpstreamReset("gone")
    for _ in range(3):
        with pytest.raises(UpstreamReset):
            await desk.call("a")
    with pytest.raises(CircuitOpen, match="a/m: left alone for now: upstream_reset") as fault:
        await desk.call("a")
    assert fault.value.retry_after == pytest.approx(2.0)
    assert len(desk.relay.asked) == 3


async def test_after_its_time_one_probe_goes_out_and_its_success_begins_the_return() -> None:
    desk = Desk(retries=0)
    desk.relay.faults["a"] = UpstreamReset("gone")
    for _ in range(3):
        await desk.call("a", "b")
    desk.now += 2.1
    desk.relay.faults.clear()
    desk.relay.asked.clear()
    desk.relay.gates["a"] = asyncio.Event()
    probe = asyncio.ensure_future(desk.call("a", "b"))
    while desk.relay.asked != ["a"]:
        await asyncio.sleep(0)
    for _ in range(5):
        await desk.call("a", "b")
    assert desk.relay.asked == ["a", *["b"] * 5]
    desk.relay.gates["a"].set()
    await probe
    assert desk.state("a") is State.RAMPING


async def test_a_probe_whose_client_leaves_makes_room_for_the_next() -> None:
    desk = Desk(retries=0)
    desk.relay.faults["a"] = UpstreamReset("gone")
    for _ in range(3):
        await desk.call("a", "b")
    desk.now += 2.1
    desk.relay.gates["a"] = asyncio.Event()
    probe = asyncio.ensure_future(desk.call("a", "b"))
    while desk.relay.asked.count("a") < 4:
        await asyncio.sleep(0)
    probe.cancel()
    await asyncio.wait({probe})
    standing = desk.health.of(Target("a", "m", "x"))
    assert (standing.tokens, standing.provider.capacity.in_flight) == (0, 0)
    desk.relay.gates.clear()
    desk.relay.faults.clear()
    await desk.call("a", "b")
    assert desk.state("a") is State.RAMPING


async def test_when_all_of_several_are_left_alone_one_is_probed_before_its_time() -> None:
    desk = Desk(retries=0)
    desk.relay.faults = {"a": UpstreamReset("gone"), "b": UpstreamReset("gone")}
    for _ in range(3):
        with pytest.raises(UpstreamReset):
            await desk.call("a", "b")
    assert (desk.state("a"), desk.state("b")) == (State.OPEN, State.OPEN)
    desk.relay.faults.clear()
    desk.relay.asked.clear()
    desk.now += 0.6  # open for two seconds yet
    await desk.call("a", "b")
    assert desk.relay.asked == ["a"]


async def test_429_pauses_the_target_for_as_long_as_it_says() -> None:
    desk = Desk(retries=0)
    desk.relay.faults["a"] = refused(429, retry_after=30)
    await desk.call("a", "b")
    desk.relay.asked.clear()
    call = await desk.call("a", "b")
    assert desk.relay.asked == ["b"]
    assert call.attempts[0].skipped == "rate_limit"
    with pytest.raises(UpstreamRefused, match="rate limited") as fault:
        await desk.call("a")
    assert (fault.value.status, desk.relay.asked) == (429, ["b"])
    assert fault.value.retry_after == pytest.approx(31.5)


async def test_a_quota_that_is_used_up_is_respected_before_it_bites() -> None:
    desk = Desk(retries=0)
    quota = desk.health.of(Target("a", "m", "x")).quota
    quota.known, quota.tokens, quota.tokens_reset = True, 100, desk.now + 60
    call = await desk.call("a", "b")
    assert (desk.relay.asked, call.attempts[0].skipped) == (["b"], "rate_limit")


async def test_beyond_the_capacity_calls_go_elsewhere_or_are_refused_and_batch_sooner() -> None:
    desk = Desk(retries=0)
    capacity = desk.health.provider("a").capacity
    capacity.in_flight = 8
    call = await desk.call("a", "b", priority="batch")
    assert (desk.relay.asked, call.attempts[0].skipped) == (["b"], "capacity")
    await desk.call("a")
    with pytest.raises(Overloaded) as fault:
        await desk.call("a", priority="batch")
    assert (fault.value.status, fault.value.retry_after) == (503, 1)
    capacity.in_flight = 10
    with pytest.raises(Overloaded):
        await desk.call("a")


async def test_further_tries_end_when_the_budget_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.gateway.send.FIRST_WAIT_SECONDS", 0.0)
    desk = Desk(retries=2)
    desk.health.provider("a").budget.tokens = 1.0
    desk.relay.faults["a"] = UpstreamUnreachable("no connection")
    with pytest.raises(UpstreamUnreachable):
        await desk.call("a")
    assert len(desk.relay.asked) == 2, "one further try, then none is left"


async def test_an_equal_target_is_asked_instead_of_the_same_again() -> None:
    desk = Desk(ModelSettings(targets=(("a/m", "b/m"),)), retries=2)
    desk.relay.faults["a"] = refused(500)
    await desk.call()
    assert desk.relay.asked == ["a", "b"]


async def test_one_that_fails_more_than_its_equals_is_set_aside_early() -> None:
    desk = Desk(ModelSettings(targets=(("a/m", "b/m"),)), retries=0)
    standing = desk.health.of(Target("a", "m", "x"))
    for n in range(40):
        desk.relay.faults = {"a": refused(500)} if n % 5 == 0 else {}
        await desk.call("a", "b")
        if standing.circuit.state is State.OPEN:
            break
    assert standing.circuit.soft
    assert "others do not" in standing.circuit.why
    desk.relay.faults = {"b": UpstreamReset("gone")}
    call = await desk.call("a", "b")
    assert call.target is not None
    assert call.target.provider == "a", "as a last resort it is asked all the same"


async def test_a_short_deadline_of_the_callers_own_opens_no_circuit() -> None:
    desk = Desk(retries=0)
    desk.relay.faults["a"] = DeadlineExceeded("the caller had little time")
    for _ in range(20):
        with pytest.raises(DeadlineExceeded):
            await desk.call("a")
    assert desk.state("a") is State.CLOSED
    assert desk.health.provider("a").capacity.cuts == 0


async def test_what_the_caller_got_wrong_says_nothing_against_the_target() -> None:
    desk = Desk(retries=0)
    desk.relay.faults["a"] = refused(400)
    for _ in range(20):
        with pytest.raises(UpstreamRefused):
            await desk.call("a", "b")
    assert desk.state("a") is State.CLOSED
    assert "b" not in desk.relay.asked


async def test_a_key_that_is_not_accepted_closes_the_whole_provider() -> None:
    desk = Desk(retries=0)
    desk.relay.faults["a"] = refused(401)
    for _ in range(3):
        await desk.call("a", "b")
    assert desk.health.provider("a").circuit.state is State.OPEN
    assert desk.state("a") is State.CLOSED


async def test_a_hedge_answers_when_the_first_is_slow_and_the_loser_is_told() -> None:
    desk = Desk(ModelSettings(targets=("a/m", "b/m"), hedge_seconds=0.01), retries=0)
    desk.relay.gates["a"] = asyncio.Event()
    call = await desk.call()
    assert call.target is not None
    assert call.target.provider == "b"
    assert [(a.provider, a.hedge, a.error) for a in call.attempts] == [("a", False, "hedge_lost"), ("b", True, None)]
    assert desk.send.hedges == 1
    for name in "ab":
        assert desk.health.provider(name).capacity.in_flight == 0
    desk.relay.gates.clear()
    call = await desk.call()
    assert [(a.provider, a.hedge) for a in call.attempts] == [("a", False)]


async def test_a_hedge_that_fails_waits_for_the_first_and_two_failures_are_the_firsts() -> None:
    desk = Desk(ModelSettings(targets=("a/m", "b/m"), hedge_seconds=0.01), retries=0)
    desk.relay.gates["a"] = asyncio.Event()
    desk.relay.faults["b"] = UpstreamReset("b broke")
    waiting = asyncio.ensure_future(desk.call())
    while "b" not in desk.relay.asked:
        await asyncio.sleep(0.001)
    desk.relay.gates["a"].set()
    call = await waiting
    assert call.target is not None
    assert call.target.provider == "a"


async def test_a_names_own_patience_ends_a_try() -> None:
    desk = Desk(ModelSettings(targets=("a/m", "b/m"), try_seconds=0.01), retries=0)
    desk.relay.gates["a"] = asyncio.Event()
    call = await desk.call()
    assert [(a.provider, a.error) for a in call.attempts] == [("a", "deadline_exceeded"), ("b", None)]
    assert "try_seconds of 'x'" in (call.attempts[0].message or "")

from __future__ import annotations

from typing import Any

import pytest

from penstock.gateway.admission import Admission
from penstock.kernel.call import Call, Reply, Trace, Usage
from penstock.kernel.errors import BudgetExceeded, Draining, LimitExceeded, MalformedRequest, Overloaded
from penstock.kernel.principal import Limits, Principal
from penstock.storage.counters import MemoryCounters


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_call(limits: Limits | None = None, *, estimate: int = 10, cap: int | None = 90) -> Call:
    call = Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin())
    if limits is not None:
        call.principal = Principal(key_id="key_1", name="batch", organisation="org_1", limits=limits)
    call.input_estimate, call.max_output = estimate, cap
    return call


async def served(call: Call) -> Reply:
    call.usage = Usage(input=10, output=20)
    return Reply(body=b"{}")


async def refused(call: Call) -> Reply:
    raise BudgetExceeded("spent")


def admission(clock: Clock | None = None, most: int = 8) -> tuple[Admission, MemoryCounters]:
    counters = MemoryCounters(clock or Clock())
    return Admission(counters, max_in_flight=most), counters


async def test_what_the_edge_found_wrong_is_raised_here() -> None:
    stage, _ = admission()
    call = a_call()
    call.fault = MalformedRequest("no JSON")
    with pytest.raises(MalformedRequest, match="no JSON"):
        await stage(call, served)
    assert stage.in_flight == 0


async def test_calls_in_flight_are_counted_until_they_end_and_bounded() -> None:
    stage, _ = admission(most=2)
    calls = [a_call(), a_call(Limits(requests_per_minute=100))]
    for call in calls:
        await stage(call, served)
    assert stage.in_flight == 2
    with pytest.raises(Overloaded) as fault:
        await stage(a_call(), served)
    assert (fault.value.status, fault.value.retry_after, stage.refused) == (503, 1, 1)
    for call in calls:
        call.end()
        call.end()
    assert stage.in_flight == 0


async def test_nobody_is_let_in_while_draining() -> None:
    stage, _ = admission()
    stage.draining = True
    with pytest.raises(Draining):
        await stage(a_call(), served)
    assert (stage.in_flight, stage.refused) == (0, 1)


async def test_concurrency_of_a_key() -> None:
    stage, counters = admission()
    limits = Limits(concurrency=2)
    first, second = a_call(limits), a_call(limits)
    await stage(first, served)
    await stage(second, served)
    with pytest.raises(LimitExceeded, match="'batch' has 2 calls in flight") as fault:
        await stage(a_call(limits), served)
    assert fault.value.code == "concurrency_limit_exceeded"
    first.end()
    await stage(a_call(limits), served)
    assert counters.occupied("key_1") == 2


async def test_requests_a_minute_with_a_burst_of_one_minute() -> None:
    clock = Clock()
    stage, _ = admission(clock)
    limits = Limits(requests_per_minute=3)
    for _ in range(3):
        await stage(a_call(limits), served)
    with pytest.raises(LimitExceeded, match="3 requests a minute") as fault:
        await stage(a_call(limits), served)
    assert fault.value.retry_after == pytest.approx(20)
    clock.now += 20.001
    await stage(a_call(limits), served)


async def test_tokens_are_taken_as_estimated_and_settled_as_used() -> None:
    clock = Clock()
    stage, _ = admission(clock)
    limits = Limits(tokens_per_minute=150)
    call = a_call(limits)  # may use 10 + 90
    await stage(call, served)
    with pytest.raises(LimitExceeded, match="150 tokens a minute") as fault:
        await stage(a_call(limits), served)
    assert fault.value.code == "token_limit_exceeded"
    call.end()  # used 30 of 100
    await stage(a_call(limits), served)


async def test_a_call_larger_than_a_minutes_tokens_runs_when_the_bucket_is_full() -> None:
    stage, _ = admission()
    limits = Limits(tokens_per_minute=50)
    await stage(a_call(limits), served)
    with pytest.raises(LimitExceeded):
        await stage(a_call(limits, estimate=1, cap=1), served)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(requests_per_minute=1, concurrency=5, tokens_per_minute=10_000),
        Limits(tokens_per_minute=100, concurrency=5, requests_per_minute=1000),
    ],
)
async def test_a_call_that_is_refused_takes_nothing(limits: Limits) -> None:
    stage, counters = admission()
    first = a_call(limits)
    await stage(first, served)
    before = _state(counters)
    with pytest.raises(LimitExceeded):
        await stage(a_call(limits), served)
    assert _state(counters) == before
    assert stage.in_flight == 1


async def test_what_fails_further_in_is_given_back_when_the_call_ends() -> None:
    stage, counters = admission()
    call = a_call(Limits(tokens_per_minute=1000, concurrency=1))
    with pytest.raises(BudgetExceeded):
        await stage(call, refused)
    call.end()
    assert stage.in_flight == 0
    assert counters.occupied("key_1") == 0
    assert len(counters) == 0, "no tokens are owed for a call that used none"


def _state(counters: MemoryCounters) -> Any:
    return {k: pytest.approx(v) for k, v in counters._full_at.items()}, dict(counters._slots)

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.kernel.call import Call, Trace
from penstock.kernel.errors import Overloaded
from penstock.kernel.events import CallEnded
from penstock.kernel.principal import Principal, Scope
from penstock.observability import live
from penstock.observability.live import BEAT, CALLS, HELLO, Live


def reader(organisation: str = "org_1", *, runs: bool = False) -> Principal:
    return Principal(key_id="k", name="n", organisation=organisation, scopes=frozenset({Scope.ADMIN}), home=runs)


def ended(organisation: str | None = "org_1") -> CallEnded:
    call = Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin())
    if organisation is not None:
        call.principal = reader(organisation)
    return CallEnded(call=call)


async def next_of(stream: Any) -> bytes:
    return await asyncio.wait_for(anext(stream), 5)


async def test_a_watcher_hears_of_calls_that_it_may_see_and_of_no_others() -> None:
    told = Live(pause=0, beat=0.02)
    mine, theirs, all_ = told.watch(reader("org_1")), told.watch(reader("org_2")), told.watch(reader("org_1", runs=True))
    for stream in (mine, theirs, all_):
        assert await next_of(stream) == HELLO
    told.ended(ended("org_1"))
    assert await next_of(mine) == CALLS
    assert await next_of(all_) == CALLS
    assert await next_of(theirs) == BEAT
    told.ended(ended(None))
    assert await next_of(all_) == CALLS
    assert await next_of(mine) == BEAT
    for stream in (mine, theirs, all_):
        await stream.aclose()  # type: ignore[attr-defined]
    assert told.watching == 0


async def test_many_calls_are_told_once() -> None:
    told = Live(pause=0.01, beat=0.05)
    stream = told.watch(reader())
    assert await next_of(stream) == HELLO
    for _ in range(1000):
        told.ended(ended())
    assert [await next_of(stream), await next_of(stream)] == [CALLS, BEAT]
    await stream.aclose()  # type: ignore[attr-defined]


async def test_stopping_ends_every_stream() -> None:
    told = Live()
    stream = told.watch(reader())
    assert await next_of(stream) == HELLO
    waiting = asyncio.create_task(next_of(stream))
    await asyncio.sleep(0)
    await told.drain(1)
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert told.watching == 0


async def test_watchers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_WATCHERS", 1)
    told = Live()
    stream = told.watch(reader())
    await next_of(stream)
    with pytest.raises(Overloaded):
        told.watch(reader())
    await stream.aclose()  # type: ignore[attr-defined]

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.gateway.hedge import LOST, race
from penstock.kernel.call import Call, Reply, Target, Trace
from penstock.kernel.errors import UpstreamReset


class Runner:
    """One side of a race: answers when told, or fails; notes how it was ended."""

    def __init__(self, call: Call, name: str, fault: Exception | None = None, chunks: AsyncIterator[bytes] | None = None) -> None:
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.ended: tuple[object, ...] | None = None
        self._call, self._name, self._fault, self._chunks = call, name, fault, chunks

    async def run(self) -> Reply:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError as gone:
            self.ended = gone.args
            raise
        if self._fault is not None:
            raise self._fault
        self._call.target = Target(self._name, "m", "x")
        return Reply(body=None if self._chunks else self._name.encode(), chunks=self._chunks)


def a_call() -> Call:
    return Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin())


async def test_a_first_that_answers_in_time_runs_alone() -> None:
    call = a_call()
    first, second = Runner(call, "a"), Runner(call, "b")
    first.go.set()
    assert (await race(call, first.run, second.run, 10)).body == b"a"
    assert not second.begun.is_set()


async def test_the_sooner_counts_and_the_other_is_told_that_it_lost() -> None:
    call = a_call()
    first, second = Runner(call, "a"), Runner(call, "b")
    second.go.set()
    assert (await race(call, first.run, second.run, 0.001)).body == b"b"
    assert first.ended == LOST
    assert call.target == Target("b", "m", "x")


async def test_nobody_to_ask_leaves_the_first_alone() -> None:
    call = a_call()
    first = Runner(call, "a")

    async def nobody() -> Reply | None:
        first.go.set()
        return None

    assert (await race(call, first.run, nobody, 0.001)).body == b"a"


async def test_a_failure_waits_for_the_other_and_two_are_the_firsts() -> None:
    call = a_call()
    first, second = Runner(call, "a", UpstreamReset("a broke")), Runner(call, "b")
    racing = asyncio.ensure_future(race(call, first.run, second.run, 0.001))
    await second.begun.wait()
    first.go.set()
    second.go.set()
    assert (await racing).body == b"b"
    first, second = Runner(call, "a", UpstreamReset("a broke")), Runner(call, "b", UpstreamReset("b broke"))
    racing = asyncio.ensure_future(race(call, first.run, second.run, 0.001))
    await second.begun.wait()
    second.go.set()
    first.go.set()
    with pytest.raises(UpstreamReset, match="a broke"):
        await racing


async def test_a_stream_that_lost_is_closed_though_nobody_began_to_read_it() -> None:
    call, closed = a_call(), list[str]()

    async def stream(name: str) -> AsyncIterator[bytes]:
        try:
            yield name.encode()
            yield b"more"
        finally:
            closed.append(name)

    first, second = Runner(call, "a", chunks=stream("a")), Runner(call, "b", chunks=stream("b"))
    racing = asyncio.ensure_future(race(call, first.run, second.run, 0.001))
    await second.begun.wait()
    first.go.set()
    second.go.set()  # both answer in the same turn of the loop
    reply = await racing
    assert reply.chunks is not None
    assert call.target is not None
    kept = [chunk async for chunk in reply.chunks]
    assert kept == [call.target.provider.encode(), b"more"]
    assert sorted(closed) == ["a", "b"]


async def test_a_client_that_leaves_ends_both() -> None:
    call = a_call()
    first, second = Runner(call, "a"), Runner(call, "b")
    racing = asyncio.ensure_future(race(call, first.run, second.run, 0.001))
    await second.begun.wait()
    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing
    assert first.ended is not None
    assert second.ended is not None

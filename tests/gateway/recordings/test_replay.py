from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.gateway.recordings import Exchange, play_stream, play_whole
from penstock.gateway.recordings.replay import wait_for_first_byte

STREAM = Exchange(
    shape="openai.chat", request={}, chunks=[(100.0, b"a"), (150.0, b"b"), (400.0, b"c")], first_byte_ms=100.0, total_ms=400.0
)
WHOLE = Exchange(shape="openai.chat", request={}, status=201, headers=[("x", "y")], body=b"abc", first_byte_ms=20.0, total_ms=250.0)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only sleeping moves; what was slept, in seconds."""
    naps: list[float] = []
    real = asyncio.sleep

    class Loop:
        def time(self) -> float:
            return sum(naps)

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        await real(0)

    monkeypatch.setattr("penstock.gateway.recordings.replay.asyncio.get_running_loop", Loop)
    monkeypatch.setattr("penstock.gateway.recordings.replay.asyncio.sleep", sleep)
    return naps


async def gather(source: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in source]


async def test_chunks_come_at_their_times(slept: list[float]):
    assert await gather(play_stream(STREAM)) == [b"a", b"b", b"c"]
    assert slept == pytest.approx([0.1, 0.05, 0.25])


async def test_speed_divides_time(slept: list[float]):
    await gather(play_stream(STREAM, 20))
    assert slept == pytest.approx([0.005, 0.0025, 0.0125])


async def test_speed_zero_does_not_wait(slept: list[float]):
    assert await gather(play_stream(STREAM, 0)) == [b"a", b"b", b"c"]
    assert await play_whole(WHOLE, 0) == (201, [("x", "y")], b"abc")
    assert slept == []


async def test_a_slow_reader_does_not_shift_what_follows(slept: list[float]):
    source = play_stream(STREAM)
    await anext(source)
    slept.append(10.0)
    assert [chunk async for chunk in source] == [b"b", b"c"]
    assert len(slept) == 2


async def test_whole_reply_comes_at_its_end(slept: list[float]):
    assert await play_whole(WHOLE) == (201, [("x", "y")], b"abc")
    assert slept == pytest.approx([0.25])
    await wait_for_first_byte(WHOLE)
    assert slept[1:] == pytest.approx([0.02])


async def test_the_other_kind_is_played_as_bytes(slept: list[float]):
    assert await gather(play_stream(WHOLE)) == [b"abc"]
    assert (await play_whole(STREAM))[2] == b"abc"


async def test_real_time_is_kept_on_a_real_clock():
    loop = asyncio.get_running_loop()
    started = loop.time()
    await gather(play_stream(STREAM, 4))
    assert 0.095 <= loop.time() - started < 1.0

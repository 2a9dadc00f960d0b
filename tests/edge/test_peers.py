"""Workers that ask each other, and go on without one that does not answer."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator

import pytest

from penstock.edge import peers as module
from penstock.edge.peers import WorkerPeers
from penstock.kernel.errors import Unavailable
from penstock.kernel.seat import Seat


@pytest.fixture
async def three() -> AsyncIterator[list[WorkerPeers]]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short
        made = [WorkerPeers(Seat(index=n, workers=3, folder=folder, counters=-1, alive=-1, told=-1)) for n in range(3)]
        for one in made:
            await one.start()
        yield made
        for one in made:
            await one.stop()


async def test_each_answers_for_itself(three: list[WorkerPeers]) -> None:
    for one in three:

        async def answer(body: bytes, own: int = one.own) -> bytes:
            return b"%d got %s" % (own, body)

        one.answer("what", answer)
    assert await three[0].ask("what", b"\0x" * 100_000) == {1: b"1 got " + b"\0x" * 100_000, 2: b"2 got " + b"\0x" * 100_000}
    assert await three[2].ask("what") == {0: b"0 got ", 1: b"1 got "}


async def test_who_does_not_answer_is_gone_on_without(three: list[WorkerPeers], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)

    async def stuck(_: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def refuses(_: bytes) -> bytes:
        raise Unavailable("not now")

    three[1].answer("what", stuck)
    three[2].answer("what", refuses)
    assert await three[0].ask("what") == {1: None, 2: None}
    assert await three[0].ask("nobody knows") == {1: None, 2: None}
    await three[1].stop()
    assert await three[0].ask("what") == {1: None, 2: None}


async def test_a_worker_that_takes_a_seat_again_is_found(three: list[WorkerPeers]) -> None:
    seat = Seat(index=1, workers=3, folder=str(three[1]._folder), counters=-1, alive=-1, told=-1)
    await three[1].stop()
    again = WorkerPeers(seat)
    heard = asyncio.Event()

    async def answer(_: bytes) -> bytes:
        heard.set()
        return b"here"

    again.answer("what", answer)
    await again.start()
    assert (await three[0].ask("what"))[1] == b"here"
    heard.clear()
    three[0].tell("what")
    async with asyncio.timeout(5):
        await heard.wait()
    await again.stop()

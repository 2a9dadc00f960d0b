from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator

import pytest

from penstock.kernel.call import Call, Reply, Trace
from penstock.kernel.errors import (
    CallCancelled,
    DeadlineExceeded,
    PenstockError,
    StorageFull,
    Unauthenticated,
    UpstreamReset,
    UpstreamUnreachable,
)
from penstock.kernel.events import CallEnded, Events
from penstock.kernel.stage import Proceed
from penstock.observability.record import FRAMING, RecordStage, outcome_of


class Desk:
    """The stage between a sender that the test writes and a list of what was recorded."""

    def __init__(self, keep: int = 1000) -> None:
        self.taken: list[tuple[Call, int]] = []
        self.told: list[Call] = []
        events = Events()
        events.subscribe(CallEnded, lambda event: self.told.append(event.call))
        self.stage = RecordStage(self, events, keep)

    def take(self, call: Call, payload_bytes: int) -> None:
        self.taken.append((call, payload_bytes))

    @property
    def outcomes(self) -> list[str]:
        assert [call for call, _ in self.taken] == self.told
        return [call.outcome for call, _ in self.taken]


def a_call(seconds: float = 60.0) -> Call:
    return Call(
        operation="chat",
        shape="openai.chat",
        credential=None,
        deadline=time.monotonic() + seconds,
        trace=Trace.begin(),
        body=b'{"model":"m"}',
    )


def raises(fault: BaseException) -> Proceed:
    async def proceed(call: Call) -> Reply:
        raise fault

    return proceed


def streams(*chunks: bytes, fault: BaseException | None = None, finished_at: int | None = None, closed: list[str] | None = None) -> Proceed:
    async def proceed(call: Call) -> Reply:
        reply = Reply()

        async def walk() -> AsyncIterator[bytes]:
            try:
                for at, chunk in enumerate(chunks):
                    reply.finished = at == finished_at or reply.finished
                    yield chunk
                if fault is not None:
                    raise fault
            finally:
                if closed is not None:
                    closed.append(call.outcome)

        reply.chunks = walk()
        return reply

    return proceed


async def read(reply: Reply) -> bytes:
    assert reply.chunks is not None
    return b"".join([chunk async for chunk in reply.chunks])


async def test_a_whole_reply_is_recorded_when_it_is_there() -> None:
    desk = Desk()
    call = a_call()

    async def proceed(call: Call) -> Reply:
        return Reply(body=b"hello")

    await desk.stage(call, proceed)
    assert desk.outcomes == ["ok"]
    assert (call.reply_status, call.reply_text, call.first_token_ms) == (200, [b"hello"], None)
    assert desk.taken[0][1] == len(call.body) + 5
    assert call.total_ms > 0


@pytest.mark.parametrize(
    ("fault", "outcome", "status"),
    [
        (Unauthenticated("no"), "refused", 401),
        (StorageFull("no"), "refused", 503),
        (UpstreamUnreachable("no"), "failed", 502),
        (DeadlineExceeded("late"), "failed", 504),
        (asyncio.CancelledError(), "cancelled", 499),
        (GeneratorExit(), "cancelled", 499),
    ],
)
async def test_whatever_comes_back_is_recorded_once_and_goes_on(fault: BaseException, outcome: str, status: int) -> None:
    desk = Desk()
    call = a_call()
    with pytest.raises(type(fault)):
        await desk.stage(call, raises(fault))
    assert desk.outcomes == [outcome]
    assert call.reply_status == status


async def test_the_text_of_an_unexpected_exception_stays_off_the_record() -> None:
    desk = Desk()
    call = a_call()
    with pytest.raises(ValueError):
        await desk.stage(call, raises(ValueError("sk-secret")))
    assert desk.outcomes == ["failed"]
    assert call.error is not None
    assert (call.error.code, "ValueError" in call.error.message, "sk-secret" in call.error.message) == ("internal_error", True, False)


async def test_cancelled_after_its_deadline_is_a_deadline() -> None:
    desk = Desk()
    call = a_call(seconds=-1)
    with pytest.raises(asyncio.CancelledError):
        await desk.stage(call, raises(asyncio.CancelledError()))
    assert desk.outcomes == ["failed"]
    assert isinstance(call.error, DeadlineExceeded)


async def test_a_stream_is_recorded_after_its_last_chunk() -> None:
    desk = Desk()
    call = a_call()
    reply = await desk.stage(call, streams(b"a", b"b"))
    assert desk.taken == []
    assert await read(reply) == b"ab"
    assert desk.outcomes == ["ok"]
    assert call.reply_text == [b"a", b"b"]
    assert call.first_token_ms is not None
    assert 0 < call.first_token_ms <= call.total_ms


async def test_a_stream_that_fails_in_the_middle() -> None:
    desk = Desk()
    call = a_call()
    reply = await desk.stage(call, streams(b"a", fault=UpstreamReset("cut")))
    with pytest.raises(UpstreamReset):
        await read(reply)
    assert desk.outcomes == ["failed"]
    assert call.error is not None
    assert call.error.code == "upstream_reset"


async def test_a_reader_that_leaves_cancels_once_the_inner_stages_have_settled() -> None:
    desk = Desk()
    call = a_call()
    closed: list[str] = []
    reply = await desk.stage(call, streams(b"a", b"b", closed=closed))
    assert reply.chunks is not None
    assert await anext(reply.chunks) == b"a"
    await reply.chunks.aclose()  # type: ignore[attr-defined]
    await reply.chunks.aclose()  # type: ignore[attr-defined]
    assert closed == ["pending"]
    assert desk.outcomes == ["cancelled"]


async def test_a_reader_that_leaves_with_the_whole_reply_has_had_it() -> None:
    desk = Desk()
    reply = await desk.stage(a_call(), streams(b"a", b"b", finished_at=1))
    assert reply.chunks is not None
    await anext(reply.chunks)
    await anext(reply.chunks)
    await reply.chunks.aclose()  # type: ignore[attr-defined]
    assert desk.outcomes == ["ok"]


async def test_a_stream_that_was_never_read() -> None:
    desk = Desk()
    closed_reply = await desk.stage(a_call(), streams(b"a"))
    assert closed_reply.chunks is not None
    await closed_reply.chunks.aclose()  # type: ignore[attr-defined]
    assert desk.outcomes == ["cancelled"]
    dropped_reply = await desk.stage(a_call(), streams(b"a"))
    del dropped_reply
    gc.collect()
    assert desk.outcomes == ["cancelled", "cancelled"]


async def test_a_reader_cancelled_while_it_waits_for_a_chunk() -> None:
    desk = Desk()
    waiting = asyncio.Event()

    async def proceed(call: Call) -> Reply:
        async def walk() -> AsyncIterator[bytes]:
            yield b"a"
            waiting.set()
            await asyncio.Event().wait()

        return Reply(chunks=walk())

    reply = await desk.stage(a_call(), proceed)
    task = asyncio.create_task(read(reply))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert desk.outcomes == ["cancelled"]


async def test_no_more_of_a_reply_is_kept_than_asked_for() -> None:
    desk = Desk(keep=4)
    whole = a_call()

    async def proceed(call: Call) -> Reply:
        return Reply(body=b"0123456789")

    await desk.stage(whole, proceed)
    assert whole.reply_text == [b"0123"]
    stream = a_call()
    chunks = [b"%02d" % n for n in range(4 * FRAMING)]
    assert await read(await desk.stage(stream, streams(*chunks))) == b"".join(chunks)
    assert len(b"".join(stream.reply_text)) == 4 * FRAMING
    nothing = a_call()
    silent = Desk(keep=0)
    await silent.stage(nothing, proceed)
    assert (nothing.reply_text, silent.taken[0][1]) == ([], 0)


def test_every_error_has_an_outcome() -> None:
    def below(kind: type[PenstockError]) -> list[type[PenstockError]]:
        return [kind, *(k for child in kind.__subclasses__() for k in below(child))]

    assert outcome_of(CallCancelled("gone")) == "cancelled"
    for kind in below(PenstockError):
        expected = {400: "refused", 401: "refused", 403: "refused", 404: "refused", 429: "refused", 503: "refused", 499: "cancelled"}
        if kind.__module__ == "penstock.kernel.errors" and kind.default_status in (*expected, 502, 504):
            fault = kind.__new__(kind)
            assert outcome_of(fault) == expected.get(kind.default_status, "failed"), kind

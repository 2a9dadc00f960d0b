"""The outermost station: whatever becomes of a call, it is measured and put on the record exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol

from penstock.kernel.call import Call, Reply
from penstock.kernel.errors import (
    CallCancelled,
    DeadlineExceeded,
    Forbidden,
    LimitExceeded,
    PenstockError,
    RequestError,
    Unauthenticated,
    Unavailable,
)
from penstock.kernel.events import CallEnded, Events
from penstock.kernel.stage import Proceed, Slot

OK, REFUSED, FAILED, CANCELLED = "ok", "refused", "failed", "cancelled"
OUTCOMES = (OK, REFUSED, FAILED, CANCELLED)

FRAMING = 8
"""How much longer a stream is than what it says, at most: an event of some 200 bytes carries a word or two."""


def outcome_of(error: PenstockError) -> str:
    """How an error counts: ``refused`` before anyone worked on it, ``cancelled`` by the client, ``failed`` for the rest."""
    if isinstance(error, CallCancelled):
        return CANCELLED
    if isinstance(error, RequestError | Unauthenticated | Forbidden | LimitExceeded | Unavailable):
        return REFUSED
    return FAILED


class Sink(Protocol):
    """Where finished calls go; must not block and must not fail."""

    def take(self, call: Call, payload_bytes: int) -> None: ...


class RecordStage:
    """Measures the call, notes how it ended, and hands it to the recorder exactly once, whatever happens.

    A streamed reply ends when its last chunk was taken, when it fails, or when its reader goes away; on the last two the stages
    further in are closed first, so that what they settle on their way out is on the record. ``keep_bytes`` is how much of the reply
    is kept for the payload: 0 keeps none. Of a stream `FRAMING` times as much is kept, since most of it is not the reply's text.
    """

    name = "record"
    slot = Slot.RECORD

    def __init__(self, sink: Sink, events: Events, keep_bytes: int) -> None:
        self._take = sink.take
        self._publish = events.publish
        self._keep = keep_bytes

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        try:
            reply = await proceed(call)
        except BaseException as fault:  # cancellation and exits too: each is an ending, and all go on
            self._failed(call, fault)
            raise
        call.reply_status = reply.status
        if reply.chunks is not None:
            room = self._keep * FRAMING if call.keepsake is None else 0
            reply.chunks = RecordedStream(call, reply, reply.chunks, room, self._end)
        else:
            if self._keep and reply.body:
                call.reply_text.append(reply.body[: self._keep])
            self._end(call)
        return reply

    def _failed(self, call: Call, fault: BaseException) -> None:
        call.error = error_of(call, fault)
        self._end(call)

    def _end(self, call: Call) -> None:
        if call.handover is not None and call.handover.handed is not None and call.handover.returned is None:
            return  # its record is made when the vendor's batch has answered
        call.total_ms = (time.perf_counter() - call.started) * 1e3
        error = call.error
        if error is None:
            call.outcome = OK
        else:
            call.outcome = outcome_of(error)
            call.reply_status = error.status
        size = 0
        if self._keep:
            size = len(call.body)
            for part in call.reply_text:
                size += len(part)
        self._take(call, size)
        self._publish(CallEnded(call=call))


def error_of(call: Call, fault: BaseException) -> PenstockError:
    """The error that goes on the record for whatever ended a call.

    Cancellation is the client going away, unless the deadline has passed. The text of an unexpected exception stays out, since
    nobody checked it for secrets; its type says enough to find the log line.
    """
    if isinstance(fault, PenstockError):
        return fault
    if isinstance(fault, asyncio.CancelledError | GeneratorExit):
        if call.remaining() <= 0:
            return DeadlineExceeded("the deadline passed before the reply was complete")
        return CallCancelled("the client went away before the reply was complete")
    return PenstockError(f"unexpected {type(fault).__name__}; see the log at this time")


class RecordedStream:
    """A streamed reply on its way out.

    Iterating it costs one generator step per chunk. It may be closed or dropped without having been read at all, which an async
    generator alone would not notice.
    """

    __slots__ = ("_call", "_end", "_inner", "_progress", "_walk")

    def __init__(self, call: Call, reply: Reply, inner: AsyncIterator[bytes], keep: int, end: Callable[[Call], None]) -> None:
        self._call = call
        self._inner = inner
        self._end = end
        # Shared with the generator, which must not hold this object: a cycle would leave the ending to the garbage collector.
        self._progress = _Progress()
        self._walk = _walk(call, reply, inner, keep, end, self._progress)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._walk

    async def __anext__(self) -> bytes:
        return await anext(self._walk)

    async def aclose(self) -> None:
        """End the stream: the stages further in are closed and the call is recorded; a second time does nothing."""
        await self._walk.aclose()
        if not self._progress.begun:
            try:
                await _close(self._inner)
            finally:
                self._abandon()

    def _abandon(self) -> None:
        if not self._progress.ended:
            self._progress.ended = True
            self._call.error = error_of(self._call, asyncio.CancelledError())
            self._end(self._call)

    def __del__(self) -> None:
        # A generator that was begun ends by itself, through the event loop's hook for abandoned generators; one that was not, never.
        if not self._progress.begun:
            self._abandon()


class _Progress:
    __slots__ = ("begun", "ended")

    def __init__(self) -> None:
        self.begun = False
        self.ended = False


async def _walk(
    call: Call, reply: Reply, inner: AsyncIterator[bytes], room: int, end: Callable[[Call], None], progress: _Progress
) -> AsyncGenerator[bytes, None]:
    progress.begun = True
    kept = call.reply_text
    try:
        async for chunk in inner:
            if call.first_token_ms is None:
                call.first_token_ms = (time.perf_counter() - call.started) * 1e3
            if room > 0:
                kept.append(chunk)
                room -= len(chunk)
            yield chunk
    except BaseException as fault:  # whatever ends the stream is recorded and goes on
        # A reader that leaves after the reply was complete has had all of it.
        if not (reply.finished and isinstance(fault, GeneratorExit | asyncio.CancelledError)):
            call.error = error_of(call, fault)
        with contextlib.suppress(Exception):  # the first fault counts; closing only lets the stages further in settle
            await _close(inner)
        raise
    finally:
        progress.ended = True
        end(call)


async def _close(chunks: AsyncIterator[bytes]) -> None:
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()

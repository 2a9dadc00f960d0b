"""Calls that other rooms make: they walk the same line as those that come over HTTP."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from penstock.gateway.address import MODEL
from penstock.gateway.asked import LONGEST_LABEL, heed
from penstock.gateway.endpoints import PATHS
from penstock.gateway.shapes.plain import BINARY, FormShape, Plain
from penstock.gateway.shapes.shape import Shape
from penstock.kernel.call import Call, Reply, Target, Trace
from penstock.kernel.delegation import Handed, HandedOver, Handover, Returned
from penstock.kernel.errors import MalformedRequest, NotFound, PenstockError, StorageError
from penstock.kernel.ids import new_span_id
from penstock.kernel.journal import current_step
from penstock.kernel.ports import ModelAnswer, ModelAsk
from penstock.kernel.stage import Proceed

_log = logging.getLogger("penstock.gateway")


class Inside:
    """`ModelClient` and `ModelStreams` over the line of this process. `open` joins it to the line before the first call."""

    def __init__(self, shapes: Mapping[str, Shape], call_seconds: float) -> None:
        self._shapes = {one.path: shapes[one.shape] for one in PATHS if MODEL not in one.path and _is_json(shapes[one.shape])}
        self._call_seconds = call_seconds
        self._walk: Proceed | None = None
        self._second: Proceed | None = None

    def open(self, walk: Proceed, second: Proceed) -> None:
        """Join the line; ``second`` is the part of it that calls take whose reply a vendor's batch has brought."""
        self._walk = walk
        self._second = second

    def takes(self, path: str) -> bool:
        """See `ModelClient.takes`."""
        return path in self._shapes

    async def call(self, ask: ModelAsk) -> ModelAnswer:
        """See `ModelClient.call`."""
        return await self._make(ask, None)

    async def hear(self, ask: ModelAsk, heard: Callable[[bytes], Awaitable[None]]) -> ModelAnswer:
        """See `ModelStreams.hear`."""
        return await self._make(ask, heard)

    async def _make(self, ask: ModelAsk, heard: Callable[[bytes], Awaitable[None]] | None) -> ModelAnswer:
        shape, walk = self._shapes.get(ask.path), self._walk
        if shape is None:
            raise NotFound(f"{ask.path[:200]!r} cannot be called from here; one of {', '.join(sorted(self._shapes))} can")
        assert walk is not None, "the gateway is not open yet"
        seconds = self._call_seconds if ask.seconds is None else min(ask.seconds, self._call_seconds)
        call = Call(
            operation=shape.operation,
            shape=shape.name,
            credential=None,
            deadline=time.monotonic() + seconds,
            trace=_trace(),
            body=ask.body,
        )
        call.principal = ask.principal
        call.priority = ask.priority
        call.task = ask.task[:LONGEST_LABEL] if ask.task else None
        call.labels = ask.labels
        if (step := current_step.get()) is not None:
            # A step that is done again after a crash calls again: its money and records are found under the same run and number.
            call.step = (step.run, step.number)
            call.labels = {**ask.labels, "run": step.run, "step": str(step.number)}
        call.passthrough = list(ask.passed)
        call.inside, call.cache_wish = ask.inside, ask.cache
        if ask.trial:
            call.trial, call.cache_wish = True, "off"
            call.notes.append(f"trial for {ask.inside or 'a room'}: may use models on their way to an approval; no cache, no user")
        elif ask.to:
            call.handover = Handover(to=ask.to)
        try:
            _read(call, shape, stream=heard is not None)
            try:
                reply = await walk(call)
                if heard is None or reply.chunks is None:
                    return _answer(call, reply.status, await _whole(reply))
                async with _closing(reply.chunks) as chunks:
                    async for chunk in chunks:
                        await heard(chunk)
                return _answer(call, reply.status, b"")
            except HandedOver:
                assert call.handover is not None
                return ModelAnswer(status=202, body=b"", call=call.id, handed=call.handover.handed)
            except PenstockError as fault:
                return _answer(call, *shape.error(fault), fault)
            except Exception:  # a fault of ours is an answer here as it is over HTTP, and its trace goes to the log
                _log.exception("call failed", extra={"call": call.id})
                fault = PenstockError(f"internal error; the operator finds it in the log under {call.id}")
                return _answer(call, *shape.error(fault), fault)
        finally:
            call.end()

    async def settle(self, ask: ModelAsk, handed: Handed, reply: Returned) -> ModelAnswer:
        """See `ModelClient.settle`."""
        shape, walk = self._shapes[ask.path], self._second
        assert walk is not None, "the gateway is not open yet"
        call = Call(
            operation=shape.operation,
            shape=shape.name,
            credential=None,
            deadline=time.monotonic() + self._call_seconds,
            trace=_trace(),
            body=ask.body,
        )
        call.id = handed.call
        call.principal = ask.principal
        call.priority = ask.priority
        _read(call, shape, stream=False)
        call.model, call.task, call.labels, call.prompt = handed.name, handed.task, ask.labels, handed.prompt
        if (step := current_step.get()) is not None:
            call.step = (step.run, step.number)
            call.labels = {**ask.labels, "run": step.run, "step": str(step.number)}
        call.targets = [Target(handed.provider, handed.model, handed.name)]
        call.handover = Handover(handed=handed, returned=reply)
        try:
            try:
                answer = await walk(call)
                return _answer(call, answer.status, await _whole(answer))
            except StorageError:
                raise  # not charged; so it is not settled either
            except PenstockError as fault:
                return _answer(call, *shape.error(fault), fault)
        finally:
            call.end()


def _read(call: Call, shape: Shape, *, stream: bool) -> None:
    # A body that cannot be read walks the line all the same, so that it is recorded and refused in one place.
    try:
        call.fields, head = shape.read(call.body)
        heed(call, head)
        if call.stream != stream:
            raise MalformedRequest(f"a call from inside must {'' if stream else 'not '}ask for a stream here", param="stream")
    except PenstockError as fault:
        call.fault = fault


async def _whole(reply: Reply) -> bytes:
    if reply.body is not None:
        return reply.body
    assert reply.chunks is not None
    return b"".join([chunk async for chunk in reply.chunks])


@asynccontextmanager
async def _closing(chunks: AsyncIterator[bytes]) -> AsyncGenerator[AsyncIterator[bytes]]:
    try:
        yield chunks
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


def _trace() -> Trace:
    step = current_step.get()
    return Trace.begin() if step is None else Trace(step.trace_id, new_span_id(), step.span_id, "01", None)


def _answer(call: Call, status: int, body: bytes, fault: PenstockError | None = None) -> ModelAnswer:
    return ModelAnswer(
        status=status,
        body=body,
        call=call.id,
        error=None if fault is None else fault.code,
        retry_after=None if fault is None else fault.retry_after,
        usage=call.usage,
        cost=None if call.cost is None else call.cost.amount,
        full=None if call.cost is None else call.cost.full,
        answered_by="" if call.target is None else f"{call.target.provider}/{call.target.model}",
    )


def _is_json(shape: Shape) -> bool:
    return not isinstance(shape, FormShape) and not (isinstance(shape, Plain) and shape.answers == BINARY)

"""One session: messages go through untouched in both directions, each side waits for the other, and what is used is charged at once.

The call walks the line like any other; the reply that the sender hands back is the session itself, whose iteration lasts as long as it does
and yields nothing. Before a response is asked for, its price is set aside, or the client is told why not; when it is done, it is on the
ledger before the client hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from penstock.gateway.realtime import events
from penstock.gateway.realtime.events import Event
from penstock.gateway.realtime.tally import Tally
from penstock.gateway.settings import RealtimeSettings
from penstock.kernel.call import Attempt, Call, Reply, Target
from penstock.kernel.errors import CallCancelled, Forbidden, LimitExceeded, MalformedRequest, PenstockError, UpstreamError, UpstreamReset
from penstock.kernel.ports import Meter

if TYPE_CHECKING:
    from websockets.asyncio.connection import Connection

GOING_AWAY, NORMAL, REFUSED, INTERNAL = 1001, 1000, 1008, 1011
SETTLE_SECONDS = 5.0
"""How long a side that is told to close may still say something."""


class Limits:
    """What a session asks before and tells after each response: admission's part in it."""

    def __init__(self, again: Callable[[Call], Awaitable[None]], used: Callable[[Call, int], None]) -> None:
        self.again = again
        self.used = used


class Ending(Struct, frozen=True):
    """How a session ends by our doing: what the client is told, its close code, and the error that goes on the record, if it is one."""

    how: str
    code: int
    reason: str
    told: PenstockError | None = None
    fault: PenstockError | None = None


class Session:
    """The session of one call. `opened` when the provider has taken it, `join` with the client's connection, then its reply is iterated."""

    def __init__(self, call: Call, settings: RealtimeSettings, limits: Limits, meter: Meter | None) -> None:
        self.limits = settings
        self.call = call
        self.tally = Tally(settings.assumed_output_tokens, settings.record_bytes)
        self.how = ""
        self._admit = limits
        self._meter = meter
        self._loop = asyncio.get_running_loop()
        self._client: Connection | None = None
        self._upstream: Connection | None = None
        self._target: Target | None = None
        self._ending: asyncio.Future[Ending] = self._loop.create_future()
        self._heard_at = self._loop.time()
        self._asked: list[str] = []
        self._draining = False
        self._once = True  # the first response was admitted with the call

    @property
    def responses(self) -> int:
        """How many are done."""
        return self.tally.responses

    def opened(self, upstream: Connection, target: Target, attempt: Attempt) -> Reply:
        """The provider's side is there; the reply is the session."""
        self._upstream, self._target = upstream, target
        reply = Reply(status=101)
        reply.chunks = Chunks(self, reply, attempt, upstream)
        return reply

    def join(self, client: Connection) -> None:
        """The client's side is there."""
        self._client = client

    def stop(self, ending: Ending) -> None:
        """End it; what comes first counts."""
        if not self._ending.done():
            self._ending.set_result(ending)

    def drain(self, *, now: bool) -> None:
        """Penstock is stopping: end it once no response is under way, or at once."""
        self._draining = True
        if now or not (self.tally.under_way or self._asked):
            self.stop(_stopping())

    async def run(self, reply: Reply, attempt: Attempt) -> None:
        """Pass messages on until either side, or we, end it. Raises what ended it, unless it ended well."""
        client, upstream, call = self._client, self._upstream, self.call
        assert client is not None
        assert upstream is not None
        assert self._target is not None
        call.target = self._target
        call.keepsake = self.tally.kept
        if self._meter is not None:
            self._meter.begin(call)
        up, down = asyncio.create_task(self._up(client, upstream)), asyncio.create_task(self._down(client, upstream))
        gone = asyncio.create_task(client.wait_closed()), asyncio.create_task(upstream.wait_closed())
        try:
            fault = await self._until_end(client, upstream, up, down, gone)
            if isinstance(fault, UpstreamError):
                attempt.error, attempt.message = fault.code, fault.message
            if fault is not None:
                raise fault
            reply.finished = True
        finally:
            for task in (up, down, *gone):
                task.cancel()
            await asyncio.wait([up, down, *gone])
            for side in (client, upstream):
                side.transport.abort()
            await self._settle()
            attempt.ended_ms = call.elapsed_ms()
            call.notes.append(f"session {self.how or 'cut off'}: {self.tally.summary()}")

    async def _until_end(
        self,
        client: Connection,
        upstream: Connection,
        up: asyncio.Task[None],
        down: asyncio.Task[None],
        gone: tuple[asyncio.Task[None], asyncio.Task[None]],
    ) -> PenstockError | None:
        """Wait for either side, or us, to end it, and close both; what was wrong, None when nothing."""
        while True:
            idle = self._heard_at + self.limits.idle_seconds - self._loop.time()
            left = self.call.remaining()
            if not self._ending.done() and left <= 0:
                self.stop(_expired(self.limits.session_seconds))
            elif not self._ending.done() and idle <= 0:
                self.stop(_idle(self.limits.idle_seconds))
            done, _ = await asyncio.wait(
                {up, down, *gone, self._ending}, timeout=max(0.0, min(idle, left)), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                continue
            for task in (up, down):
                wrong = task.exception() if task in done else None
                if isinstance(wrong, PenstockError):
                    self.stop(Ending(f"ended: {wrong.code}", INTERNAL, wrong.code, told=wrong, fault=wrong))
                elif wrong is not None:
                    raise wrong
            if self._ending.done():
                return await self._end(self._ending.result(), client, upstream)
            if up in done or gone[0] in done:
                return await self._client_left(client, upstream, down)
            return await self._provider_left(client, upstream, down)

    async def _client_left(self, client: Connection, upstream: Connection, down: asyncio.Task[None]) -> PenstockError | None:
        await client.wait_closed()
        code = client.close_code
        self.how = f"ended by the client ({code})"
        # The provider may still say what a response has used; what it says goes nowhere else.
        closing = asyncio.create_task(upstream.close(_passed(code, NORMAL), client.close_reason or ""))
        await asyncio.wait({closing, down}, timeout=SETTLE_SECONDS)
        closing.cancel()
        if code in (1006, None):
            self.how = "left by the client without a word"
            return CallCancelled("the client went away in the middle of the session")
        return None

    async def _provider_left(self, client: Connection, upstream: Connection, down: asyncio.Task[None]) -> PenstockError | None:
        await upstream.wait_closed()
        await asyncio.wait({down}, timeout=SETTLE_SECONDS)
        code, reason = upstream.close_code, upstream.close_reason or ""
        self.how = f"ended by the provider ({code})"
        if code in (NORMAL, GOING_AWAY, 1005):
            await self._close(client, _passed(code, NORMAL), reason)
            return None
        fault = UpstreamReset(f"the provider ended the session with {code}" + (f": {reason}" if reason else ""))
        if code in (1006, None):
            fault = UpstreamReset("the connection to the provider broke off")
            await self._tell(client, fault)
        await self._close(client, _passed(code, INTERNAL), reason or fault.message)
        return fault

    async def _end(self, ending: Ending, client: Connection, upstream: Connection) -> PenstockError | None:
        self.how = ending.how
        if ending.told is not None:
            await self._tell(client, ending.told)
        await asyncio.gather(self._close(client, ending.code, ending.reason), self._close(upstream, NORMAL, ""))
        return ending.fault

    async def _tell(self, client: Connection, fault: PenstockError) -> None:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await client.send(events.error_event(fault))

    async def _close(self, side: Connection, code: int, reason: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await side.close(code, reason.encode()[:120].decode("utf-8", "ignore"))

    # ---- from the client

    async def _up(self, client: Connection, upstream: Connection) -> None:
        from websockets.exceptions import ConnectionClosed

        tally = self.tally
        with contextlib.suppress(ConnectionClosed):
            async for message in client:
                self._heard_at = self._loop.time()
                tally.frames[0] += 1
                if isinstance(message, str):
                    answer = await self._from_client(message)
                    if answer is not None:
                        await client.send(answer)
                        continue
                await upstream.send(message)

    async def _from_client(self, message: str) -> str | None:
        """What to answer in the place of passing the message on; None to pass it on."""
        try:
            event = events.read(message)
        except MalformedRequest as fault:
            self.tally.unreadable += 1
            return events.error_event(fault)
        try:
            if event.type == "response.create":
                await self._hold(events.cap(event))
                self._asked.append(event.id or "")
            elif event.type == "session.update":
                self._check_transcriber(event)
        except PenstockError as fault:
            return events.error_event(fault, event.id)
        self.tally.client(event)
        return None

    async def _hold(self, most: int | None = None) -> None:
        """Admit one more response. Raises `LimitExceeded`, which a spent budget is too, `StorageFull` or `Forbidden`."""
        if not self._once:
            await self._admit.again(self.call)
        self.call.expected = self.tally.expected(most)
        if self._meter is not None:
            self._meter.hold(self.call)
        self._once = False

    def _check_transcriber(self, event: Event) -> None:
        found, who = events.terms(event), self.call.principal
        model = found.transcriber if found is not None else None
        if model and who is not None and who.models and not who.may_use_model(model):
            raise Forbidden(f"key {who.name!r} may not use model {model[:200]!r}", param="session.audio.input.transcription.model")

    # ---- from the provider

    async def _down(self, client: Connection, upstream: Connection) -> None:
        from websockets.exceptions import ConnectionClosed

        tally = self.tally
        listening = True
        with contextlib.suppress(ConnectionClosed):
            async for message in upstream:
                self._heard_at = self._loop.time()
                tally.frames[1] += 1
                if isinstance(message, str):
                    await self._from_provider(message)
                if listening:
                    try:
                        await client.send(message)
                    except ConnectionClosed:
                        listening = False  # what follows is only counted

    async def _from_provider(self, message: str) -> None:
        try:
            event = events.read(message)
        except MalformedRequest:
            # The client can judge better what it makes of this.
            self.tally.unreadable += 1
            return
        self.tally.server(event)
        match event.type:
            case "response.created":
                await self._begun(event)
            case "response.done":
                await self._done(event)
            case events.TRANSCRIBED:
                usage = events.transcribed(event)
                if usage is not None and self._meter is not None:
                    self._admit.used(self.call, usage.total)
                    await self._meter.charge(self.call, usage, model=self.tally.transcriber, held=False)
            case "input_audio_buffer.committed":
                self._still_paid_for()
            case "error":
                self._rejected(event)
            case _:
                pass

    async def _begun(self, event: Event) -> None:
        self.tally.begun(events.response_id(event))
        if self._asked:
            self._asked.pop(0)
            return
        try:
            await self._hold()
        except PenstockError as fault:  # nobody asked us: the provider began it when the client fell silent
            self.stop(Ending("ended: what follows is not paid for", REFUSED, fault.code, told=fault, fault=fault))

    async def _done(self, event: Event) -> None:
        told = events.ended(event)
        usage = told.usage if told.usage is not None and told.usage.total else None
        self.tally.done(told.id, usage)
        if self._meter is not None:
            if usage is None:
                self._meter.drop(self.call)
            else:
                target = self._target
                assert target is not None
                self._admit.used(self.call, usage.total)
                await self._meter.charge(self.call, usage, model=target.model)
        if self._draining and not self.tally.under_way and not self._asked:
            self._loop.call_soon(self.stop, _stopping())

    def _still_paid_for(self) -> None:
        """Transcriptions are asked for by nobody: before the next one the budget is looked at."""
        if not self.tally.transcriber or self._meter is None:
            return
        self.call.expected = self.tally.expected()
        try:
            self._meter.hold(self.call)
        except LimitExceeded as fault:
            self.stop(Ending("ended: what follows is not paid for", REFUSED, fault.code, told=fault, fault=fault))
        else:
            self._meter.drop(self.call)

    def _rejected(self, event: Event) -> None:
        code, about = events.complaint(event)
        if self._asked and (about in self._asked if about else code == "conversation_already_has_active_response"):
            self._asked.remove(about if about else self._asked[-1])
            if self._meter is not None:
                self._meter.drop(self.call)

    async def _settle(self) -> None:
        if self._meter is None:
            return
        try:
            usage = self.tally.unfinished()
            if usage is not None and self._target is not None:
                await self._meter.charge(self.call, usage, model=self._target.model)
        finally:
            self._meter.end(self.call)


class Chunks:
    """The iteration of a session, which yields nothing and ends with it. Closed before it began, it drops the provider's side."""

    def __init__(self, session: Session, reply: Reply, attempt: Attempt, upstream: Connection) -> None:
        self._session = session
        self._reply = reply
        self._attempt = attempt
        self._upstream = upstream
        self._begun = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._begun:
            self._begun = True
            await self._session.run(self._reply, self._attempt)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Drop the provider's side, should it still be open."""
        self._upstream.transport.abort()


def _passed(code: int | None, otherwise: int) -> int:
    """A close code as it may be sent on: those that only stand for what was not said cannot be."""
    if code is not None and (code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code < 5000):
        return code
    return otherwise


def _stopping() -> Ending:
    fault = CallCancelled("Penstock is stopping", status=503)
    return Ending("ended: Penstock is stopping", GOING_AWAY, fault.message, fault=fault)


def _expired(seconds: float) -> Ending:
    told = LimitExceeded(f"the session has reached its longest duration of {seconds:g} s", code="session_expired")
    return Ending("ended: session_seconds reached", GOING_AWAY, told.message, told=told)


def _idle(seconds: float) -> Ending:
    told = LimitExceeded(f"nobody said anything for {seconds:g} s", code="session_idle")
    return Ending("ended: idle_seconds reached", GOING_AWAY, told.message, told=told)

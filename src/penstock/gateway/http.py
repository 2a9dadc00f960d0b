"""The edge of the line: bytes from a socket become a call, a reply becomes bytes again, and an error the called API's own error.

Speaks RSGI, Granian's native interface: it costs about a third less per request than ASGI (``docs/performance.md``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial

import msgspec

from penstock.gateway.address import MODEL, STREAMING, Address, key_in_query
from penstock.gateway.asked import LONGEST_LABEL, heed
from penstock.gateway.endpoints import PATHS
from penstock.gateway.flow import CREDIT, Flow
from penstock.gateway.settings import GatewaySettings
from penstock.gateway.shapes import streaming
from penstock.gateway.shapes.plain import FormShape
from penstock.gateway.shapes.shape import Shape
from penstock.gateway.uploads.upload import Form
from penstock.gateway.watch import OpenCall, Watch
from penstock.kernel.call import Call, Headers, Reply, Trace
from penstock.kernel.errors import BodyTooLarge, CallCancelled, DeadlineExceeded, MalformedRequest, PenstockError
from penstock.kernel.form import is_form
from penstock.kernel.ports import Authenticator, Sessions
from penstock.kernel.stage import Proceed
from penstock.kernel.vendor import credential, signed_in
from penstock.kernel.web import Description, EdgeProtocol, EdgeScope, Endpoint

_log = logging.getLogger("penstock.gateway")


# Bodies up to this size are read before anyone is asked who sends them; larger ones only for a known caller.
TRUSTED_BYTES = 64 * 1024
# How long, and how far, a form is read on after it was refused, so that its sender gets to see the refusal.
DISCARD_SECONDS = 1.0
DISCARD_BYTES = 4 * 1024 * 1024
PRIORITIES = frozenset({"interactive", "batch"})
CACHE_WISHES = frozenset({"off", "on", "refresh"})
_PASSED = ("anthropic-beta", "anthropic-version", "openai-beta")


class Edge:
    """Answers the gateway's endpoints. ``open`` must be called with the line before the first request."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._walk: Proceed | None = None
        self._authenticator: Authenticator | None = None
        self._sessions: Sessions | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.watch = Watch(settings.body_seconds)

    def open(self, walk: Proceed, authenticator: Authenticator, sessions: Sessions | None) -> None:
        """Join the edge to the line, in the event loop that will serve."""
        self._loop = asyncio.get_running_loop()
        self._walk = walk
        self._authenticator = authenticator
        self._sessions = sessions

    def endpoints(self, shapes: Mapping[str, Shape]) -> list[Endpoint]:
        """One endpoint for each shape that has a path in `PATHS`."""
        made: list[Endpoint] = []
        for one in PATHS:
            stream = one.path.endswith(STREAMING)
            handler = self.endpoint(shapes[one.shape], Address.of(one.path, stream=stream) if MODEL in one.path else None)
            describe = partial(_describe, one.shape, stream)
            made.append(Endpoint(method="POST", path=one.path, handler=handler, summary=one.summary, describe=describe))
        return made

    def endpoint(self, shape: Shape, address: Address | None = None) -> Callable[[EdgeScope, EdgeProtocol], Awaitable[None]]:
        """The handler for requests of ``shape``, whose model stands at ``address`` where the path names it."""

        def handle(scope: EdgeScope, protocol: EdgeProtocol) -> Awaitable[None]:
            return self._serve(scope, protocol, shape, address)

        return handle

    async def _serve(self, scope: EdgeScope, protocol: EdgeProtocol, shape: Shape, address: Address | None) -> None:
        walk, loop = self._walk, self._loop
        assert walk is not None
        assert loop is not None
        get = scope.headers.get
        traceparent = get("traceparent")
        call = Call(
            operation=shape.operation,
            shape=shape.name,
            credential=credential(get),
            deadline=time.monotonic() + self._settings.call_seconds,
            trace=Trace.begin(traceparent, get("tracestate")) if traceparent is not None else Trace.begin(),
            client=scope.client,
        )
        opened = self.watch.enter(protocol, loop)
        try:
            try:
                if address is not None:
                    call.credential = call.credential or key_in_query(scope)
                    call.model, call.stream = address.model(scope), address.stream
                await self._read(call, shape, protocol, get, opened)
            except PenstockError as fault:
                call.fault = fault
            if call.form is None:
                opened.reading = False
            reply = await walk(call)
            if reply.body is not None:
                self.watch.rest(opened)
                protocol.response_bytes(reply.status, _headers(call, reply), reply.body)
            else:
                await self._stream(call, reply, shape, protocol)
        except PenstockError as fault:
            if isinstance(call.form, Form) and not call.form.complete:
                with contextlib.suppress(PenstockError, TimeoutError):
                    async with asyncio.timeout(DISCARD_SECONDS):
                        await call.form.discard(DISCARD_BYTES)
            self._refuse(call, shape, protocol, fault)
        except asyncio.CancelledError:
            if opened.gone:
                opened.task.uncancel()  # the client left; nobody waits for an answer
            elif opened.late:
                opened.task.uncancel()
                self._refuse(call, shape, protocol, self._late())
            else:
                self._refuse(call, shape, protocol, CallCancelled("Penstock is stopping", status=503))
        except Exception:  # the last resort: a fault of ours must still be an answer in the called API's shape, without its trace
            _log.exception("call failed", extra={"call": call.id})
            self._refuse(call, shape, protocol, PenstockError(f"internal error; the operator finds it in the log under {call.id}"))
        finally:
            self.watch.leave(opened)
            call.end()

    async def _read(self, call: Call, shape: Shape, protocol: EdgeProtocol, get: Callable[[str], str | None], opened: OpenCall) -> None:
        if call.credential is None and self._sessions is not None:
            call.credential, call.principal = None, signed_in(get, self._sessions)
        call.passthrough = [(name, value) for name in _PASSED if (value := get(name)) is not None]
        timeout = get("x-penstock-timeout")
        if timeout is not None:
            call.deadline = min(call.deadline, time.monotonic() + _seconds(timeout))
        priority = get("x-penstock-priority")
        if priority is not None:
            call.priority = parse_priority(priority)
        wish = get("x-penstock-cache")
        if wish is not None:
            call.cache_wish = parse_cache_wish(wish)
        task = get("x-penstock-task")
        if task:
            call.task = task[:LONGEST_LABEL]
        labels = get("x-penstock-labels")
        if labels:
            call.labels = parse_labels(labels)
        if isinstance(shape, FormShape) and is_form(content_type := get("content-type")):
            call.form = form = self._form(call, shape, protocol, str(content_type), get("content-length"), opened)
            await form.begin()
            head = shape.read_form(form)
            call.fields = form.fields()
            call.body = msgspec.json.encode(call.fields)
        else:
            call.body = await self._body(call, protocol, get("content-length"), opened)
            call.fields, head = shape.read(call.body)
        heed(call, head)

    def _form(
        self, call: Call, shape: FormShape, protocol: EdgeProtocol, content_type: str, declared: str | None, opened: OpenCall
    ) -> Form:
        settings = self._settings
        size = _length(declared)
        if size is not None and size > settings.max_upload_bytes:
            raise BodyTooLarge(f"body of {size} bytes; gateway.max_upload_bytes is {settings.max_upload_bytes}")
        if call.principal is None and self._authenticator is not None:
            self._authenticator.authenticate(call.credential)  # nothing of a stranger's is read
        form = Form(
            content_type, self._pieces(protocol, opened), declared=size, most=settings.max_upload_bytes, hold=settings.max_body_bytes
        )

        def arrived() -> None:
            opened.reading = False
            call.fields = form.fields()
            call.body = msgspec.json.encode(call.fields)
            call.expected = shape.expected(form)

        form.on_end = arrived
        return form

    async def _pieces(self, protocol: EdgeProtocol, opened: OpenCall) -> AsyncIterator[bytes]:
        try:
            async for piece in protocol:
                yield bytes(piece)
        except (asyncio.CancelledError, RuntimeError) as fault:
            raise self._stopped(fault, opened) from None

    def _stopped(self, fault: BaseException, opened: OpenCall) -> BaseException:
        """What to raise for a body of which nothing more comes."""
        if isinstance(fault, RuntimeError):  # RSGI's word for a connection that closed or broke the protocol inside the body
            return MalformedRequest("the connection ended inside the body")
        if not opened.late:
            return fault
        opened.task.uncancel()
        return self._late()

    def _late(self) -> DeadlineExceeded:
        what = f"the body did not arrive within {self._settings.body_seconds:g} s (gateway.body_seconds)"
        return DeadlineExceeded(what, code="body_timeout", status=408)

    async def _body(self, call: Call, protocol: EdgeProtocol, declared: str | None, opened: OpenCall) -> bytes:
        largest = self._settings.max_body_bytes
        size = _length(declared)
        if size is not None and size > largest:
            raise BodyTooLarge(f"body of {size} bytes; gateway.max_body_bytes is {largest}")
        if (size is None or size > TRUSTED_BYTES) and call.principal is None and self._authenticator is not None:
            self._authenticator.authenticate(call.credential)
        try:
            if size is not None:
                return await protocol()
            parts: list[bytes] = []
            size = 0
            async for part in protocol:
                size += len(part)
                if size > largest:
                    raise BodyTooLarge(f"body is longer than gateway.max_body_bytes ({largest})")
                parts.append(part)
            return b"".join(parts)
        except (asyncio.CancelledError, RuntimeError) as fault:
            raise self._stopped(fault, opened) from None

    async def _stream(self, call: Call, reply: Reply, shape: Shape, protocol: EdgeProtocol) -> None:
        assert reply.chunks is not None
        chunks = reply.chunks
        transport = protocol.response_stream(reply.status, _headers(call, reply))
        send = transport.send_bytes
        handed, asked = 0, False
        events = ("content-type", "text/event-stream") in reply.headers
        flow: Flow | None = None
        try:
            async for chunk in chunks:
                try:
                    await send(chunk)
                except RuntimeError:  # RSGI's word for a client that left; closing the chunks below puts it on the record
                    return
                handed += len(chunk)
                if handed > CREDIT:
                    if not asked:
                        asked, flow = True, await asyncio.to_thread(Flow.find, call.client)
                    if not await self._read_on(flow, handed):
                        return
            if call.cost is not None and events and streaming(shape).comments:
                # A comment to every SSE reader, and the only place where a stream can still say what it cost; the client may be gone.
                with contextlib.suppress(RuntimeError):
                    await send(b": x-penstock-cost-micros=%d\n\n" % call.cost.amount)
        except PenstockError as fault:
            if events:
                with contextlib.suppress(RuntimeError):
                    await send(streaming(shape).stream_error(fault))
            else:
                # Sound has no word for a failure, and an end would read as its proper one.
                flow = flow or await asyncio.to_thread(Flow.find, call.client)
                if flow is not None:
                    flow.cut()
        finally:
            if flow is not None:
                flow.close()
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    async def _read_on(self, flow: Flow | None, handed: int) -> bool:
        """Whether the stream may go on after ``handed`` bytes, once its reader has caught up."""
        if flow is not None:
            return await flow.catch_up(handed, self._settings.stall_seconds)
        # Nobody can tell how much of it is still in memory, so there must be an end.
        return handed <= self._settings.max_reply_bytes

    def _refuse(self, call: Call, shape: Shape, protocol: EdgeProtocol, fault: PenstockError) -> None:
        status, body = shape.error(fault)
        headers = _identity(call)
        headers.append(("content-type", "application/json"))
        if fault.retry_after is not None:
            headers.append(("retry-after", str(max(1, math.ceil(fault.retry_after)))))
        if fault.code == "insufficient_quota":
            headers.append(("x-should-retry", "false"))  # both vendors' SDKs heed it: money does not come back in a second
        if status == 401:
            headers.append(("www-authenticate", "Bearer"))
        try:
            protocol.response_bytes(status, headers, body)
        except RuntimeError:
            _log.debug("client left before its error", extra={"call": call.id})


def _describe(shape: str, stream: bool) -> Description:
    # Kilobytes of schemas, which only whoever asks for the document needs.
    from penstock.gateway.schemas import description

    return description(shape, stream=stream)


def _length(declared: str | None) -> int | None:
    return int(declared) if declared is not None and declared.isdecimal() else None


def parse_labels(text: str) -> dict[str, str]:
    """``a=b, c=d`` as a dictionary; at most 16 labels. Raises `MalformedRequest` when it reads otherwise."""
    labels: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or not name:
            raise MalformedRequest("x-penstock-labels must read name=value, name=value", param="x-penstock-labels")
        labels[name.strip()[:LONGEST_LABEL]] = value.strip()[:LONGEST_LABEL]
    if len(labels) > 16:
        raise MalformedRequest("x-penstock-labels holds more than 16 labels", param="x-penstock-labels")
    return labels


def parse_priority(text: str) -> str:
    """``interactive`` or ``batch``. Raises `MalformedRequest` for anything else."""
    if text not in PRIORITIES:
        raise MalformedRequest(f"x-penstock-priority must be interactive or batch, not {text[:40]!r}", param="x-penstock-priority")
    return text


def parse_cache_wish(text: str) -> str:
    """``off``, ``on`` or ``refresh``. Raises `MalformedRequest` for anything else."""
    if text not in CACHE_WISHES:
        raise MalformedRequest(f"x-penstock-cache must be off, on or refresh, not {text[:40]!r}", param="x-penstock-cache")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (seconds > 0 and math.isfinite(seconds)):
        raise MalformedRequest(f"x-penstock-timeout must be seconds above zero, not {text[:40]!r}", param="x-penstock-timeout")
    return seconds


def _identity(call: Call) -> Headers:
    return [("x-request-id", call.id), ("request-id", call.id), ("traceparent", call.trace.header())]


def _headers(call: Call, reply: Reply) -> Headers:
    headers = reply.headers
    headers += (("x-request-id", call.id), ("request-id", call.id), ("traceparent", call.trace.header()))
    target = call.target
    if target is not None:
        headers += (("x-penstock-provider", target.provider), ("x-penstock-model", target.model))
    if call.cost is not None:
        headers.append(("x-penstock-cost-micros", str(call.cost.amount)))
    if call.notes:
        headers.append(("x-penstock-notes", "; ".join(call.notes).encode("ascii", "replace").decode()[:1000]))
    return headers

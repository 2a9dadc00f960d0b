"""A small HTTP/1.1 client for the one thing the gateway does all day: post a body, read a reply.

Behind the gateway, the client is most of what a call costs: aiohttp spent 0.25 to 0.3 CPU-ms a request here, this one 0.05
(``docs/performance.md``; decision note 0004). Parsing is llhttp's through `httptools`, TLS and sockets are asyncio's; ours are the pool and
the bookkeeping. No redirects, no cookies, no compression: providers' APIs need none of them.

Over 400 lines, since the pool and its connections are one state machine and are read together.
"""

from __future__ import annotations

import asyncio
import math
import os
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import cast
from urllib.parse import urlsplit

import httptools

from penstock.kernel.errors import (
    DeadlineExceeded,
    PenstockError,
    SettingsError,
    UpstreamMalformed,
    UpstreamReset,
    UpstreamUnreachable,
)

# Shorter than the 5 s after which uvicorn, and so vLLM and many others, close an idle connection.
IDLE_SECONDS = 4.0
# A reused connection that dies this soon after a request, without a byte of reply, was closed by the server while idle.
STALE_SECONDS = 0.5
# A stream whose reader is slower than the provider stops being read at this many buffered bytes, so memory stays bounded.
HIGH_WATER = 256 * 1024
MAX_HEAD_BYTES = 64 * 1024


class Origin:
    """Where a base URL points: host, port, TLS or not, and the path in front of everything."""

    __slots__ = ("authority", "host", "path", "port", "scheme_and_authority", "tls")

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"{url!r} is not an http:// or https:// address", param="base_url")
        self.tls = parts.scheme == "https"
        self.host = parts.hostname
        self.port = parts.port or (443 if self.tls else 80)
        self.path = parts.path.rstrip("/")
        default = 443 if self.tls else 80
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = host if self.port == default else f"{host}:{self.port}"
        self.scheme_and_authority = f"{parts.scheme}://{self.authority}"


class Answer:
    """A reply whose head has arrived. Read it once, by `read` or `chunks`; `close` drops what is left."""

    __slots__ = ("_connection", "headers", "status")

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.status = connection.status
        self.headers = connection.headers

    def header(self, name: str) -> str | None:
        """The last header of this name (any case), None when absent."""
        wanted = name.lower().encode("latin-1")
        value = self.headers.get(wanted)
        return value.decode("latin-1") if value is not None else None

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises `UpstreamReset`, `DeadlineExceeded`, or `UpstreamMalformed` when longer than ``limit`` bytes."""
        connection = self._connection
        connection.limit = limit
        try:
            while connection.unfinished():
                await connection.progress()
            return connection.whole()
        except BaseException:
            connection.abort()
            raise

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, pieces as large as what was waiting. Raises `UpstreamReset` or `DeadlineExceeded`."""
        connection = self._connection
        try:
            while True:
                part = await connection.next_part()
                if not part:
                    return
                yield part
        finally:
            connection.drop_unless_done()

    def close(self) -> None:
        """Drop the connection unless the reply was read to its end; the provider sees the cancellation."""
        self._connection.drop_unless_done()


class Client:
    """Connections to one origin, kept alive and shared. Bounded: beyond ``max_connections`` a request waits for one."""

    def __init__(self, origin: Origin, *, max_connections: int = 1024, connect_seconds: float = 5.0, label: str = "") -> None:
        self.origin = origin
        self._label = label or origin.authority
        self._max = max_connections
        self._connect_seconds = connect_seconds
        self._idle: deque[_Connection] = deque()
        self._open = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tls: ssl.SSLContext | None = None
        self._closed = False
        # One timer for all exchanges, at the first moment at which one may be due: two timer calls an exchange would cost 3 us.
        self._busy: dict[_Connection, None] = {}
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None

    async def request(self, head: bytes, body: bytes, *, timeout: float, idle_timeout: float | None = None) -> Answer:
        """Send one request, return when the reply's head is there.

        ``head`` is the request line and headers up to, not including, ``content-length`` and the empty line. ``timeout`` bounds the whole
        exchange in seconds, ``idle_timeout`` a pause within it. A connection that the server had closed while idle is
        replaced once. Raises `UpstreamUnreachable`, `UpstreamReset`, `UpstreamMalformed` or `DeadlineExceeded`.
        """
        data = b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body)
        deadline = time.monotonic() + timeout
        while True:
            connection = self._reusable()
            reused = connection is not None
            if connection is None:
                connection = await self._take(timeout)
            sent = time.monotonic()
            try:
                connection.send(data, deadline - sent, idle_timeout)
                return await connection.answer()
            except UpstreamReset:
                connection.abort()
                if reused and not connection.heard and time.monotonic() - sent < STALE_SECONDS:
                    continue
                raise
            except BaseException:
                connection.abort()
                raise

    async def upload(self, head: bytes, pieces: AsyncIterator[bytes], *, timeout: float, idle_timeout: float | None = None) -> Answer:
        """Send one request whose body is still arriving, in chunks, no faster than the provider takes them.

        Otherwise as `request`, on a connection of its own. What ``pieces`` raises ends the exchange and is raised. A reply that comes
        before the body is over ends the sending, and the connection with it.
        """
        connection = await self._take(timeout)
        try:
            connection.send(head + b"transfer-encoding: chunked\r\n\r\n", timeout, idle_timeout)
            async for piece in pieces:
                if connection.head_done or connection.fault is not None:
                    connection.spoil()
                    break
                if piece:
                    connection.more(b"%x\r\n%s\r\n" % (len(piece), piece))
                    await connection.drained()
            else:
                connection.more(b"0\r\n\r\n")
            return await connection.answer()
        except BaseException:
            connection.abort()
            raise

    async def close(self) -> None:
        """Close idle connections now and the others when their exchange is over."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()

    def _reusable(self) -> _Connection | None:
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable(now):
                return connection
            connection.abort()
        return None

    async def _take(self, timeout: float) -> _Connection:
        while self._open >= self._max:
            await self._wait(timeout)
            connection = self._reusable()
            if connection is not None:
                return connection
        self._open += 1
        try:
            return await self._connect(min(timeout, self._connect_seconds))
        except BaseException:
            self.gone()
            raise

    async def _wait(self, timeout: float) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError as fault:
            raise DeadlineExceeded(f"{self._label}: all {self._max} connections stayed busy until the deadline") from fault

    async def _connect(self, timeout: float) -> _Connection:
        origin, loop = self.origin, asyncio.get_running_loop()
        if origin.tls and self._tls is None:
            self._tls = ssl.create_default_context()
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, loop, self._label),
                    origin.host,
                    origin.port,
                    ssl=self._tls,
                    server_hostname=origin.host if origin.tls else None,
                )
        except TimeoutError as fault:
            raise UpstreamUnreachable(f"{self._label}: no connection within {timeout:.3g} s") from fault
        except ssl.SSLError as fault:
            raise UpstreamUnreachable(f"{self._label}: TLS failed: {fault.reason or type(fault).__name__}") from fault
        except OSError as fault:
            reason = os.strerror(fault.errno) if fault.errno and fault.errno > 0 else (fault.strerror or type(fault).__name__)
            raise UpstreamUnreachable(f"{self._label}: cannot connect to {origin.authority}: {reason}") from fault
        return connection

    def begun(self, connection: _Connection, due: float) -> None:
        """An exchange has begun whose time must be checked at ``due``, on the event loop's clock."""
        self._busy[connection] = None
        if due < self._due:
            self._arm(due)

    def ended(self, connection: _Connection) -> None:
        """The exchange is over; a second time does nothing."""
        self._busy.pop(connection, None)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = asyncio.get_running_loop().call_at(due, self._check_times)

    def _check_times(self) -> None:
        self._timer, self._due = None, math.inf
        due = min([connection.check_time() for connection in tuple(self._busy)], default=math.inf)
        if due < math.inf:
            self._arm(due)

    def free(self, connection: _Connection) -> None:
        """A connection's exchange is over and read; it may carry the next."""
        if self._closed:
            connection.abort()
            return
        self._idle.append(connection)
        self._wake()

    def gone(self) -> None:
        """A connection, or the attempt to make one, has ended."""
        self._open -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class _Connection(asyncio.Protocol):
    """One socket and the exchange that it carries, if any."""

    def __init__(self, pool: Client, loop: asyncio.AbstractEventLoop, label: str) -> None:
        self._pool = pool
        self._loop = loop
        self._label = label
        self._transport: asyncio.Transport | None = None
        self._lost = False
        self._since = 0.0
        # One parser for the connection's life: it is only used again after a message that ended well.
        self._parser = httptools.HttpResponseParser(self)
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._keep = False
        self._blocked = False
        self._spoiled = False
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.heard = False
        self.limit = 0
        self._head_bytes = 0
        self.head_done = False
        self._done = self._released = True
        self._streaming = False
        self._parts: list[bytes] = []
        self._buffered = 0
        self.fault: PenstockError | None = None
        self._deadline = 0.0
        self._idle_timeout: float | None = None
        self._activity = 0.0

    # -- the exchange ------------------------------------------------------------------------------------------------------------

    def usable(self, now: float) -> bool:
        """Whether an idle connection may carry another request."""
        return not self._lost and now - self._since < IDLE_SECONDS and self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes, timeout: float, idle_timeout: float | None) -> None:
        """Write the request. `answer` waits for the reply's head; ``fault`` says what went wrong."""
        self._reset()
        self._done = self._released = False
        if timeout <= 0:
            raise DeadlineExceeded(f"{self._label}: no time was left to send the request")
        now = self._activity = self._loop.time()
        self._deadline = now + timeout
        self._idle_timeout = idle_timeout
        self._pool.begun(self, now + (timeout if idle_timeout is None else min(timeout, idle_timeout)))
        assert self._transport is not None
        self._transport.write(data)

    async def answer(self) -> Answer:
        """The reply once its head is there. Raises what went wrong before."""
        while not self.head_done and self.fault is None:
            await self.progress()
        if self.fault is not None:
            raise self.fault
        return Answer(self)

    def more(self, data: bytes) -> None:
        """Write more of the request's body."""
        if self.fault is None and not self._lost and self._transport is not None:
            self._activity = self._loop.time()
            self._transport.write(data)

    async def drained(self) -> None:
        """Return when more may be written, or need not be: the reply's head is there, or the exchange has failed."""
        while self._blocked and not self._lost and self.fault is None and not self.head_done:
            await self.progress()

    def spoil(self) -> None:
        """The request was not sent to its end: no other one may follow on this connection."""
        self._spoiled = True

    def unfinished(self) -> bool:
        """Whether `whole` must wait."""
        return not self._done and self.fault is None and self._buffered <= self.limit

    def whole(self) -> bytes:
        """The rest of the body as one piece, once nothing is `unfinished`."""
        if self._buffered > self.limit:
            raise UpstreamMalformed(f"{self._label}: the reply is longer than gateway.max_reply_bytes ({self.limit})")
        if self.fault is not None:
            raise self.fault
        parts = self._parts
        self._release()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def next_part(self) -> bytes:
        """What has arrived since the last call, empty at the end."""
        self._streaming = True
        while not self._parts:
            if self.fault is not None:
                raise self.fault
            if self._done:
                self._release()
                return b""
            await self.progress()
        parts, self._parts, self._buffered = self._parts, [], 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def abort(self) -> None:
        """Close the socket at once."""
        self._pool.ended(self)
        if self._transport is not None:
            self._transport.abort()

    def drop_unless_done(self) -> None:
        """Close the socket unless the reply was read to its end, so that the socket belongs to the pool again."""
        if not self._released:
            self.abort()

    def _release(self) -> None:
        # Only now: the next exchange clears what this one has not read yet.
        if not self._released:
            self._released = True
            if self._keep and not self._lost and not self._spoiled:
                self._since = time.monotonic()
                self._pool.free(self)
            else:
                self.abort()

    def progress(self) -> asyncio.Future[None]:
        """What to await until something has come, or has gone wrong."""
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, fault: PenstockError) -> None:
        if not self._done and self.fault is None:
            self.fault = fault
            self._pool.ended(self)
            self._wake()

    def check_time(self) -> float:
        """Fail the exchange when it is due; else the moment at which to look again, infinite when there is nothing to look at."""
        # Data only notes its time, so a stream of many chunks costs no timers.
        now = self._loop.time()
        due = self._deadline
        if self._idle_timeout is not None:
            # While we do not read, nothing can come.
            due = min(due, (now if self._paused else self._activity) + self._idle_timeout)
        if now < due - 0.001:
            return due
        what = "the deadline passed" if now >= self._deadline - 0.001 else f"nothing came for {self._idle_timeout:.3g} s"
        self._fail(DeadlineExceeded(f"{self._label}: {what} before the reply was complete"))
        self.abort()
        return math.inf

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have asyncio's methods without being its subclasses.
        self._transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._pool.gone()
        if self.head_done and not self._done and exc is None and self._until_eof():
            self._complete()
            return
        self._fail(UpstreamReset(f"{self._label}: the connection closed {'inside' if self.head_done else 'before'} the reply"))

    def data_received(self, data: bytes) -> None:
        self.heard = True
        self._activity = self._loop.time()
        if self._done:
            self.abort()  # bytes that nobody asked for: not a connection to trust with the next request
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(UpstreamMalformed(f"{self._label}: the reply is not valid HTTP"))
            self.abort()
            return
        if self._parts and not self._done:
            if self._streaming and self._buffered > HIGH_WATER and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
            if self._streaming or self._buffered > self.limit > 0:
                self._wake()

    # -- httptools callbacks -----------------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("head too long")
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status: int = self._parser.get_status_code()
        if 100 <= status < 200:
            self.headers = {}
            return
        self.status = status
        self.head_done = True
        self._wake()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self.head_done:
            self._complete()

    def _complete(self) -> None:
        self._done = True
        self._pool.ended(self)
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self._keep = not self._lost and bool(self._parser.should_keep_alive())
        self._wake()

    def _until_eof(self) -> bool:
        return b"content-length" not in self.headers and b"chunked" not in self.headers.get(b"transfer-encoding", b"").lower()

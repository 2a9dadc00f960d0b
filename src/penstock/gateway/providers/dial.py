"""Opening a WebSocket to a provider: the handshake is the library's, redirects are not followed, proxies are not used (as for HTTP)."""

from __future__ import annotations

import asyncio
import os
import ssl
from functools import cache

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.uri import parse_uri

from penstock.gateway.client import Origin
from penstock.gateway.providers.provider import Declined
from penstock.gateway.settings import RealtimeSettings
from penstock.kernel.call import Headers
from penstock.kernel.errors import UpstreamMalformed, UpstreamUnreachable

WAITING = (4, 1)
"""Messages that are read ahead at most, and at how few reading goes on: what one slow side may hold in memory."""
WRITE_AHEAD = 64 * 1024
"""Bytes that wait to be sent before the sender has to wait."""
CLOSE_SECONDS = 5.0


async def dial(
    label: str, origin: Origin, path: str, headers: Headers, connect_seconds: float, limits: RealtimeSettings
) -> ClientConnection | Declined:
    """An open connection to ``path`` at ``origin``, whose other side is asked for signs of life from now on.

    ``connect_seconds`` bounds the connection, and the handshake after it. Raises `UpstreamUnreachable` or `UpstreamMalformed`.
    """
    uri = f"{'wss' if origin.tls else 'ws'}://{origin.authority}{path}"
    protocol = ClientProtocol(parse_uri(uri), max_size=limits.max_frame_bytes)

    def made() -> ClientConnection:
        return ClientConnection(
            protocol,
            ping_interval=limits.ping_seconds,
            ping_timeout=limits.silent_seconds,
            close_timeout=CLOSE_SECONDS,
            max_queue=WAITING,
            write_limit=WRITE_AHEAD,
        )

    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(connect_seconds):
            _, connection = await loop.create_connection(
                made,
                origin.host,
                origin.port,
                ssl=_tls() if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
    except TimeoutError as fault:
        raise UpstreamUnreachable(f"{label}: no connection within {connect_seconds:.3g} s") from fault
    except ssl.SSLError as fault:
        raise UpstreamUnreachable(f"{label}: TLS failed: {fault.reason or type(fault).__name__}") from fault
    except OSError as fault:
        reason = os.strerror(fault.errno) if fault.errno and fault.errno > 0 else (fault.strerror or type(fault).__name__)
        raise UpstreamUnreachable(f"{label}: cannot connect to {origin.authority}: {reason}") from fault
    try:
        async with asyncio.timeout(2 * connect_seconds):
            # No user agent of the library's: ours stands among the headers.
            await connection.handshake(headers, None)
    except InvalidStatus as fault:
        connection.transport.abort()
        answer = fault.response
        return Declined(answer.status_code, dict(answer.headers.raw_items()), answer.body or b"")
    except InvalidMessage as fault:
        connection.transport.abort()
        raise UpstreamMalformed(f"{label}: what answers the handshake is no HTTP") from fault
    except InvalidHandshake as fault:
        connection.transport.abort()
        raise UpstreamMalformed(f"{label}: the handshake failed: {type(fault).__name__}") from fault
    except (TimeoutError, OSError) as fault:
        connection.transport.abort()
        if connection.protocol.handshake_exc is not None:  # an answer that is none, and then no end
            raise UpstreamMalformed(f"{label}: what answers the handshake is no WebSocket") from fault
        raise UpstreamUnreachable(f"{label}: the handshake did not end: {type(fault).__name__}") from fault
    except BaseException:
        connection.transport.abort()
        raise
    connection.start_keepalive()
    return connection


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()

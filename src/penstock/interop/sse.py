"""Server-sent events of something that goes on: written as they come, kept alive in between, ended when the reader leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from penstock.kernel.errors import MalformedRequest
from penstock.kernel.vendor import Asked

PING_SECONDS = 15.0
"""Silence after which a comment is sent, so that nobody on the way takes the connection for dead."""
PING = b": \n\n"
HEADERS = [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
LONGEST_ID = 64


def event(data: Any, id: str = "", name: str = "") -> bytes:
    """One event with JSON in it."""
    head = (f"id: {id}\n" if id else "") + (f"event: {name}\n" if name else "")
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


def last_event_id(asked: Asked) -> tuple[int, int] | None:
    """Where the reader was cut off: the number of a step, and which of the events that told it. Raises `MalformedRequest`."""
    text = asked.header("last-event-id")
    if not text:
        return None
    number, dot, part = text.partition(".")
    if len(text) > LONGEST_ID or not _whole(number) or (dot and not _whole(part)):
        raise MalformedRequest(f"Last-Event-ID {text[:80]!r} is none of this stream", param="Last-Event-ID")
    return int(number), int(part) if dot else 0


def _whole(text: str) -> bool:
    return text.isascii() and text.isdecimal()


async def tell(asked: Asked, pieces: AsyncGenerator[bytes], *, headers: Sequence[tuple[str, str]] = ()) -> bool:
    """Answer with ``pieces`` as they come; whether the reader stayed to the end. ``pieces`` is closed."""
    stream = asked.answer_stream([*HEADERS, *headers])
    gone = asyncio.ensure_future(_left(asked))
    upcoming = asyncio.ensure_future(_next(pieces))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming, gone}, timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if upcoming in done:
                piece = upcoming.result()
                if piece is None:
                    return True
                upcoming = asyncio.ensure_future(_next(pieces))
            elif gone in done:
                return False
            else:
                piece = PING
            try:
                await stream.send_bytes(piece)
            except RuntimeError:  # RSGI's word for a client that left
                return False
    finally:
        gone.cancel()
        upcoming.cancel()
        await asyncio.wait([upcoming])
        await pieces.aclose()


async def _left(asked: Asked) -> None:
    await asked.protocol.client_disconnect()


async def _next(source: AsyncGenerator[bytes]) -> bytes | None:
    try:
        return await anext(source)
    except StopAsyncIteration:
        return None


__all__ = ["HEADERS", "PING", "PING_SECONDS", "event", "last_event_id", "tell"]

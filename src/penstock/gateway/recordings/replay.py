"""Playing a recorded reply back in its own time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from penstock.gateway.recordings.exchange import Exchange
from penstock.kernel.call import Headers

# Steps shorter than what an event loop can keep would only add up to delays.
_SHORTEST_SLEEP = 0.0005


async def play_whole(exchange: Exchange, speed: float = 1.0) -> tuple[int, Headers, bytes]:
    """Status, headers and body, after the time that the reply took when it was recorded, divided by ``speed`` (0: at once).

    The chunks of a streamed reply come strung together as they were; `convert.as_whole` makes a whole reply of them.
    """
    await _until(asyncio.get_running_loop().time(), exchange.total_ms, speed)
    body = exchange.body if exchange.body is not None else b"".join(data for _, data in exchange.chunks or ())
    return exchange.status, exchange.headers, body


async def play_stream(exchange: Exchange, speed: float = 1.0) -> AsyncIterator[bytes]:
    """The reply's chunks, each at its recorded time divided by ``speed`` (0: at once), counted from the first step of the iteration.

    A reader who is slow shifts no later chunk: what is due comes at once. A whole body comes as one chunk at its end; `convert.as_stream`
    makes a stream of it.
    """
    started = asyncio.get_running_loop().time()
    for ms, data in exchange.chunks if exchange.chunks is not None else [(exchange.total_ms, exchange.body or b"")]:
        await _until(started, ms, speed)
        yield data


async def wait_for_first_byte(exchange: Exchange, speed: float = 1.0) -> None:
    """Wait as long as the provider took to its first byte; for players that give the reply's head before its chunks."""
    await _until(asyncio.get_running_loop().time(), exchange.first_byte_ms, speed)


async def _until(started: float, ms: float, speed: float) -> None:
    if speed <= 0:
        return
    left = started + ms / 1e3 / speed - asyncio.get_running_loop().time()
    if left > _SHORTEST_SLEEP:
        await asyncio.sleep(left)

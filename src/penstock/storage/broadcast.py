"""Words that every process of an installation should hear, over the Valkey (or Redis) server that its counters are on.

Nothing is kept: whoever is not there does not hear it. While the server does not answer, the workers of one machine still hear each other.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any

from penstock.kernel.ports import Broadcast
from penstock.storage.valkey import PREFIX, client, fault_type

_log = logging.getLogger("penstock.broadcast")

AGAIN = 1.0
"""Seconds until a server that does not answer is looked for again."""

MOST_UNDER_WAY = 64
"""Words on their way to the server; a further one is dropped, since what comes after it says more."""

NAME_BYTES = 16


class ValkeyBroadcast:
    """`penstock.kernel.ports.Broadcast`, as a service. ``nearby`` carries the words while the server is away."""

    name = "broadcast"

    def __init__(self, url: str, nearby: Broadcast | None = None) -> None:
        self._client: Any = client(url)
        self._nearby = nearby
        self._own = secrets.token_hex(NAME_BYTES // 2).encode()
        self._handlers: dict[str, Callable[[bytes], None]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self.up = False

    def hear(self, topic: str, handler: Callable[[bytes], None]) -> None:
        """See `Broadcast.hear`; before the service starts."""
        self._handlers[topic] = handler
        if self._nearby is not None:
            self._nearby.hear(topic, handler)

    def tell(self, topic: str, body: bytes) -> None:
        """See `Broadcast.tell`."""
        if not self.up:
            if self._nearby is not None:
                self._nearby.tell(topic, body)
        elif len(self._under_way) < MOST_UNDER_WAY:
            task = asyncio.get_running_loop().create_task(self._publish(topic, body))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def start(self) -> None:
        """Listen, and go on when the server comes back."""
        self._listening = asyncio.create_task(self._listen(), name="broadcast")

    async def stop(self) -> None:
        tasks = [*self._under_way, *([self._listening] if self._listening is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def _publish(self, topic: str, body: bytes) -> None:
        try:
            await self._client.publish(f"{PREFIX}word:{topic}", self._own + body)
        except (OSError, fault_type()):
            self.up = False
            if self._nearby is not None:
                self._nearby.tell(topic, body)

    async def _listen(self) -> None:
        channels = {f"{PREFIX}word:{topic}".encode(): topic for topic in self._handlers}
        told = False
        while True:
            try:
                async with self._client.pubsub(ignore_subscribe_messages=False) as heard:
                    await heard.subscribe(*channels)
                    async for message in heard.listen():
                        if message["type"] == "subscribe":
                            self.up, told = True, False
                        elif message["type"] == "message" and not message["data"].startswith(self._own):
                            self._handlers[channels[message["channel"]]](message["data"][NAME_BYTES:])
            except (OSError, fault_type()) as fault:
                if not told:
                    _log.warning("words to other machines are not carried", extra={"fault": type(fault).__name__})
                told = True
            finally:
                self.up = False
            await asyncio.sleep(AGAIN)

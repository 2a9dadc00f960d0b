"""A real ``penstock up --workers N`` in a folder, with an upstream of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from tests.gateway.upstream import Conversation, serving
from tests.system.process import Penstock

PROMPT, ANSWER = 10, 100
COST = 1000
"""Micro-dollars of a call: 100 output tokens at 10 USD per million."""

WHOLE = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": PROMPT, "completion_tokens": ANSWER, "total_tokens": PROMPT + ANSWER},
    }
).encode()


class Crew(Penstock):
    """Several workers on one folder. ``seen`` counts calls upstream, which all wait while ``gate`` is closed."""

    def __init__(self, folder: Path, upstream: str, *, workers: int = 2, settings: str = "") -> None:
        super().__init__(
            folder,
            f"workers = {workers}\n{settings}\n[gateway]\ndiscover = false\nlocal_embeddings = false\n[gateway.providers.up]\n"
            f'profile = "openai-compatible"\nbase_url = "{upstream}"\nmodels = ["m"]\n[finops.prices."up/m"]\ninput = 0\noutput = 10\n',
        )
        self.workers = workers

    async def all_up(self, without: int = 0) -> set[int]:
        """The workers' process ids once all of them listen; none of them is ``without``."""
        async with asyncio.timeout(30):
            while True:
                found = self.children()
                if len(found) == self.workers and without not in found and listening(self.port) == self.workers:
                    return found
                await asyncio.sleep(0.05)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def children(self) -> set[int]:
        """Process ids of the workers that there are."""
        assert self._process is not None
        text = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return {int(pid) for pid in text.split()}

    async def call(self, key: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        """One model call on a connection of its own: status, body, headers."""
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": ANSWER}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}) as answer,
        ):
            return answer.status, json.loads(await answer.read()), dict(answer.headers)

    async def known(self, key: str) -> None:
        """Wait until every worker knows a key: of 20 connections in a row none meets one that does not."""
        async with asyncio.timeout(10):
            while any([await self._stranger(key) for _ in range(20)]):
                pass

    async def _stranger(self, key: str) -> bool:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/v1/models", headers={"authorization": f"Bearer {key}"}) as answer,
        ):
            return answer.status == 401


class Upstream:
    """A provider that answers every call alike, while ``gate`` is open."""

    def __init__(self) -> None:
        self.url = ""
        self.seen = 0
        self.most = 0
        self.now = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def script(self, conversation: Conversation) -> None:
        while True:
            await conversation.request()
            self.seen += 1
            self.now += 1
            self.most = max(self.most, self.now)
            await self.gate.wait()
            self.now -= 1
            await conversation.json(WHOLE)


@asynccontextmanager
async def upstream() -> AsyncGenerator[Upstream]:
    """An upstream that listens."""
    mine = Upstream()
    async with serving(mine.script) as listening:
        mine.url = listening.url
        yield mine


def alive(pid: int) -> bool:
    """Whether there is such a process, and it is not only waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def listening(port: int) -> int:
    """How many sockets listen on an IPv4 port of this machine."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(1 for line in lines if (fields := line.split())[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port)


__all__ = ["ANSWER", "COST", "Crew", "Upstream", "alive", "listening", "upstream"]

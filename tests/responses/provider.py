"""A house before a provider of responses that says piece by piece what a test lets it, and the client of OpenAI's SDK before the house."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
from tests.gateway.upstream import Conversation, serving
from tests.house import House, open_house
from tests.responses.test_stage import SETTINGS, event, native


class Provider:
    """Answers ``answer N`` to the N-th request. ``held`` keeps it from ending, and from saying more than the first piece of a stream;
    ``faults`` are statuses to refuse with first."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.begun = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()
        self.faults: list[int] = []

    def hold(self) -> None:
        self.begun.clear()
        self.free.clear()

    async def __call__(self, peer: Conversation) -> None:
        while True:
            _, raw = await peer.request()
            body = json.loads(raw)
            self.bodies.append(body)
            number = len(self.bodies)
            if self.faults:
                status = self.faults.pop(0)
                said = b'{"error": {"message": "not now", "code": "server_error"}}'
                await peer.send(
                    b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (status, len(said), said)
                )
                continue
            text = f"answer {number}"
            if not body.get("stream"):
                self.begun.set()
                await self.free.wait()
                await peer.json(json.dumps(native(text)).encode())
                continue
            await self._stream(peer, text)

    async def _stream(self, peer: Conversation, text: str) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        place = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
        part = {"type": "output_text", "text": "", "annotations": []}
        thought: dict[str, Any] = {"id": "rs_1", "type": "reasoning", "summary": []}
        begin = [
            event("response.created", response=native("", "in_progress")),
            event("response.output_item.added", output_index=0, item=thought),
            event("response.output_item.done", output_index=0, item=thought),
            event("response.output_item.added", output_index=1, item=message),
            event("response.content_part.added", **place, part=part),
            event("response.output_text.delta", **place, delta=text[:3], logprobs=[]),
        ]
        await self._piece(peer, b"".join(begin))
        self.begun.set()
        await self.free.wait()
        whole = native(text)
        end = [
            event("response.output_text.delta", **place, delta=text[3:], logprobs=[]),
            event("response.output_text.done", **place, text=text, logprobs=[]),
            event("response.content_part.done", **place, part={**part, "text": text}),
            event("response.output_item.done", output_index=1, item=whole["output"][1]),
            event("response.completed", response=whole),
        ]
        await self._piece(peer, b"".join(end))
        await peer.send(b"0\r\n\r\n")

    async def _piece(self, peer: Conversation, data: bytes) -> None:
        await peer.send(b"%x\r\n%s\r\n" % (len(data), data))


class Rig:
    """A house, its provider, and the SDK's client of its first key."""

    def __init__(self, house: House, provider: Provider) -> None:
        self.house = house
        self.provider = provider
        self.client = self.of(house.admin)

    def of(self, key: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.house.url}/v1", api_key=key, max_retries=0)

    async def ended(self, id: str) -> Any:
        """The response, once it is no more worked on."""
        while (found := await self.client.responses.retrieve(id)).status in ("queued", "in_progress"):
            await asyncio.sleep(0.02)
        return found


@asynccontextmanager
async def rigged(folder: Path, more: str = "") -> AsyncIterator[Rig]:
    provider = Provider()
    async with serving(provider) as upstream:
        settings = (
            f"{SETTINGS}{more}[journal]\npoll_seconds = 0.02\n"
            f'[gateway.providers.native]\nprofile = "openai"\nbase_url = "{upstream.url}"\nmodels = ["r"]\napi_key_env = "HOME"\n'
        )
        async with open_house(folder, settings) as house:
            rig = Rig(house, provider)
            yield rig
            provider.free.set()
            await rig.client.close()

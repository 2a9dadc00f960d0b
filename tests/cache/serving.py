"""A house with a cache, and a provider that counts what it is asked and answers with what was said last."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, House, open_house

RULE = "[[cache.rules]]\n"
PRICES = '[finops.prices."up/m"]\ninput = 1\noutput = 2\ncached = 0.5\n'


class Provider:
    """What it was asked, and how it answers: ``answer`` makes the text of a reply of what was said last."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: Callable[[str], str] = lambda said: f"you said {said}"
        self.finish = "stop"
        self.cut = False
        self.cached = 0
        self.hold: asyncio.Event | None = None
        self.begun = asyncio.Event()

    async def __call__(self, peer: Conversation) -> None:
        while True:
            head, body = await peer.request()
            asked = json.loads(body)
            self.asked.append(asked)
            self.begun.set()
            if self.hold is not None:
                await self.hold.wait()
            if b"/embeddings" in head:
                data = [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}]
                usage = {"prompt_tokens": 2, "total_tokens": 2}
                await peer.json(json.dumps({"object": "list", "model": "m", "data": data, "usage": usage}).encode())
                continue
            text = self.answer(said(asked))
            usage = {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": self.cached},
            }
            top = {"id": f"chatcmpl-{len(self.asked)}", "created": 1, "model": "m"}
            if asked.get("stream"):
                await self._stream(peer, top, text, usage)
            else:
                choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": self.finish}
                await peer.json(json.dumps({**top, "object": "chat.completion", "choices": [choice], "usage": usage}).encode())

    async def _stream(self, peer: Conversation, top: dict[str, Any], text: str, usage: dict[str, Any]) -> None:
        deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
        deltas += [({"content": word}, None) for word in text.split(" ")]
        if not self.cut:
            deltas.append(({}, self.finish))
        events = [
            json.dumps({**top, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
            for delta, finish in deltas
        ]
        if not self.cut:
            events += [json.dumps({**top, "object": "chat.completion.chunk", "choices": [], "usage": usage}), "[DONE]"]
        body = "".join(f"data: {event}\n\n" for event in events).encode()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


def said(asked: dict[str, Any]) -> str:
    content = asked["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


@asynccontextmanager
async def caching_house(
    folder: Path, rules: str = RULE, *, more: str = "", local: bool = False, database: str = "", admin: str = ""
) -> AsyncIterator[tuple[House, Provider]]:
    provider = Provider()
    async with serving(provider) as upstream:
        gateway = SETTINGS.replace("local_embeddings = false\n", "") if local else SETTINGS
        settings = (
            f'{gateway}[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["m", "n"]\n'
            f"{PRICES}[cache]\nflush_seconds = 0.05\nrefresh_seconds = 0.05\n{rules}{more}"
        )
        async with open_house(folder, settings, database=database) as house:
            house.admin = house.admin or admin  # a folder's first house alone is told its key
            yield house, provider


async def ask(house: House, body: dict[str, Any], **headers: Any) -> Any:
    answer = await house.ask("POST", "/v1/chat/completions", body, **headers)
    assert answer.status == 200, answer.text
    return answer

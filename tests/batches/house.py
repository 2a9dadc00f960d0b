"""A house with a provider that answers what it is told to, and what a test of batches does again and again."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.gateway.upstream import Conversation, serving
from tests.house import House, open_house

DONE = {"completed", "failed", "expired", "cancelled"}


class Provider:
    """Answers chat completions with the text that it was sent. ``seen`` counts texts; ``answer`` may say something else for one."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.in_flight = 0
        self.most = 0
        self.seconds = 0.0
        self.held = asyncio.Event()
        self.held.set()
        self.answer: Callable[[str], tuple[str, bytes, bytes] | None] = lambda _: None

    async def __call__(self, peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            text = json.loads(body)["messages"][-1]["content"]
            text = text if isinstance(text, str) else text[0]["text"]
            self.seen[text] += 1
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            try:
                await self.held.wait()
                if self.seconds:
                    await asyncio.sleep(self.seconds)
                told = self.answer(text)
                if told is not None:
                    await peer.json(told[1], told[0], told[2])
                else:
                    await peer.json(reply(text))
            finally:
                self.in_flight -= 1


def reply(text: str) -> bytes:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        },
        indent=1,
    ).encode()


def settings(url: str, more: str = "") -> str:
    """A house with the provider ``up`` and its model ``m``, priced so that a call costs 13 micro-dollars."""
    return (
        "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
        f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{url}"\nmodels = ["m"]\n'
        '[finops.prices."up/m"]\ninput = 1.0\noutput = 2.0\n[journal]\npoll_seconds = 0.02\n'
        f"{more}"
    )


@asynccontextmanager
async def batch_house(folder: Path, more: str = "") -> AsyncGenerator[tuple[House, Provider]]:
    """A house and its provider."""
    provider = Provider()
    async with serving(provider) as up, open_house(folder, settings(up.url, more)) as house:
        yield house, provider


def line(custom_id: str, text: str = "", **more: Any) -> dict[str, Any]:
    """One line of a batch."""
    body = {"model": "m", "messages": [{"role": "user", "content": text or custom_id}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body, **more}


def jsonl(*lines: Any) -> bytes:
    """Lines as a file."""
    return b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines)


async def uploaded(house: House, content: bytes, *, key: str | None = None) -> str:
    """The id of a file with this content."""
    edge = "penstock-test-edge"
    form = (
        (
            f'--{edge}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{edge}\r\ncontent-disposition: form-data; name="file"; filename="in.jsonl"\r\ncontent-type: application/jsonl\r\n\r\n'
        ).encode()
        + content
        + f"\r\n--{edge}--\r\n".encode()
    )
    answer = await house.ask("POST", "/v1/files", form, key=key, content_type=f"multipart/form-data; boundary={edge}")
    assert answer.status == 200, answer.text
    return answer.json["id"]


async def started(house: House, *lines: Any, key: str | None = None, **more: Any) -> dict[str, Any]:
    """A batch of these lines."""
    file = await uploaded(house, jsonl(*lines), key=key)
    body = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h", **more}
    answer = await house.ask("POST", "/v1/batches", body, key=key)
    assert answer.status == 200, answer.text
    return answer.json


async def until(look: Callable[[], Any], seconds: float = 45.0) -> Any:
    """What ``look`` gives once it is true. Looks less often the longer it takes: a look may cost as much as what is waited for."""
    end = time.monotonic() + seconds
    pause = 0.01
    while True:
        found = look()
        found = await found if asyncio.iscoroutine(found) else found
        if found:
            return found
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(pause)
        pause = min(0.1, pause * 1.2)


async def ended(house: House, id: str, *, key: str | None = None) -> dict[str, Any]:
    """The batch once it has ended."""

    async def look() -> dict[str, Any] | None:
        answer = await house.ask("GET", f"/v1/batches/{id}", key=key)
        assert answer.status == 200, answer.text
        return answer.json if answer.json["status"] in DONE else None

    return await until(look)


async def content(house: House, file: str | None, *, key: str | None = None) -> list[dict[str, Any]]:
    """The lines of a file; none without one."""
    if file is None:
        return []
    answer = await house.ask("GET", f"/v1/files/{file}/content", key=key)
    assert answer.status == 200, answer.text
    return [json.loads(each) for each in answer.text.splitlines()]

"""The endpoints beside conversation, each called with its vendor's own SDK, unmodified, against a real Penstock process."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.gateway.upstream import Conversation, serving
from tests.system.process import Penstock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

SETTINGS = """[gateway]
discover = false
local_embeddings = false
[gateway.providers.oai]
profile = "openai"
base_url = "{url}"
api_key = "sk-provider"
[finops]
price_lists = {{ oai = "openai" }}
"""

Answer = Callable[[Conversation, bytes, bytes], Awaitable[None]]


class Rig:
    """A Penstock process with one provider, whose answers the test sets, and what the provider was sent."""

    def __init__(self) -> None:
        self.house: Penstock
        self.key = ""
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.answers: dict[str, Answer] = {}

    async def provider(self, peer: Conversation) -> None:
        while True:
            head, body = await peer.request()
            self.heads.append(head)
            self.bodies.append(body)
            await self.answers[head.split(b" ")[1].decode().removeprefix("/v1")](peer, head, body)

    def says(self, path: str, reply: object, media: str = "application/json") -> None:
        """Have the provider answer so: an object as JSON, bytes as they are."""
        data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()

        async def answer(peer: Conversation, head: bytes, body: bytes) -> None:
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (media.encode(), len(data), data))

        self.answers[path] = answer

    def openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.house.url}/v1", api_key=self.key, max_retries=0)

    async def row(self, operation: str) -> dict[str, Any]:
        """The newest ledger row of an operation."""
        found = (await self.house.ask("GET", "/v1/ledger?limit=20"))["data"]
        return next(row for row in found if row["operation"] == operation)


@asynccontextmanager
async def running(folder: Path) -> AsyncGenerator[Rig]:
    rig = Rig()
    async with serving(rig.provider) as upstream:
        rig.house = Penstock(folder, SETTINGS.format(url=upstream.url))
        await rig.house.start()
        try:
            rig.key = (await rig.house.ask("POST", "/v1/keys", {"name": "apps", "scopes": ["call"]}))["secret"]
            yield rig
        finally:
            assert await rig.house.terminate() == 0


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        yield rig


# OpenAI's own example, shortened (https://platform.openai.com/docs/api-reference/moderations/object).
MODERATION = {
    "id": "modr-1",
    "model": "omni-moderation-latest",
    "results": [
        {
            "flagged": True,
            "categories": {"violence": True, "harassment": False},
            "category_scores": {"violence": 0.99, "harassment": 0.01},
            "category_applied_input_types": {"violence": ["text"], "harassment": ["text"]},
        }
    ],
}


async def test_moderations(rig: Rig) -> None:
    rig.says("/moderations", MODERATION)
    async with rig.openai() as sdk:
        found = await sdk.moderations.create(input="I will hurt them")
        assert found.results[0].flagged
        assert found.results[0].categories.violence
        assert json.loads(rig.bodies[-1]) == {"input": "I will hurt them", "model": "omni-moderation-latest"}
        parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://h/a.png"}}]
        await sdk.moderations.create(input=parts, model="omni-moderation-2024-09-26")  # type: ignore[arg-type]
        assert json.loads(rig.bodies[-1]) == {"input": parts, "model": "omni-moderation-2024-09-26"}
        with pytest.raises(openai.BadRequestError, match="input"):
            await sdk.moderations.create(input=5)  # type: ignore[arg-type]
    # OpenAI charges nothing for it, which is a price; the tokens are our own estimate.
    row = await rig.row("moderations")
    assert (row["amount"], row["prices"], row["usage"]["estimated"]) == (0, {}, True)

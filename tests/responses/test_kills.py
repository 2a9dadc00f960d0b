"""The process that works on a background response is killed: it ends all the same, and its stream goes on where it was cut."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.gateway.upstream import serving
from tests.responses.provider import Provider

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@asynccontextmanager
async def worker(folder: Path, provider: str, key: list[str]) -> AsyncIterator[openai.AsyncOpenAI]:
    """A process with the house, killed at the end; ``key`` is the first key, which only the first start tells."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.responses.work", str(folder), provider, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        url, told = (await process.stdout.readline()).decode().split(" ")
        if not key:
            key.append(told.strip())
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key[0], max_retries=0) as client:
            yield client
    finally:
        process.kill()
        await process.wait()


async def ended(client: openai.AsyncOpenAI, id: str) -> Any:
    while (found := await client.responses.retrieve(id)).status in ("queued", "in_progress"):
        await asyncio.sleep(0.05)
    return found


async def test_it_ends_and_its_stream_goes_on(tmp_path: Path) -> None:
    provider, key = Provider(), list[str]()
    seen: list[Any] = []
    async with serving(provider) as up:
        async with worker(tmp_path, up.url, key) as client:
            done = await client.responses.create(model="r", input="one", background=True)
            done = await ended(client, done.id)
            provider.hold()
            plain = await client.responses.create(model="r", input="two", background=True)
            await provider.begun.wait()
            async for one in await client.responses.create(model="r", input="three", background=True, stream=True):
                seen.append(one)
                if one.type == "response.output_text.delta":
                    break
        asked = len(provider.bodies)
        provider.free.set()
        async with worker(tmp_path, up.url, key) as client:
            assert (await client.responses.retrieve(done.id)).output_text == done.output_text
            assert (await ended(client, plain.id)).status == "completed"
            id = seen[0].response.id
            rest = await client.responses.retrieve(id, stream=True, starting_after=seen[-1].sequence_number)
            whole = [*seen, *[one async for one in rest]]
            async with client.responses.stream(response_id=id) as again:
                final = await again.get_final_response()
        assert len(provider.bodies) == asked + 2  # what had its answer is not asked again
    assert [one.sequence_number for one in whole] == list(range(len(whole)))
    items = [one for one in whole if one.type == "response.output_item.done" and one.item.type == "message"]
    assert [one.item.status for one in items] == ["incomplete", "completed"]
    assert items[0].item.content[0].text == "ans"
    assert items[0].item.id != items[1].item.id
    assert final.output_text == whole[-1].response.output_text == items[1].item.content[0].text
    assert [item.type for item in final.output] == ["reasoning", "message"]

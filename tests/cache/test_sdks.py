"""The vendors' own SDKs, unmodified, read what a real Penstock process answers from its cache."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from tests.cache.serving import Provider
from tests.gateway.upstream import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


class Place:
    url = key = ""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(Provider())
    async with serving(place.provider) as upstream:
        config = tmp_path / "penstock.toml"
        config.write_text(
            f'[server]\nport = 0\ndata_dir = "{tmp_path}/data"\n[gateway]\ndiscover = false\nlocal_embeddings = false\n[[cache.rules]]\n'
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["m"]\n'
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "penstock", "up", "-c", str(config), stdout=asyncio.subprocess.PIPE, env=os.environ
        )
        assert process.stdout is not None
        try:
            while not place.key:
                line = (await process.stdout.readline()).decode()
                assert line, "Penstock ended before it was up"
                place.url = place.url or (found.group(0) if (found := re.search(r"http://[\d.:]+", line)) else "")
                place.key = found.group(0) if (found := re.search(r"psk_\S+", line)) else ""
            yield place
        finally:
            process.terminate()
            assert await process.wait() == 0


@pytest.mark.parametrize("first", [False, True], ids=["kept whole", "kept as a stream"])
async def test_openai(place: Place, first: bool) -> None:
    async with openai.AsyncOpenAI(base_url=f"{place.url}/v1", api_key=place.key, max_retries=0) as sdk:
        said: Any = [{"role": "user", "content": "hi"}]
        if first:
            stream = await sdk.chat.completions.create(model="m", messages=said, stream=True)
            text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
        else:
            text = (await sdk.chat.completions.create(model="m", messages=said)).choices[0].message.content or ""
        raw = await sdk.chat.completions.with_raw_response.create(model="m", messages=said)
        assert raw.headers["x-penstock-cache"] == "hit"
        whole = raw.parse()
        assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == (text, "stop")
        assert whole.usage is not None
        assert whole.usage.total_tokens == 150
        for usage in (False, True):
            more: Any = {"stream_options": {"include_usage": True}} if usage else {}
            stream = await sdk.chat.completions.create(model="m", messages=said, stream=True, **more)
            assert stream.response.headers["x-penstock-cache"] == "hit"
            chunks = [c async for c in stream]
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
            assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
            assert bool(chunks[-1].usage) is usage
        assert len(place.provider.asked) == 1


@pytest.mark.parametrize("first", [False, True], ids=["kept whole", "kept as a stream"])
async def test_responses(place: Place, first: bool) -> None:
    async with openai.AsyncOpenAI(base_url=f"{place.url}/v1", api_key=place.key, max_retries=0) as sdk:
        if first:
            async with sdk.responses.stream(model="m", input="hi") as events:
                text = (await events.get_final_response()).output_text
        else:
            text = (await sdk.responses.create(model="m", input="hi")).output_text
        assert text
        assert (await sdk.responses.create(model="m", input="hi")).output_text == text
        async with sdk.responses.stream(model="m", input="hi") as events:
            kinds = [event.type async for event in events]
            final = await events.get_final_response()
        assert (kinds[0], kinds[-1], final.output_text) == ("response.created", "response.completed", text)
        assert len(place.provider.asked) == 1


@pytest.mark.parametrize("first", [False, True], ids=["kept whole", "kept as a stream"])
async def test_anthropic(place: Place, first: bool) -> None:
    async with anthropic.AsyncAnthropic(base_url=place.url, api_key=place.key, max_retries=0) as sdk:
        asked: Any = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}

        async def streamed() -> Any:
            async with sdk.messages.stream(**asked) as stream:
                text = "".join([piece async for piece in stream.text_stream])
                return text, await stream.get_final_message()

        text = (await streamed())[0] if first else json.loads((await sdk.messages.create(**asked)).model_dump_json())["content"][0]["text"]
        whole = await sdk.messages.create(**asked)
        assert (whole.content[0].text, whole.stop_reason) == (text, "end_turn")  # type: ignore[union-attr]
        assert (whole.usage.input_tokens, whole.usage.output_tokens) == (100, 50)
        again, final = await streamed()
        assert (again, final.stop_reason, final.usage.output_tokens) == (text, "end_turn", 50)
        assert len(place.provider.asked) == 1

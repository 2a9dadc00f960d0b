"""The vendors' own SDKs, unmodified, against a real Penstock process with a provider of each shape behind it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anthropic
import openai
import pytest
from tests.gateway.upstream import Conversation, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

TOOL = {"name": "weather", "description": "The weather.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
CHAT_REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
EMBEDDING_REPLY = {
    "object": "list",
    "model": "m",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}],
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}
MESSAGE_REPLY = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "c",
    "content": [{"type": "text", "text": "hallo"}, {"type": "tool_use", "id": "tu_1", "name": "weather", "input": {"city": "Delft"}}],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 5},
}


def sse(*events: object) -> bytes:
    out = b""
    for one in events:
        name = f"event: {one['type']}\n" if isinstance(one, dict) and "type" in one else ""
        out += f"{name}data: {one if isinstance(one, str) else json.dumps(one)}\n\n".encode()
    return out


def chunk(delta: dict[str, object], finish: str | None = None) -> dict[str, object]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


CHAT_STREAM = sse(
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "hel"}),
    chunk({"content": "lo"}),
    chunk({}, "stop"),
    {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": CHAT_REPLY["usage"]},
    "[DONE]",
)
MESSAGE_STREAM = sse(
    {"type": "message_start", "message": {**MESSAGE_REPLY, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hal"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "tu_1", "name": "weather", "input": {}}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"city": '}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"Delft"}'}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)


class House:
    """A running Penstock, and what its providers were asked."""

    def __init__(self) -> None:
        self.url = ""
        self.key = ""
        self.asked: list[dict[str, object]] = []

    def openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0)

    def anthropic(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(base_url=self.url, api_key=self.key, max_retries=0)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[House]:
    house = House()

    async def provider(peer: Conversation, whole: dict[str, object], stream: bytes) -> None:
        while True:
            head, body = await peer.request()
            asked = json.loads(body) if body else {}
            house.asked.append(asked)
            if b"count_tokens" in head:
                await peer.json(b'{"input_tokens": 11}')
            elif b"/embeddings" in head:
                await peer.json(
                    b'{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5,1.0]}],"usage":{"prompt_tokens":2,"total_tokens":2}}'
                )
            elif asked.get("stream"):
                await peer.send(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(stream), stream)
                )
            else:
                await peer.json(json.dumps(whole).encode())

    async def chat(peer: Conversation) -> None:
        await provider(peer, CHAT_REPLY, CHAT_STREAM)

    async def messages(peer: Conversation) -> None:
        await provider(peer, MESSAGE_REPLY, MESSAGE_STREAM)

    async with serving(chat) as one, serving(messages) as two:
        config = folder / "penstock.toml"
        config.write_text(
            f'[server]\nport = 0\ndata_dir = "{folder}/data"\n[gateway]\ndiscover = false\nlocal_embeddings = false\n'
            f'[gateway.providers.chat]\nprofile = "openai-compatible"\nbase_url = "{one.url}"\nmodels = ["m"]\n'
            f'[gateway.providers.claude]\nprofile = "anthropic"\nbase_url = "{two.url}"\napi_key = "x"\nmodels = ["c"]\n'
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "penstock", "up", "-c", str(config), stdout=asyncio.subprocess.PIPE, env=os.environ
        )
        assert process.stdout is not None
        try:
            while not house.key:
                line = (await process.stdout.readline()).decode()
                assert line, "Penstock ended before it was up"
                house.url = house.url or (found.group(0) if (found := re.search(r"http://[\d.:]+", line)) else "")
                house.key = found.group(0) if (found := re.search(r"psk_\S+", line)) else ""
            yield house
        finally:
            process.terminate()
            assert await process.wait() == 0


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(tmp_path) as house:
        yield house


async def test_openai_sdk(house: House) -> None:
    async with house.openai() as sdk:
        assert {m.id async for m in sdk.models.list()} == {"m", "c"}
        said = [{"role": "user", "content": "hi"}]
        whole = await sdk.chat.completions.create(model="m", messages=said)  # type: ignore[arg-type]
        assert (whole.choices[0].message.content, whole.usage and whole.usage.total_tokens) == ("hello", 12)
        # The same call served by a provider of the other shape: text, a tool call, usage.
        tools = [{"type": "function", "function": TOOL}]
        other = await sdk.chat.completions.create(model="c", messages=said, tools=tools)  # type: ignore[arg-type, call-overload]
        call = other.choices[0].message.tool_calls[0]
        assert (other.choices[0].message.content, other.choices[0].finish_reason) == ("hallo", "tool_calls")
        assert (call.id, call.function.name, json.loads(call.function.arguments)) == ("tu_1", "weather", {"city": "Delft"})
        assert (other.usage.prompt_tokens, other.usage.completion_tokens) == (7, 5)
        assert house.asked[-1]["tools"][0]["input_schema"] == TOOL["parameters"]  # type: ignore[index]
        embedded = await sdk.embeddings.create(model="m", input="x", encoding_format="float")
        assert embedded.data[0].embedding == [0.5, 1.0]
        with pytest.raises(openai.NotFoundError):
            await sdk.chat.completions.create(model="nobody", messages=said)  # type: ignore[arg-type]
        with pytest.raises(openai.BadRequestError, match="logprobs"):
            await sdk.chat.completions.create(model="c", messages=said, logprobs=True)  # type: ignore[arg-type]
    async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key="psk_wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()


@pytest.mark.parametrize(("model", "text"), [("m", "hello"), ("c", "hallo")])
async def test_openai_sdk_streams(house: House, model: str, text: str) -> None:
    async with house.openai() as sdk:
        said = [{"role": "user", "content": "hi"}]
        for usage in (False, True):
            options = {"stream_options": {"include_usage": True}} if usage else {}
            stream = await sdk.chat.completions.create(model=model, messages=said, stream=True, **options)  # type: ignore[call-overload]
            chunks = [c async for c in stream]
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
            assert bool(chunks[-1].usage) is usage
        async with sdk.responses.stream(model=model, input="hi") as events:
            kinds = [e.type async for e in events]
            final = await events.get_final_response()
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        assert final.output_text == text


@pytest.mark.parametrize(("model", "text"), [("m", "hello"), ("c", "hallo")])
async def test_anthropic_sdk(house: House, model: str, text: str) -> None:
    async with house.anthropic() as sdk:
        said = [{"role": "user", "content": "hi"}]
        whole = await sdk.messages.create(model=model, max_tokens=50, messages=said)  # type: ignore[arg-type]
        assert whole.content[0].text == text  # type: ignore[union-attr]
        async with sdk.messages.stream(model=model, max_tokens=50, messages=said) as stream:  # type: ignore[arg-type]
            final = await stream.get_final_message()
        assert final.content[0].text == text  # type: ignore[union-attr]
        assert final.usage.output_tokens == (3 if model == "m" else 5)
        if model == "c":
            assert final.content[1].input == {"city": "Delft"}  # type: ignore[union-attr]
            counted = await sdk.messages.count_tokens(model=model, messages=said)  # type: ignore[arg-type]
            assert counted.input_tokens == 11
        with pytest.raises(anthropic.NotFoundError):
            await sdk.messages.create(model="nobody", max_tokens=5, messages=said)  # type: ignore[arg-type]

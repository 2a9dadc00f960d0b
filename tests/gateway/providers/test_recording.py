"""A provider that is recorded, and its recording played: the same words come out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateway.upstream import Conversation, serving

from penstock.gateway.providers.http import HttpProvider
from penstock.gateway.providers.profile import CHAT, EMBEDDINGS, MESSAGES
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.providers.provider import Provider
from penstock.gateway.providers.recording import RecordingProvider
from penstock.gateway.providers.replay import ReplayProvider
from penstock.gateway.settings import ProviderSettings
from penstock.kernel.errors import SettingsError, UnknownModel, UpstreamReset

WHOLE = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
STREAM = (
    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


async def model(peer: Conversation) -> None:
    while True:
        _, body = await peer.request()
        if not body:
            await peer.json(b'{"data":[]}')
            continue
        asked = json.loads(body)
        if asked["messages"][0]["content"] == "cut":
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n" + STREAM[:40])
            return
        if asked["messages"][0]["content"] == "busy":
            await peer.json(b'{"error":{"message":"busy"}}', "429 Too Many Requests", b"retry-after: 7\r\n")
        elif asked.get("stream"):
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(STREAM), STREAM))
        else:
            await peer.json(json.dumps(WHOLE).encode())


def body(said: str, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": said}], **more}).encode()


async def ask(provider: Provider, said: str, *, stream: bool = False, shape: str = CHAT) -> tuple[int, bytes, str | None]:
    raw = body(said, stream=stream)
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    answer = await provider.post(shape, "m", raw, fields=fields, stream=stream, headers=[], timeout=5)
    told = b"".join([chunk async for chunk in answer.chunks()]) if stream else await answer.read(100_000)
    return answer.status, told, answer.header("retry-after")


def recording(folder: Path, url: str) -> tuple[RecordingProvider, HttpProvider]:
    inner = HttpProvider("real", PROFILES["openai-compatible"], ProviderSettings(base_url=url), {})
    settings = ProviderSettings(file=str(folder / "tape.jsonl"), records="real", models=("m",))
    return RecordingProvider("taped", PROFILES["recording"], settings, inner), inner


def replay(folder: Path, **terms: Any) -> ReplayProvider:
    return ReplayProvider("played", PROFILES["replay"], ProviderSettings(file=str(folder / "tape.jsonl"), speed=0, **terms))


async def test_what_was_recorded_is_played_again(tmp_path: Path) -> None:
    async with serving(model) as upstream:
        taped, inner = recording(tmp_path, upstream.url)
        assert (taped.profile, taped.declared, taped.speaks(CHAT), taped.speaks(MESSAGES)) == (inner.profile, ("m",), CHAT, CHAT)
        first = await ask(taped, "hi")
        streamed = await ask(taped, "stream it", stream=True)
        refused = await ask(taped, "busy")
        good, what = await taped.probe()
        assert good
        assert str(tmp_path / "tape.jsonl") in what
        await taped.close()
        await inner.close()
    assert (first[0], json.loads(first[1])) == (200, WHOLE)
    assert (streamed[0], streamed[1], refused[0], refused[2]) == (200, STREAM, 429, "7")
    played = replay(tmp_path)
    assert (played.declared, played.speaks(CHAT), played.speaks(MESSAGES), played.speaks(EMBEDDINGS)) == (("m",), CHAT, CHAT, None)
    assert await ask(played, "hi") == first
    assert (await ask(played, "stream it", stream=True))[1] == STREAM
    assert (await ask(played, "busy"))[::2] == (429, "7")
    assert (await played.probe())[1].startswith("3 exchanges of 1 models")
    await played.close()


async def test_what_was_recorded_whole_can_be_streamed_and_the_reverse(tmp_path: Path) -> None:
    async with serving(model) as upstream:
        taped, inner = recording(tmp_path, upstream.url)
        await ask(taped, "hi")
        await ask(taped, "stream it", stream=True)
        await taped.close()
        await inner.close()
    played = replay(tmp_path)
    _, stream, _ = await ask(played, "hi", stream=True)
    pieces = [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {")]
    assert "".join(c["delta"].get("content") or "" for piece in pieces for c in piece["choices"]) == "hello"
    assert stream.endswith(b"data: [DONE]\n\n")
    _, whole, _ = await ask(played, "stream it")
    assert json.loads(whole)["choices"][0]["message"]["content"] == "hello"
    await played.close()


async def test_half_an_exchange_is_none(tmp_path: Path) -> None:
    async with serving(model) as upstream:
        taped, inner = recording(tmp_path, upstream.url)
        with pytest.raises(UpstreamReset):
            await ask(taped, "cut", stream=True)
        await ask(taped, "hi")
        await taped.close()
        await inner.close()
    played = replay(tmp_path)
    assert (await played.probe())[1].startswith("1 exchanges")
    with pytest.raises(UnknownModel) as caught:
        await ask(played, "cut", stream=True)
    assert caught.value.code == "recording_miss"
    await played.close()


async def test_calls_at_once_are_each_recorded_once(tmp_path: Path) -> None:
    async with serving(model) as upstream:
        taped, inner = recording(tmp_path, upstream.url)
        await asyncio.gather(*(ask(taped, f"hi {n}", stream=n % 2 == 0) for n in range(30)))
        await taped.close()
        await inner.close()
    played = replay(tmp_path)
    assert (await played.probe())[1].startswith("30 exchanges")
    await played.close()


def test_a_file_is_needed(tmp_path: Path) -> None:
    inner = HttpProvider("real", PROFILES["openai-compatible"], ProviderSettings(base_url="http://127.0.0.1:1/v1"), {})
    with pytest.raises(SettingsError, match=r"gateway\.providers\.taped\.file"):
        RecordingProvider("taped", PROFILES["recording"], ProviderSettings(), inner)
    with pytest.raises(SettingsError, match=r"gateway\.providers\.played\.file"):
        ReplayProvider("played", PROFILES["replay"], ProviderSettings())

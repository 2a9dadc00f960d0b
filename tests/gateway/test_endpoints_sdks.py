"""The endpoints beside conversation, each called with its vendor's own SDK, unmodified, against a real Penstock process."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.gateway.test_sdks import CHAT_REPLY, CHAT_STREAM, MESSAGE_REPLY, MESSAGE_STREAM, sse
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
[gateway.providers.claude]
profile = "anthropic"
base_url = "{url}"
api_key = "sk-other"
models = ["c"]
[gateway.providers.own]
profile = "openai-compatible"
base_url = "{url}"
[finops]
price_lists = {{ oai = "openai", claude = "anthropic" }}
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
        media = "text/event-stream" if data.startswith((b"data:", b"event:")) else media

        async def answer(peer: Conversation, head: bytes, body: bytes) -> None:
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (media.encode(), len(data), data))

        self.answers[path] = answer

    def openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.house.url}/v1", api_key=self.key, max_retries=0)

    async def call(self, operation: str) -> dict[str, Any]:
        """The newest call on the record of an operation, with its payload, once it is there."""
        while True:
            found = (await self.house.ask("GET", "/v1/calls?limit=20"))["data"]
            ids = [call["id"] for call in found if call["operation"] == operation]
            if ids:
                return await self.house.ask("GET", f"/v1/calls/{ids[0]}")  # type: ignore[no-any-return]

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


# OpenAI's own example (https://platform.openai.com/docs/api-reference/completions/object).
COMPLETION = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1589478378,
    "model": "gpt-3.5-turbo-instruct",
    "choices": [{"text": "This is a test.", "index": 0, "logprobs": None, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
}
COMPLETION_STREAM = sse(
    {**COMPLETION, "choices": [{"text": "This is", "index": 0, "logprobs": None, "finish_reason": None}], "usage": None},
    {**COMPLETION, "choices": [{"text": " a test.", "index": 0, "logprobs": None, "finish_reason": "length"}], "usage": None},
    {**COMPLETION, "choices": []},
    "[DONE]",
)


async def test_completions_where_the_model_has_them(rig: Rig) -> None:
    async with rig.openai() as sdk:
        rig.says("/completions", COMPLETION)
        asked: dict[str, Any] = {"model": "gpt-3.5-turbo-instruct", "prompt": ["Say", "so"], "logprobs": 2, "echo": True, "suffix": "!"}
        whole = await sdk.completions.create(**asked)
        assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("This is a test.", "length")
        assert json.loads(rig.bodies[-1]) == asked
        rig.says("/completions", COMPLETION_STREAM)
        stream = await sdk.completions.create(model="gpt-3.5-turbo-instruct", prompt="Say", stream=True)
        chunks = [c async for c in stream]
        assert "".join(c.choices[0].text for c in chunks) == "This is a test."
        assert json.loads(rig.bodies[-1])["stream_options"] == {"include_usage": True}
    row = await rig.row("completions")
    assert (row["usage"]["input"], row["usage"]["output"], row["amount"]) == (5, 7, 22)  # 1.5 and 2 USD a million


@pytest.mark.parametrize(("model", "text"), [("gpt-4o", "hello"), ("c", "hallo")])
async def test_completions_by_models_of_conversation(rig: Rig, model: str, text: str) -> None:
    async with rig.openai() as sdk:
        rig.says("/chat/completions", CHAT_REPLY)
        rig.says("/messages", {**MESSAGE_REPLY, "content": MESSAGE_REPLY["content"][:1], "stop_reason": "max_tokens"})  # type: ignore[index]
        whole = await sdk.completions.create(model=model, prompt="Say", max_tokens=9, stop=["."], temperature=0)
        assert (whole.object, whole.model, whole.choices[0].text) == ("text_completion", model, text)
        assert whole.choices[0].finish_reason == ("length" if model == "c" else "stop")
        sent = json.loads(rig.bodies[-1])
        assert sent["messages"][0]["role"] == "user"
        assert sent.get("max_completion_tokens", sent.get("max_tokens")) == 9
        rig.says("/chat/completions", CHAT_STREAM)
        rig.says("/messages", MESSAGE_STREAM)
        options: Any = {"include_usage": True}
        chunks = [c async for c in await sdk.completions.create(model=model, prompt=["Say"], stream=True, stream_options=options)]
        assert "".join(c.choices[0].text for c in chunks if c.choices) == text
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == (5 if model == "c" else 3)
        # The vendor's own default, which a conversation would not have.
        sent = json.loads(rig.bodies[-1])
        assert sent.get("max_completion_tokens", sent.get("max_tokens")) == 16
        for name, value in {"echo": True, "suffix": "x", "logprobs": 1, "best_of": 3, "prompt": ["a", "b"]}.items():
            fields: dict[str, Any] = {"model": model, "prompt": "a", name: value}
            with pytest.raises(openai.BadRequestError, match=name):
                await sdk.completions.create(**fields)
        with pytest.raises(openai.BadRequestError, match="user_tier"):
            await sdk.completions.create(model=model, prompt="a", extra_body={"user_tier": 1})
        with pytest.raises(openai.BadRequestError, match="prompt"):
            await sdk.completions.create(model=model, prompt=[1, 2, 3])
    record = await rig.call("completions")
    assert record["operation"] == "completions"


def wav(seconds: int) -> bytes:
    """Silence: 16 bits, mono, 8 kHz."""
    size = seconds * 16_000
    head = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += b"\1\0\1\0" + (8000).to_bytes(4, "little") + (16_000).to_bytes(4, "little") + b"\2\0\x10\0"
    return head + b"data" + size.to_bytes(4, "little") + bytes(size)


def parts_of(head: bytes, body: bytes) -> dict[str, bytes]:
    """The parts of a form that a provider was sent, by name, read by the standard library."""
    import email.parser
    import email.policy

    kind = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-type"))
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(kind + b"\r\n\r\n" + body)
    return {str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True) for part in message.iter_parts()}  # type: ignore[misc]


# The reply objects of OpenAI's reference, shortened (https://platform.openai.com/docs/api-reference/audio).
TRANSCRIPT = {
    "text": "Hello there.",
    "usage": {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
        "output_tokens": 5,
        "total_tokens": 19,
    },
}
VERBOSE = {
    "task": "transcribe",
    "language": "english",
    "duration": 8.47,
    "text": "Hello there.",
    "usage": {"type": "duration", "seconds": 9},
}
SRT = b"1\n00:00:00,000 --> 00:00:03,320\nHello there.\n\n2\n00:00:03,320 --> 00:01:00,500\nBye.\n"
TRANSCRIPT_STREAM = sse(
    {"type": "transcript.text.delta", "delta": "Hello"},
    {"type": "transcript.text.delta", "delta": " there."},
    {"type": "transcript.text.done", **TRANSCRIPT},
)


async def test_transcriptions(rig: Rig) -> None:
    path = "/audio/transcriptions"
    async with rig.openai() as sdk:
        create = sdk.audio.transcriptions.create
        rig.says(path, TRANSCRIPT)
        heard = wav(2)
        found = await create(model="gpt-4o-transcribe", file=("../../etc/a b.wav", heard, "audio/wav"), prompt="who", language="en")
        assert found.text == "Hello there."
        sent = parts_of(rig.heads[-1], rig.bodies[-1])
        assert sent == {"model": b"gpt-4o-transcribe", "prompt": b"who", "language": b"en", "file": heard}
        assert b'filename="a b.wav"' in rig.bodies[-1]
        row = await rig.row("transcription")
        assert (row["usage"]["input"], row["usage"]["audio_input"], row["amount"]) == (14, 10, 4 * 2.5 + 10 * 6 + 5 * 10)
        rig.says(path, VERBOSE)
        verbose = await create(model="whisper-1", file=("a.wav", heard), response_format="verbose_json")
        assert verbose.duration == 8.47
        row = await rig.row("transcription")
        assert (row["usage"]["audio_ms"], row["amount"], row["prices"]) == (9000, 900, {"audio_hours": 360_000_000_000})
        for format, body, ms, cost in (
            ("srt", SRT, 60_500, 6050),
            ("vtt", b"WEBVTT\n\n" + SRT.replace(b",", b"."), 60_500, 6050),
            ("text", b"Hello there.\n", 2000, 200),
        ):
            rig.says(path, body, "text/plain; charset=utf-8")
            text: Any = await create(model="whisper-1", file=("a.wav", heard), response_format=format)  # type: ignore[call-overload]
            assert text == body.decode()
            row = await rig.row("transcription")
            assert (row["usage"]["audio_ms"], row["usage"]["estimated"], row["amount"]) == (ms, True, cost)
        rig.says(path, TRANSCRIPT_STREAM)
        stream = await create(model="gpt-4o-transcribe", file=("a.wav", heard), stream=True)
        events = [event async for event in stream]
        assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.delta", "transcript.text.done"]
        assert (await rig.row("transcription"))["amount"] == 120
        with pytest.raises(openai.BadRequestError, match="model"):
            await create(model="", file=("a.wav", heard))
        with pytest.raises(openai.NotFoundError):
            await create(model="nobody", file=("a.wav", heard))
    record = await rig.call("transcription")
    assert record["stream"] is False


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_translations(rig: Rig) -> None:
    rig.says("/audio/translations", {"text": "Hello."})
    async with rig.openai() as sdk:
        found = await sdk.audio.translations.create(model="whisper-1", file=("a.wav", wav(1)))
        assert found.text == "Hello."
        row = await rig.row("translation")
        # Nobody told how long it was; the file's head does.
        assert (row["usage"]["audio_ms"], row["usage"]["estimated"], row["amount"]) == (1000, True, 100)


async def test_a_large_recording_is_sent_on_while_it_arrives(rig: Rig) -> None:
    rig.says("/audio/transcriptions", TRANSCRIPT)
    heard = wav(300)
    async with rig.openai() as sdk:
        found = await sdk.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", heard))
        assert found.text == "Hello there."
    assert b"transfer-encoding: chunked" in rig.heads[-1].lower()
    assert parts_of(rig.heads[-1], rig.bodies[-1])["file"] == heard
    record = await rig.call("transcription")
    told = (await rig.house.ask("GET", f"/v1/calls/{record['id']}/payload"))["request"]
    assert hashlib.sha256(heard).hexdigest() in json.dumps(told)
    assert len(json.dumps(told)) < 2000


async def test_speech(rig: Rig) -> None:
    sound = bytes(range(256)) * 4096
    rig.says("/audio/speech", sound, "audio/mpeg")
    async with rig.openai() as sdk:
        async with sdk.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="Hello there.") as reply:
            assert reply.headers["content-type"] == "audio/mpeg"
            assert b"".join([piece async for piece in reply.iter_bytes()]) == sound
        row = await rig.row("speech")
        assert (row["usage"]["characters"], row["amount"]) == (12, 180)  # 15 USD a million characters
        record = await rig.call("speech")
        told = (await rig.house.ask("GET", f"/v1/calls/{record['id']}/payload"))["reply"]
        assert hashlib.sha256(sound).hexdigest() in json.dumps(told)
        usage = {"input_tokens": 4, "output_tokens": 50, "total_tokens": 54}
        events = sse({"type": "speech.audio.delta", "audio": "AAAA"}, {"type": "speech.audio.done", "usage": usage})
        rig.says("/audio/speech", events)
        streamed = await sdk.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="Hello", stream_format="sse")
        assert b"speech.audio.done" in streamed.content
        assert (await rig.row("speech"))["amount"] == 602  # 0.6 and 12 USD a million tokens


async def test_sound_that_breaks_off_is_no_complete_reply(rig: Rig) -> None:
    async def breaks(peer: Conversation, head: bytes, body: bytes) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 100000\r\n\r\n" + bytes(50_000))
        peer.abort()

    rig.answers["/audio/speech"] = breaks
    async with rig.openai() as sdk:
        with pytest.raises(openai.APIConnectionError):
            await sdk.audio.speech.create(model="tts-1", voice="alloy", input="Hello")
    assert (await rig.call("speech"))["error_code"] == "upstream_reset"
    assert (await rig.row("speech"))["status"] == "failed"


async def test_a_small_form_is_tried_again_and_a_large_one_is_not(rig: Rig) -> None:
    tries = 0

    async def busy(peer: Conversation, head: bytes, body: bytes) -> None:
        nonlocal tries
        tries += 1
        if tries % 2:
            await peer.json(b'{"error":{"message":"busy"}}', "503 Busy", b"retry-after-ms: 1\r\n")
        else:
            await peer.json(json.dumps(TRANSCRIPT).encode())

    rig.answers["/audio/transcriptions"] = busy
    async with rig.openai() as sdk:
        await sdk.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", wav(1)))
        assert tries == 2
        assert rig.bodies[-1] == rig.bodies[-2]
        with pytest.raises(openai.InternalServerError, match="busy"):
            await sdk.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", wav(300)))
        assert tries == 3


PICTURE = base64.b64encode(bytes(range(256)) * 600).decode()
# From https://platform.openai.com/docs/api-reference/images/object, shortened.
IMAGE_USAGE = {
    "total_tokens": 100,
    "input_tokens": 50,
    "output_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}
IMAGES = {"created": 1713833628, "data": [{"b64_json": PICTURE}], "output_format": "png", "size": "1024x1024", "usage": IMAGE_USAGE}


def image_events(kind: str) -> bytes:
    common = {"b64_json": PICTURE, "background": "auto", "created_at": 1, "output_format": "png", "quality": "high", "size": "1024x1024"}
    partial = {"type": f"{kind}.partial_image", "partial_image_index": 0, **common}
    return sse(partial, {"type": f"{kind}.completed", "usage": IMAGE_USAGE, **common})


async def test_images(rig: Rig) -> None:
    model = "gpt-image-1.5"
    # Text at 5 USD a million, pictures read at 8, pictures made at 32.
    cost = 10 * 5 + 40 * 8 + 50 * 32
    picture = base64.b64decode(PICTURE)
    digest = hashlib.sha256(PICTURE.encode()).hexdigest()
    async with rig.openai() as sdk:
        rig.says("/images/generations", IMAGES)
        made = await sdk.images.generate(model=model, prompt="a gate", size="1024x1024")
        assert made.data
        assert made.data[0].b64_json == PICTURE
        row = await rig.row("images")
        assert (row["usage"]["images"], row["usage"]["image_output"], row["amount"]) == (1, 50, cost)
        record = await rig.call("images")
        payload = json.dumps(await rig.house.ask("GET", f"/v1/calls/{record['id']}/payload"))
        assert digest in payload
        assert len(payload) < 3000
        rig.says("/images/generations", image_events("image_generation"))
        stream = await sdk.images.generate(model=model, prompt="a gate", stream=True, partial_images=1)
        assert [event.type async for event in stream] == ["image_generation.partial_image", "image_generation.completed"]
        assert (await rig.row("images"))["amount"] == cost

        rig.says("/images/edits", IMAGES)
        made = await sdk.images.edit(
            model=model, prompt="a pipe", image=[("a.png", picture), ("../b.png", picture)], mask=("m.png", picture)
        )
        sent = parts_of(rig.heads[-1], rig.bodies[-1])
        assert (sent["model"], sent["prompt"], sent["mask"]) == (model.encode(), b"a pipe", picture)
        assert rig.bodies[-1].count(picture) == 3
        assert b'filename="b.png"' in rig.bodies[-1]
        rig.says("/images/edits", image_events("image_edit"))
        stream = await sdk.images.edit(model=model, prompt="a pipe", image=("a.png", picture * 10), stream=True)
        assert [event.type async for event in stream] == ["image_edit.partial_image", "image_edit.completed"]
        record = await rig.call("images")
        assert record["stream"]
        payload = json.dumps(await rig.house.ask("GET", f"/v1/calls/{record['id']}/payload"))
        assert digest in payload
        assert hashlib.sha256(picture * 10).hexdigest() in payload

        # An older model, sold by the picture: no price is published, and that is said.
        rig.says("/images/generations", {"created": 1, "data": [{"url": "https://h/1.png"}, {"url": "https://h/2.png"}]})
        await sdk.images.generate(model="dall-e-3", prompt="a gate", n=2)
        row = await rig.row("images")
        assert (row["usage"]["images"], row["amount"], row["prices"]) == (2, 0, None)
        with pytest.raises(openai.BadRequestError, match="model"):
            await sdk.images.generate(prompt="x")
        with pytest.raises(openai.BadRequestError, match="image"):
            await sdk.images.edit(model=model, prompt="x", image=[])


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_image_variations_where_a_server_still_has_them(rig: Rig) -> None:
    rig.says("/images/variations", IMAGES)
    picture = base64.b64decode(PICTURE)
    async with rig.openai() as sdk:
        made = await sdk.images.create_variation(image=("a.png", picture), model="own/sd", n=2)
        assert made.data
        assert parts_of(rig.heads[-1], rig.bodies[-1]) == {"model": b"sd", "n": b"2", "image": picture}
        with pytest.raises(openai.NotFoundError, match="oai serves no images"):
            await sdk.images.create_variation(image=("a.png", picture), model="dall-e-2")


async def test_recordings_hold_forms_sound_and_pictures(rig: Rig, tmp_path: Path) -> None:
    providers = f"""[gateway.providers.recorder]
profile = "recording"
records = "oai"
file = "{tmp_path}/all.jsonl"
"""
    heard, picture = wav(1), base64.b64decode(PICTURE)
    recording = Penstock(tmp_path / "recording", "[gateway]" + rig.house.config.read_text().partition("[gateway]")[2] + providers)
    rig.says("/audio/speech", b"sound", "audio/mpeg")
    rig.says("/images/edits", IMAGES)
    replaying = Penstock(
        tmp_path / "replaying",
        "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
        f'[gateway.providers.oai]\nprofile = "replay"\nfile = "{tmp_path}/all.jsonl"\nspeed = 0.0\n',
    )

    async def everything(house: Penstock, name: str, *, live: bool) -> list[object]:
        async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.admin, max_retries=0) as sdk:
            said: list[object] = []
            for stream in (False, True):
                if live:
                    rig.says("/audio/transcriptions", TRANSCRIPT_STREAM if stream else TRANSCRIPT)
                found: Any = await sdk.audio.transcriptions.create(model=f"{name}gpt-4o-transcribe", file=("a.wav", heard), stream=stream)  # type: ignore[call-overload]
                said.append([event.type async for event in found] if stream else found.text)
            said.append((await sdk.audio.speech.create(model=f"{name}tts-1", voice="alloy", input="Hello")).content)
            edited = await sdk.images.edit(model=f"{name}gpt-image-1.5", prompt="a", image=("a.png", picture))
            said.append(edited.data[0].b64_json if edited.data else None)
            if not live:
                with pytest.raises(openai.NotFoundError, match="holds no reply"):
                    await sdk.audio.transcriptions.create(model=f"{name}gpt-4o-transcribe", file=("a.wav", wav(2)))
            return said

    await recording.start()
    try:
        first = await everything(recording, "recorder/", live=True)
    finally:
        assert await recording.terminate() == 0
    assert heard not in (tmp_path / "all.jsonl").read_bytes()
    await replaying.start()
    try:
        assert await everything(replaying, "", live=False) == first
    finally:
        assert await replaying.terminate() == 0
    assert first[2] == b"sound"

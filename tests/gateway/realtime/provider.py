"""A provider of realtime sessions over a real socket, which speaks OpenAI's published events.

The events are written by hand after https://platform.openai.com/docs/api-reference/realtime-server-events and the guide's examples
(https://platform.openai.com/docs/guides/realtime-conversations), shortened to the fields that are always there.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Script = Callable[["Talk"], Awaitable[None]]

SOUND = base64.b64encode(b"\0\1" * 4800).decode()
"""200 ms of 24 kHz PCM."""


def session(**more: Any) -> dict[str, Any]:
    """``session.created``."""
    audio: dict[str, Any] = {
        "input": {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": {"model": "whisper-1"}},
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"},
    }
    told = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "gpt-realtime", "audio": audio, **more}
    return {"type": "session.created", "event_id": "event_1", "session": told}


def done(id: str = "resp_1", *, used: dict[str, Any] | None = None, status: str = "completed") -> dict[str, Any]:
    """``response.done`` with the usage of the reference's example."""
    usage = {
        "total_tokens": 275,
        "input_tokens": 127,
        "output_tokens": 148,
        "input_token_details": {
            "cached_tokens": 64,
            "text_tokens": 119,
            "audio_tokens": 8,
            "image_tokens": 0,
            "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": 36, "audio_tokens": 112},
    }
    said = {
        "id": "item_2",
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_audio", "transcript": "Hello there."}],
    }
    response = {"object": "realtime.response", "id": id, "status": status, "output": [said], "usage": usage if used is None else used}
    return {"type": "response.done", "event_id": "event_9", "response": response}


def created(id: str = "resp_1") -> dict[str, Any]:
    """``response.created``."""
    response: dict[str, Any] = {"object": "realtime.response", "id": id, "status": "in_progress", "output": []}
    return {"type": "response.created", "event_id": "event_5", "response": response}


class Talk:
    """One session: what the client's side sent, and what to answer."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection

    @property
    def path(self) -> str:
        """Of the request, with its query."""
        assert self.connection.request is not None
        return self.connection.request.path

    def header(self, name: str) -> str | None:
        assert self.connection.request is not None
        return self.connection.request.headers.get(name)

    async def say(self, *events: dict[str, Any]) -> None:
        for event in events:
            await self.connection.send(json.dumps(event))

    async def hear(self, kind: str = "") -> dict[str, Any]:
        """The next event of the client's, or the next of that type."""
        while True:
            event: dict[str, Any] = json.loads(await self.connection.recv())
            if not kind or event["type"] == kind:
                return event

    async def answer(self, id: str = "resp_1") -> None:
        """One response, spoken: the events in their order."""
        about = {"response_id": id, "item_id": "item_2", "output_index": 0, "content_index": 0}
        await self.say(
            created(id),
            {"type": "response.output_audio.delta", "event_id": "event_6", **about, "delta": SOUND},
            {"type": "response.output_audio_transcript.delta", "event_id": "event_7", **about, "delta": "Hello there."},
            {"type": "response.output_audio.done", "event_id": "event_8", **about},
            done(id),
            {
                "type": "rate_limits.updated",
                "event_id": "event_10",
                "rate_limits": [{"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60}],
            },
        )


class Provider:
    """Where it listens, and the sessions that it has had. ``script`` plays each; ``declines`` answers instead of it."""

    def __init__(self) -> None:
        self.port = 0
        self.talks: list[Talk] = []
        self.ended = asyncio.Event()
        self.script: Script = answering
        self.declines: tuple[int, bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def handle(self, connection: ServerConnection) -> None:
        talk = Talk(connection)
        self.talks.append(talk)
        try:
            await self.script(talk)
        except ConnectionClosed:
            pass
        finally:
            await connection.wait_closed() if connection.close_code is not None else None
            self.ended.set()

    async def decide(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.declines is None:
            return None
        status, body = self.declines
        answer = connection.respond(status, body.decode())
        answer.headers["retry-after"] = "7"
        return answer


async def answering(talk: Talk) -> None:
    """Answer every ``response.create``, until the client leaves."""
    await talk.say(session())
    number = 0
    while True:
        event = await talk.hear()
        if event["type"] == "session.update":
            await talk.say({"type": "session.updated", "event_id": "event_2", "session": {**session()["session"], **event["session"]}})
        elif event["type"] == "input_audio_buffer.commit":
            await talk.say({"type": "input_audio_buffer.committed", "event_id": "event_3", "item_id": "item_1", "previous_item_id": None})
        elif event["type"] == "response.create":
            number += 1
            await talk.answer(f"resp_{number}")


@asynccontextmanager
async def providing() -> AsyncGenerator[Provider]:
    """A provider on a free loopback port."""
    provider = Provider()
    server = await serve(provider.handle, "127.0.0.1", 0, max_size=None, compression=None, process_request=provider.decide)
    try:
        provider.port = next(iter(server.sockets)).getsockname()[1]
        yield provider
    finally:
        server.close()
        await server.wait_closed()

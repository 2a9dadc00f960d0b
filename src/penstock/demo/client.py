"""The demo's applications: they speak the vendors' APIs to Penstock, and note what they hear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import msgspec

from penstock.demo.asks import CHAT, EMBEDDINGS, MESSAGES, RESPONSES, Ask

PATHS: Mapping[str, str] = {
    CHAT: "/v1/chat/completions",
    RESPONSES: "/v1/responses",
    MESSAGES: "/v1/messages",
    EMBEDDINGS: "/v1/embeddings",
}
FORGED_KEY = "psk_this-key-was-never-made-by-anybody-at-all-0000000000"
PATIENCE_SECONDS = 120.0


class Heard(msgspec.Struct, kw_only=True):
    """What came back for one ask. ``call`` is the id that Penstock gave it; ``complete`` whether the reply was heard to its end.

    ``input`` and ``output`` are the tokens that the reply reported, ``cost`` the micro-units that Penstock named in a header of a whole
    reply.
    """

    ask: Ask
    status: int = 0
    call: str = ""
    text: str = ""
    code: str = ""
    input: int | None = None
    output: int | None = None
    cost: int | None = None
    vectors: int = 0
    dimensions: int = 0
    complete: bool = False
    seconds: float = 0.0


class Applications:
    """Makes the asks with the keys of the organisation. Use as an async context manager."""

    def __init__(self, url: str, keys: Mapping[str, str]) -> None:
        self._url = url
        self._keys = {**keys, "forged": FORGED_KEY}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Applications:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS), auto_decompress=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def ask(self, ask: Ask) -> Heard:
        """Make one call and hear it to its end, or leave it as the ask says. Transport faults are raised as aiohttp raises them."""
        assert self._session is not None
        heard = Heard(ask=ask)
        started = time.perf_counter()
        async with self._session.post(self._url + PATHS[ask.shape], json=body_of(ask), headers=self._headers(ask)) as response:
            heard.status = response.status
            heard.call = response.headers.get("x-request-id", "")
            cost = response.headers.get("x-penstock-cost-micros")
            heard.cost = int(cost) if cost is not None else None
            if response.status == 200 and ask.stream:
                await self._stream(ask, heard, response)
            else:
                whole(heard, await response.read())
        heard.seconds = time.perf_counter() - started
        return heard

    async def _stream(self, ask: Ask, heard: Heard, response: aiohttp.ClientResponse) -> None:
        reader = StreamReader(heard)
        async for event in events(response.content.iter_any()):
            reader.take(event)
            if ask.cancel and reader.begun:
                response.close()  # the user closed the window
                break
        heard.text = reader.text()

    def _headers(self, ask: Ask) -> dict[str, str]:
        headers = {"traceparent": ask.traceparent}
        key = self._keys[ask.key] if ask.key else None
        if key is not None:
            headers.update({"x-api-key": key} if ask.shape == MESSAGES else {"authorization": f"Bearer {key}"})
        if ask.shape == MESSAGES:
            headers["anthropic-version"] = "2023-06-01"
        if ask.labels:
            headers["x-penstock-labels"] = ", ".join(f"{name}={value}" for name, value in ask.labels.items())
        return headers


def body_of(ask: Ask) -> dict[str, Any]:
    """The request's body in the shape of its API."""
    if ask.shape == EMBEDDINGS:
        return {"model": ask.model, "input": [ask.text]}
    body: dict[str, Any] = {"model": ask.model}
    if ask.shape == RESPONSES:
        body["input"] = ask.text
    else:
        body["messages"] = [{"role": "user", "content": ask.text}]
    if ask.max_tokens is not None:
        body["max_output_tokens" if ask.shape == RESPONSES else "max_tokens"] = ask.max_tokens
    if ask.stream:
        body["stream"] = True
        if ask.shape == CHAT:
            body["stream_options"] = {"include_usage": True}
    return body


def whole(heard: Heard, data: bytes) -> None:
    """Note what a whole reply, or an error, says."""
    said = msgspec.json.decode(data)
    if heard.status != 200:
        error: dict[str, Any] = said.get("error") or {}
        heard.code = error.get("code") or error.get("type") or ""
        return
    shape = heard.ask.shape
    if shape == CHAT:
        heard.text = "".join(choice["message"]["content"] or "" for choice in said["choices"])
    elif shape == MESSAGES:
        heard.text = "".join(part["text"] for part in said["content"] if part["type"] == "text")
    elif shape == RESPONSES:
        parts = [part for item in said["output"] if item["type"] == "message" for part in item["content"]]
        heard.text = "".join(part["text"] for part in parts if part["type"] == "output_text")
    else:
        heard.vectors = len(said["data"])
        heard.dimensions = len(said["data"][0]["embedding"])
    _usage(heard, said.get("usage"))
    heard.complete = True


class StreamReader:
    """Follows a stream event by event, in the shape of its API."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._parts: list[str] = []

    def take(self, data: bytes) -> None:
        """One event's data."""
        heard, shape = self._heard, self._heard.ask.shape
        if data == b"[DONE]":
            heard.complete = shape == CHAT
            return
        event = msgspec.json.decode(data)
        if shape == CHAT:
            for choice in event.get("choices", ()):
                self._parts.append(choice.get("delta", {}).get("content") or "")
            _usage(heard, event.get("usage"))
        elif shape == MESSAGES:
            if event["type"] == "message_start":
                _usage(heard, event["message"].get("usage"))
            elif event["type"] == "content_block_delta":
                self._parts.append(event["delta"].get("text", ""))
            elif event["type"] == "message_delta":
                _usage(heard, event.get("usage"))
            heard.complete = event["type"] == "message_stop"
        else:
            if event["type"] == "response.output_text.delta":
                self._parts.append(event["delta"])
            elif event["type"] == "response.completed":
                _usage(heard, event["response"].get("usage"))
            heard.complete = event["type"] == "response.completed"
        if event.get("error"):
            heard.code = event["error"].get("code") or event["error"].get("type") or "error"

    @property
    def begun(self) -> bool:
        """Whether some text has come."""
        return any(self._parts)

    def text(self) -> str:
        """All text so far."""
        return "".join(self._parts)


def _usage(heard: Heard, usage: Mapping[str, Any] | None) -> None:
    for name in ("prompt_tokens", "input_tokens"):
        if usage and usage.get(name) is not None:
            heard.input = usage[name]
    for name in ("completion_tokens", "output_tokens"):
        if usage and usage.get(name) is not None:
            heard.output = usage[name]


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of each server-sent event, however the bytes are cut."""
    rest = b""
    async for chunk in chunks:
        rest = (rest + chunk).replace(b"\r\n", b"\n")
        while (end := rest.find(b"\n\n")) >= 0:
            block, rest = rest[:end], rest[end + 2 :]
            data = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
            if data:
                yield b"\n".join(data)


async def make_all(applications: Applications, asks: list[Ask], *, at_once: int, told: Any = None) -> list[Heard]:
    """Make all asks, ``at_once`` of them at a time; those of one group one after the other. ``told`` hears of each reply.

    A connection that broke is heard as status 0 with the reason as its code.
    """
    alone = [ask for ask in asks if not ask.group]
    groups = [[ask for ask in asks if ask.group == name] for name in dict.fromkeys(a.group for a in asks if a.group)]
    door = asyncio.Semaphore(at_once)
    heard: list[Heard] = []

    async def one(ask: Ask) -> None:
        async with door:
            try:
                reply = await applications.ask(ask)
            except (aiohttp.ClientError, TimeoutError) as fault:
                # Heard as a reply without a status, so that it is judged with the others instead of ending them.
                reply = Heard(ask=ask, code=f"no reply: {type(fault).__name__}")
        heard.append(reply)
        if told is not None:
            told(reply)

    async def in_order(group: list[Ask]) -> None:
        for ask in group:
            await one(ask)

    async with asyncio.TaskGroup() as tasks:
        for ask in alone:
            tasks.create_task(one(ask))
        for group in groups:
            tasks.create_task(in_order(group))
    return sorted(heard, key=lambda reply: reply.ask.number)

"""A provider that behaves as a model does: it calls the tool that it is offered, uses the result, and answers in JSON when asked to.

It speaks OpenAI's chat completions and embeddings, Anthropic's messages, Gemini's contents, and Cohere's and Jina's reranking, whole and
streamed, and keeps what it was asked.
"""

from __future__ import annotations

import json
from typing import Any

from tests.compatibility import gemini
from tests.gateway.upstream import Conversation

CITY = {"city": "Delft"}
WEATHER = "It rains in Delft."
PERSON = {"name": "Ada", "age": 36}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""One transparent pixel."""


class Model:
    """What was asked so far, and how it is answered."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def serve(self, peer: Conversation) -> None:
        """Answer every request of one connection."""
        while True:
            await self.answer(peer, *await peer.request())

    async def answer(self, peer: Conversation, head: bytes, body: bytes) -> None:
        """Answer one request."""
        path = head.split(b" ")[1]
        if path.endswith((b"/transcriptions", b"/translations")):  # forms
            await peer.json(b'{"text": "hello", "usage": {"type": "duration", "seconds": 1}}')
            return
        if path.endswith(b"/speech"):
            await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 4\r\n\r\nID3\x03")
            return
        if b"/images/" in path:
            await peer.json(b'{"created": 1, "data": [{"b64_json": "AAAA"}]}')
            return
        asked: dict[str, Any] = json.loads(body) if body else {}
        self.asked.append(asked)
        if path.startswith(b"/v1beta/"):
            method = path.partition(b"?")[0].rpartition(b":")[2].decode()
            await gemini.answer(peer, method, asked, _text, PERSON, CITY)
        elif path.endswith(b"/embeddings"):
            await peer.json(json.dumps(_embeddings(asked)).encode())
        elif path.endswith(b"/count_tokens"):
            await peer.json(b'{"input_tokens": 11}')
        elif path.endswith(b"/v2/rerank"):
            await peer.json(json.dumps(_ranked(asked, {"meta": {"billed_units": {"search_units": 1}}})).encode())
        elif path.endswith(b"/rerank"):
            await peer.json(json.dumps(_ranked(asked, {"model": asked["model"], "usage": {"total_tokens": 23}})).encode())
        elif path.endswith(b"/messages"):
            await _send(peer, _message(asked), asked, _message_events)
        elif path.endswith(b"/moderations"):
            await peer.json(b'{"id": "modr-1", "model": "m", "results": [{"flagged": false, "categories": {}, "category_scores": {}}]}')
        elif "messages" not in asked:
            text = {"text": "hello", "index": 0, "finish_reason": "stop", "logprobs": None}
            old = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [text]}
            await _send(peer, old, asked, lambda reply: [b"data: %s\n\n" % json.dumps(reply).encode(), b"data: [DONE]\n\n"])
        else:
            await _send(peer, _completion(asked), asked, _completion_events)


async def _send(peer: Conversation, reply: dict[str, Any], asked: dict[str, Any], events: Any) -> None:
    if not asked.get("stream"):
        await peer.json(json.dumps(reply).encode())
        return
    out = b"".join(events(reply))
    await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(out), out))


def _text(schema: bool, used_tool: bool, sees_image: bool) -> str:
    if schema:
        return json.dumps(PERSON)
    if used_tool:
        return WEATHER
    return "I see a pixel." if sees_image else "Hello there."


def _completion(asked: dict[str, Any]) -> dict[str, Any]:
    messages = asked["messages"]
    used = any(m["role"] == "tool" for m in messages)
    names = [t["function"]["name"] for t in asked.get("tools", ())]
    image = any(isinstance(m.get("content"), list) and any(p["type"] == "image_url" for p in m["content"]) for m in messages)
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if names and not used:
        arguments = PERSON if "weather" not in names else CITY
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": {"name": names[0], "arguments": json.dumps(arguments)}}]
    else:
        message["content"] = _text("response_format" in asked, used, image)
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": asked["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    }


def _completion_events(reply: dict[str, Any]) -> list[bytes]:
    choice = reply["choices"][0]
    head = {"id": reply["id"], "object": "chat.completion.chunk", "created": 1, "model": reply["model"]}

    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return b"data: " + json.dumps({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"

    out = [event({"role": "assistant", "content": ""})]
    for number, call in enumerate(choice["message"].get("tool_calls", ())):
        out.append(event({"tool_calls": [{**call, "index": number}]}))
    out += [event({"content": word + " "}) for word in (choice["message"]["content"] or "").split()]
    out.append(event({}, choice["finish_reason"]))
    out.append(b"data: " + json.dumps({**head, "choices": [], "usage": reply["usage"]}).encode() + b"\n\n")
    return [*out, b"data: [DONE]\n\n"]


def _message(asked: dict[str, Any]) -> dict[str, Any]:
    blocks = [b for m in asked["messages"] if isinstance(m["content"], list) for b in m["content"]]
    used = any(b["type"] == "tool_result" for b in blocks)
    image = any(b["type"] == "image" for b in blocks)
    names = [t["name"] for t in asked.get("tools", ())]
    if names and not used:
        content = [{"type": "tool_use", "id": "toolu_1", "name": names[0], "input": PERSON if "weather" not in names else CITY}]
    else:
        content = [{"type": "text", "text": _text("output_config" in asked or "output_format" in asked, used, image)}]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": content,
        "stop_reason": "tool_use" if content[0]["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 3},
    }


def _message_events(reply: dict[str, Any]) -> list[bytes]:
    def event(body: dict[str, Any]) -> bytes:
        return f"event: {body['type']}\ndata: {json.dumps(body)}\n\n".encode()

    block = reply["content"][0]
    if block["type"] == "tool_use":
        empty = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    else:
        empty = {**block, "text": ""}
        deltas = [{"type": "text_delta", "text": word + " "} for word in block["text"].split()]
    return [
        event({"type": "message_start", "message": {**reply, "content": [], "stop_reason": None}}),
        event({"type": "content_block_start", "index": 0, "content_block": empty}),
        *(event({"type": "content_block_delta", "index": 0, "delta": delta}) for delta in deltas),
        event({"type": "content_block_stop", "index": 0}),
        event(
            {"type": "message_delta", "delta": {"stop_reason": reply["stop_reason"], "stop_sequence": None}, "usage": {"output_tokens": 3}}
        ),
        event({"type": "message_stop"}),
    ]


def _ranked(asked: dict[str, Any], counted: dict[str, Any]) -> dict[str, Any]:
    """The last document first, in the words of Cohere and of Jina."""
    order = list(reversed(range(len(asked["documents"]))))[: asked.get("top_n")]
    return {
        "id": "r1",
        "results": [{"index": n, "relevance_score": round(0.9 - place / 10, 2)} for place, n in enumerate(order)],
        **counted,
    }


def _embeddings(asked: dict[str, Any]) -> dict[str, Any]:
    import base64
    import struct

    given = asked["input"] if isinstance(asked["input"], list) and not isinstance(asked["input"][0], int) else [asked["input"]]
    vector: Any = [0.5, 1.0]
    if asked.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
    return {
        "object": "list",
        "model": asked["model"],
        "data": [{"object": "embedding", "index": n, "embedding": vector} for n in range(len(given))],
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }

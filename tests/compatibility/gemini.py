"""The model of `provider` as Gemini's API shows it: contents whole and streamed, counts, embeddings, its list of models."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.gateway.upstream import Conversation

SIGNATURE = "CiEBjz1rX0ilumvP+g/k0g=="


async def answer(peer: Conversation, method: str, asked: dict[str, Any], text: Any, person: dict[str, Any], city: dict[str, Any]) -> None:
    """Answer one request to ``method``; ``text`` says what is said, ``person`` and ``city`` are arguments of calls."""
    try:
        await _answer(peer, method, _camel(asked), text, person, city)
    except (KeyError, TypeError, AttributeError):  # no request of this API
        fault = {"code": 400, "message": "Invalid JSON payload received.", "status": "INVALID_ARGUMENT"}
        await peer.json(json.dumps({"error": fault}).encode(), "400 Bad Request")


async def _answer(peer: Conversation, method: str, asked: dict[str, Any], text: Any, person: dict[str, Any], city: dict[str, Any]) -> None:
    if method == "countTokens":
        await peer.json(b'{"totalTokens": 11}')
    elif method == "embedContent":
        await peer.json(b'{"embedding": {"values": [0.5, 1.0]}}')
    elif method == "batchEmbedContents":
        await peer.json(json.dumps({"embeddings": [{"values": [0.5, 1.0]} for _ in asked["requests"]]}).encode())
    elif not all(part.get("thoughtSignature") for content in asked["contents"] for part in content["parts"] if "functionCall" in part):
        # As Gemini 3 does: a call in the history must carry what it was given along.
        fault = {"code": 400, "message": "Function call is missing a thought_signature.", "status": "INVALID_ARGUMENT"}
        await peer.json(json.dumps({"error": fault}).encode(), "400 Bad Request")
    elif method == "streamGenerateContent":
        out = b"".join(_event(one) for one in _pieces(_reply(asked, text, person, city)))
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(out), out))
    else:
        await peer.json(json.dumps(_reply(asked, text, person, city)).encode())


def _camel(value: Any) -> Any:
    """Fields by their one name: Google takes ``mime_type`` as ``mimeType``, and its SDK sends both kinds."""
    if isinstance(value, dict):
        return {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): _camel(one) for name, one in value.items()}
    return [_camel(one) for one in value] if isinstance(value, list) else value


def _reply(asked: dict[str, Any], text: Any, person: dict[str, Any], city: dict[str, Any]) -> dict[str, Any]:
    parts = [part for content in asked["contents"] for part in content["parts"]]
    used = any("functionResponse" in part for part in parts)
    image = any(part.get("inlineData", {}).get("mimeType", "").startswith("image/") for part in parts)
    names = [one["name"] for tool in asked.get("tools", ()) for one in tool.get("functionDeclarations", ())]
    schema = asked.get("generationConfig", {}).get("responseMimeType") == "application/json"
    said: list[dict[str, Any]] = []
    if asked.get("generationConfig", {}).get("thinkingConfig", {}).get("includeThoughts"):
        said.append({"text": "Let me think.", "thought": True})
    if names and not used:
        arguments = person if "weather" not in names else city
        said.append({"functionCall": {"name": names[0], "args": arguments}, "thoughtSignature": SIGNATURE})
    else:
        said.append({"text": text(schema, used, image)})
    return {
        "candidates": [{"content": {"parts": said, "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12},
        "modelVersion": "g",
        "responseId": "r1",
    }


def _pieces(reply: dict[str, Any]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for part in reply["candidates"][0]["content"]["parts"]:
        words = part["text"].split() if "text" in part else []
        for piece in [{**part, "text": word + " "} for word in words] or [part]:
            out.append({**reply, "candidates": [{"content": {"parts": [piece], "role": "model"}, "index": 0}]})
    out[-1]["candidates"][0]["finishReason"] = "STOP"
    return out


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\r\n\r\n"

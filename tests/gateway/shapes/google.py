"""Bodies of Gemini's, made by hand after Google's own pages, and what becomes of them for others.

https://ai.google.dev/api/generate-content is the reference for all of them; the tests name the page that each sample comes from.
"""

from __future__ import annotations

import json
from typing import Any

from penstock.gateway.shapes import SHAPES, chat
from penstock.gateway.shapes.shape import Dialect

CHAT, CLAUDE, GEMINI = (chat(SHAPES[name]) for name in ("openai.chat", "anthropic.messages", "google.generate"))
USAGE = {"promptTokenCount": 25, "candidatesTokenCount": 7, "totalTokenCount": 32}


def asked(body: dict[str, Any], to: Any = CHAT, **dialect: Any) -> dict[str, Any]:
    """What a provider is sent for a request of Gemini's."""
    fields, _ = GEMINI.read(json.dumps(body).encode())
    found: dict[str, Any] = json.loads(
        to.encode_request(GEMINI.decode_request(fields), model="m", stream=False, dialect=Dialect(**dialect))
    )
    return found


def said(body: dict[str, Any], to: Any = CHAT) -> dict[str, Any]:
    """What a client gets for a reply of Gemini's."""
    found: dict[str, Any] = json.loads(to.encode_reply(GEMINI.decode_reply(json.dumps(body).encode()), model="m"))
    return found


def reply(*parts: dict[str, Any], finish: str = "STOP", **more: Any) -> dict[str, Any]:
    """A reply of one candidate."""
    one = {"content": {"parts": list(parts), "role": "model"}, "finishReason": finish, "index": 0}
    return {"candidates": [one], "usageMetadata": USAGE, "modelVersion": "gemini-2.5-flash", "responseId": "r-1", **more}

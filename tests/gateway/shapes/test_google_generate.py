"""Gemini's contents and counts on their way through: bytes stay, the address is the path's."""

from __future__ import annotations

import json

import pytest
from tests.gateway.shapes.google import GEMINI

from penstock.gateway.shapes import SHAPES


def test_unknown_fields_pass_through_byte_for_byte_without_the_address() -> None:
    raw = (
        b'{"contents":[ {"parts":{"text":"\\u00e9"}} ],"made_up":{"a":[1.50, 1e2 ,"\\/"]},"generation_config":{"x":1.0},"model":"models/x"}'
    )
    fields, head = GEMINI.read(raw)
    assert (head.model, head.stream) == ("", False)
    out = GEMINI.upstream_body(fields, model="theirs", stream=True, want_usage=True)
    for piece in (b'[ {"parts":{"text":"\\u00e9"}} ]', b'{"a":[1.50, 1e2 ,"\\/"]}', b'{"x":1.0}'):
        assert piece in out
    assert b"model" not in out


def test_caps_are_known_under_both_names() -> None:
    for config in (
        {"generationConfig": {"maxOutputTokens": 7, "candidateCount": 2}},
        {"generation_config": {"max_output_tokens": 7, "candidate_count": 2}},
    ):
        _, head = GEMINI.read(json.dumps({"contents": [], **config}).encode())
        assert (head.max_output, head.n) == (7, 2)


@pytest.mark.parametrize("name", ["google.count_tokens", "anthropic.count_tokens"])
def test_counting_asks_the_same_of_the_other(name: str) -> None:
    gemini, claude = SHAPES["google.count_tokens"], SHAPES["anthropic.count_tokens"]
    whole = {
        "generateContentRequest": {
            "model": "models/x",
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [{"parts": [{"text": "hi"}]}],
        }
    }
    said_by_claude = {"model": "m", "system": "Be brief.", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
    start, body, other = (gemini, whole, claude) if name.startswith("google") else (claude, said_by_claude, gemini)
    fields, _ = start.read(json.dumps(body).encode())
    sent = json.loads(other.encode_request(start.decode_request(fields), model="m"))  # type: ignore[attr-defined]
    if name.startswith("google"):
        assert sent == said_by_claude
        assert json.loads(start.encode_reply(other.decode_reply(b'{"input_tokens": 31}'))) == {"totalTokens": 31}  # type: ignore[attr-defined]
        inner = json.loads(start.upstream_body(fields, model="theirs", stream=False, want_usage=False))["generateContentRequest"]
        assert inner["model"] == "models/theirs"
    else:
        assert sent["generateContentRequest"]["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]
        assert sent["generateContentRequest"]["model"] == "models/m"
        assert json.loads(start.encode_reply(other.decode_reply(b'{"totalTokens": 31}'))) == {"input_tokens": 31}  # type: ignore[attr-defined]

"""Requests of other shapes in Gemini's words."""

from __future__ import annotations

import json

import pytest
from tests.gateway.shapes.google import CHAT, GEMINI

from penstock.gateway.shapes.shape import Dialect


def test_a_call_that_nobody_signed_gets_googles_stand_in_where_one_is_wanted() -> None:
    # https://ai.google.dev/gemini-api/docs/thought-signatures (FAQ: transferring a history from another model)
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = {"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "t", "content": "x"}]}
    request = CHAT.decode_request(CHAT.read(json.dumps(body).encode())[0])
    for stand_in in (None, "skip_thought_signature_validator"):
        sent = json.loads(GEMINI.encode_request(request, model="m", stream=False, dialect=Dialect(unsigned_call=stand_in)))
        assert sent["contents"][0]["parts"][0].get("thoughtSignature") == stand_in


@pytest.mark.parametrize(
    ("effort", "budget", "level"), [("low", 1024, "low"), ("medium", 8192, "medium"), ("high", 24576, "high"), ("xhigh", 24576, "high")]
)
def test_efforts_become_budgets_or_levels(effort: str, budget: int, level: str) -> None:
    # https://ai.google.dev/gemini-api/docs/openai#thinking
    request = CHAT.decode_request(CHAT.read(json.dumps({"model": "m", "messages": [], "reasoning_effort": effort}).encode())[0])
    for dialect, expected in ((Dialect(), {"thinkingBudget": budget}), (Dialect(thinking_levels=True), {"thinkingLevel": level})):
        sent = json.loads(GEMINI.encode_request(request, model="m", stream=False, dialect=dialect))
        assert sent["generationConfig"]["thinkingConfig"] == {**expected, "includeThoughts": True}

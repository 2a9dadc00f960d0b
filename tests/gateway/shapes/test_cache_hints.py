"""Hints to a vendor's own prompt cache reach it: as they are in its own API, translated where another has a counterpart."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from penstock.gateway.shapes import SHAPES, chat
from penstock.gateway.shapes.shape import PLAIN
from penstock.gateway.translation import translate

MARKED = {"type": "text", "text": "a long document", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
ANTHROPIC = {"model": "m", "max_tokens": 9, "system": [MARKED], "messages": [{"role": "user", "content": [MARKED]}]}
OPENAI = {"model": "m", "messages": [{"role": "user", "content": "x"}], "prompt_cache_key": "k", "prompt_cache_retention": "24h"}
RESPONSES = {"model": "m", "input": "x", "prompt_cache_key": "k", "prompt_cache_retention": "24h"}
GOOGLE = {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "cachedContent": "cachedContents/one"}


@pytest.mark.parametrize(
    ("shape", "body"),
    [("anthropic.messages", ANTHROPIC), ("openai.chat", OPENAI), ("openai.responses", RESPONSES), ("google.generate", GOOGLE)],
)
def test_in_its_own_api_a_hint_passes_as_it_is(shape: str, body: dict[str, Any]) -> None:
    known = SHAPES[shape]
    fields, _ = known.read(json.dumps(body).encode())
    sent = json.loads(known.upstream_body(fields, model="m", stream=False, want_usage=False))
    assert {name: sent[name] for name in body if name != "model"} == {name: value for name, value in body.items() if name != "model"}


def test_marks_survive_the_normal_form() -> None:
    known = chat(SHAPES["anthropic.messages"])
    fields = msgspec.json.decode(json.dumps(ANTHROPIC), type=dict[str, msgspec.Raw])
    sent = json.loads(known.encode_request(known.decode_request(fields), model="m", stream=False))
    assert sent["system"][0]["cache_control"] == MARKED["cache_control"]
    assert sent["messages"][0]["content"][0]["cache_control"] == MARKED["cache_control"]


def test_responses_say_it_to_providers_of_chat_completions() -> None:
    fields = msgspec.json.decode(json.dumps(RESPONSES), type=dict[str, msgspec.Raw])
    made = translate(SHAPES["openai.responses"], SHAPES["openai.chat"], fields, model="m", stream=False, dialect=PLAIN)
    assert json.loads(made.body)["prompt_cache_key"] == "k"


@pytest.mark.parametrize(
    ("shape", "wire", "body"), [("anthropic.messages", "openai.chat", ANTHROPIC), ("openai.chat", "anthropic.messages", OPENAI)]
)
def test_where_there_is_no_counterpart_the_call_is_served_without(shape: str, wire: str, body: dict[str, Any]) -> None:
    fields = msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])
    made = translate(SHAPES[shape], SHAPES[wire], fields, model="m", stream=False, dialect=PLAIN)
    assert b"cache_control" not in made.body
    assert b"prompt_cache" not in made.body

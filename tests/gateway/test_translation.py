"""A request of one shape, asked of a provider that speaks another, and its reply: for every operation that has two shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.gateway.shapes import SHAPES
from penstock.gateway.shapes.shape import PLAIN
from penstock.gateway.translation import Translation, one_call_only, translate
from penstock.kernel.call import Usage
from penstock.kernel.errors import NotExpressible, UpstreamMalformed
from penstock.kernel.messages import ArgumentsDelta, Delta, Finish, PartEnd, ToolBegin


def translated(shape: str, body: dict[str, Any], spoken: str) -> Translation:
    fields, _ = SHAPES[shape].read(json.dumps(body).encode())
    return translate(SHAPES[shape], SHAPES[spoken], fields, model="theirs", stream=False, dialect=PLAIN)


def test_a_conversation() -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "user": "u"}
    found = translated("openai.chat", asked, "google.generate")
    assert json.loads(found.body) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    assert found.dropped == ["user"]
    reply = {"candidates": [{"content": {"parts": [{"text": "hello"}]}, "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 2}}
    body, usage = found.reply(json.dumps(reply).encode(), model="ours")
    assert (json.loads(body)["model"], json.loads(body)["choices"][0]["message"]["content"]) == ("ours", "hello")
    assert usage == Usage(input=2)


def test_one_call_at_a_time_where_the_provider_cannot_be_told_so() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [tool], "parallel_tool_calls": False}
    calls = [{"functionCall": {"id": id, "name": "f", "args": {}}} for id in ("a", "b")]
    reply = json.dumps({"candidates": [{"content": {"parts": [{"text": "hm"}, *calls]}, "finishReason": "STOP"}]}).encode()
    for parallel, ids in ((False, ["a"]), (True, ["a", "b"])):
        found = translated("openai.chat", {**asked, "parallel_tool_calls": parallel}, "google.generate")
        assert found.one_call is not parallel
        message = json.loads(found.reply(reply, model="ours")[0])["choices"][0]["message"]
        assert (message["content"], [call["id"] for call in message["tool_calls"]]) == ("hm", ids)
    begun: list[Delta] = [ToolBegin(0, "a", "f"), ArgumentsDelta(0, "{}"), PartEnd(), ToolBegin(1, "b", "f"), ArgumentsDelta(1, "{}")]
    assert one_call_only([*begun, Finish("tool_calls")]) == [*begun[:3], Finish("tool_calls")]


def test_a_count() -> None:
    found = translated("google.count_tokens", {"contents": [{"parts": [{"text": "hi"}]}]}, "anthropic.count_tokens")
    assert json.loads(found.body) == {"model": "theirs", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
    assert found.reply(b'{"input_tokens": 3}', model="ours") == (b'{"totalTokens":3}', Usage(input=3))
    with pytest.raises(UpstreamMalformed):
        found.reply(b"{}", model="ours")


def test_embeddings() -> None:
    found = translated("google.embed", {"content": {"parts": [{"text": "hi"}]}, "title": "T"}, "openai.embeddings")
    assert json.loads(found.body) == {"model": "theirs", "input": ["hi"]}
    assert found.dropped == ["title"]
    good = b'{"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1}}'
    assert found.reply(good, model="ours")[1] == Usage(input=1)
    with pytest.raises(UpstreamMalformed, match="0 vectors for 1"):
        found.reply(b'{"data": []}', model="ours")


def test_what_is_no_translation() -> None:
    with pytest.raises(NotExpressible):
        translated("openai.embeddings", {"model": "m", "input": "hi"}, "openai.chat")

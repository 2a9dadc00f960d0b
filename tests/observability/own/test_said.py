"""Bodies as messages: the plain ones, those that hold more, streams put together, other shapes, and what is no JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.observability.own.said import answered, asked
from penstock.observability.payloads import CONDENSED, OMITTED, RAW
from penstock.observability.transcript import condense


def told(text: str) -> list[tuple[str, list[Any]]]:
    return [(message["role"], [part.get("content", part) for part in message["parts"]]) for message in json.loads(text)]


@pytest.mark.parametrize("shape", ["openai.chat", "anthropic.messages"])
def test_plain_messages(shape: str) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi ☃"}, {"role": "assistant", "content": "yes"}]}
    assert told(asked(shape, json.dumps(body).encode())) == [("user", ["hi ☃"]), ("assistant", ["yes"])]


def test_messages_that_hold_more_than_text() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Delft"}'}}
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]
    found = json.loads(asked("openai.chat", json.dumps({"messages": messages}).encode()))
    assert [one["role"] for one in found] == ["system", "user", "assistant", "tool"]
    assert found[1]["parts"][1] == {"type": "image", "uri": "https://x/y.png"}
    assert found[2]["parts"] == [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Delft"}}]
    assert found[3]["parts"] == [{"type": "tool_call_response", "id": "c1", "response": "rain"}]


def test_instructions_stand_first_in_every_shape() -> None:
    bodies = {
        "anthropic.messages": {"system": "be kind", "messages": [{"role": "user", "content": "hi"}]},
        "openai.responses": {"instructions": "be kind", "input": [{"role": "user", "content": "hi"}]},
        "google.generate": {
            "systemInstruction": {"parts": [{"text": "be kind"}]},
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        },
    }
    for shape, body in bodies.items():
        assert told(asked(shape, json.dumps(body).encode())) == [("system", ["be kind"]), ("user", ["hi"])], shape


@pytest.mark.parametrize(
    ("shape", "reply"),
    [
        ("openai.chat", {"choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}),
        ("anthropic.messages", {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "yes"}]}),
        ("openai.responses", {"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}]}),
        ("google.generate", {"candidates": [{"content": {"role": "model", "parts": [{"text": "yes"}]}}]}),
    ],
)
def test_replies(shape: str, reply: dict[str, Any]) -> None:
    assert told(answered(shape, json.dumps(reply).encode(), RAW)) == [("assistant", ["yes"])]


def test_a_stream_put_together() -> None:
    deltas = [
        {"content": "a "},
        {"content": "word"},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]},
    ]
    events = b"".join(b"data: %s\n\n" % json.dumps({"choices": [{"index": 0, "delta": one}]}).encode() for one in deltas)
    held = condense("openai.chat", events)
    assert held is not None
    (message,) = json.loads(answered("openai.chat", held, CONDENSED))
    assert message["parts"] == [{"type": "text", "content": "a word"}, {"type": "tool_call", "id": "c", "name": "f", "arguments": {}}]


def test_other_shapes_say_what_they_are_asked_and_answer_as_it_came() -> None:
    assert asked("openai.embeddings", b'{"input": "some text", "model": "e"}') == "some text"
    assert asked("openai.images", b'{"prompt": "a cat"}') == "a cat"
    assert asked("cohere.rerank", b'{"documents": []}') == '{"documents": []}'
    assert answered("openai.embeddings", b"", OMITTED) == ""
    assert answered("openai.images", b'{"data": []}', RAW) == '{"data": []}'


def test_what_cannot_be_read_is_kept_as_it_came() -> None:
    cut = b'{"messages": [{"role": "user", "content": "hel'
    assert asked("openai.chat", cut) == cut.decode()
    assert answered("openai.chat", b'{"error": {"message": "no"}}', RAW) == '{"error": {"message": "no"}}'
    assert answered("anthropic.messages", b"\xff\0oops", RAW) == "\ufffdoops"
    assert answered("openai.chat", b'{"turns": [', CONDENSED) == '{"turns": ['
    assert asked("openai.chat", b"") == ""

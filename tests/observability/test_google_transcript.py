"""Recorded bodies of Gemini's API, as people read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.observability.transcript import Part, Turn, condense, read_condensed, read_reply, read_request


def asked(shape: str, **body: Any) -> Any:
    return read_request(shape, json.dumps(body).encode())


def test_a_request_under_both_kinds_of_names() -> None:
    found = asked(
        "google.generate",
        system_instruction={"parts": {"text": "Be brief."}},
        contents=[
            {"role": "user", "parts": [{"text": "hi"}, {"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]},
            {"role": "model", "parts": [{"text": "hm", "thought": True}, {"functionCall": {"id": "t", "name": "f", "args": {"a": 1}}}]},
            {"role": "user", "parts": [{"functionResponse": {"id": "t", "name": "f", "response": {"output": "4"}}}]},
            {"parts": [{"fileData": {"mimeType": "application/pdf", "fileUri": "https://x/y"}}, {"executableCode": {"code": "1"}}]},
        ],
        tools=[{"function_declarations": [{"name": "f"}], "googleSearch": {}}],
        generationConfig={"temperature": 0.5},
    )
    assert found.turns == [
        Turn("system", [Part("text", "Be brief.")]),
        Turn("user", [Part("text", "hi"), Part("image", media="image/png")]),
        Turn("assistant", [Part("reasoning", "hm"), Part("tool_call", '{"a":1}', "f", "t")]),
        Turn("user", [Part("tool_result", '{"output":"4"}', "f", "t")]),
        Turn("user", [Part("file", media="https://x/y"), Part("other", '{"executableCode":{"code":"1"}}', name="executableCode")]),
    ]
    assert (found.tools, found.settings) == (["f", "googleSearch"], {"temperature": "0.5"})


def test_counts_and_embeddings() -> None:
    said = {"contents": [{"parts": [{"text": "hi"}]}]}
    for body in (said, {"generateContentRequest": said}):
        assert asked("google.count_tokens", **body).turns == [Turn("user", [Part("text", "hi")])]
    one = {"content": {"parts": [{"text": "a"}]}, "taskType": "CLUSTERING"}
    assert asked("google.embed", **one).settings == {"taskType": "CLUSTERING"}
    assert [turn.parts[0].text for turn in asked("google.batch_embed", requests=[one, one]).turns] == ["a", "a"]


def candidate(*parts: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, "index": 0, **({"finishReason": finish} if finish else {})}]}


def test_replies_whole_and_streamed() -> None:
    whole = read_reply("google.generate", json.dumps(candidate({"text": "hello"}, finish="STOP")).encode())
    assert whole is not None
    assert (whole.turns, whole.finish) == ([Turn("assistant", [Part("text", "hello")])], "STOP")
    blocked = read_reply("google.generate", b'{"promptFeedback": {"blockReason": "SAFETY"}}')
    assert blocked is not None
    assert blocked.finish == "SAFETY"
    pieces = [candidate({"text": "hm", "thought": True}), candidate({"text": "hel"}), candidate({"text": "lo"})]
    pieces += [candidate({"functionCall": {"name": "f", "args": {}}}), candidate({"text": ""}, finish="STOP")]
    stream = b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in pieces)
    condensed = condense("google.generate", stream)
    assert condensed is not None
    found = read_condensed(condensed)
    assert found is not None
    assert found.turns == [Turn("assistant", [Part("reasoning", "hm"), Part("text", "hello"), Part("tool_call", "{}", "f")])]
    assert found.finish == "STOP"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"contents": 5}', b'{"contents": [5, {"parts": [[]]}], "tools": "x"}', b"\xff"])
def test_bodies_that_are_none_are_read_as_far_as_they_go(body: bytes) -> None:
    for shape in ("google.generate", "google.count_tokens", "google.embed", "google.batch_embed"):
        read_request(shape, body)
        read_reply(shape, body)
    assert condense("google.generate", b"data: " + body + b"\n\n") is None

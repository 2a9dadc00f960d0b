"""Gemini's replies as Google publishes them, for clients of other shapes."""

from __future__ import annotations

import json

import pytest
from tests.gateway.shapes.google import CHAT, CLAUDE, GEMINI, USAGE, asked, reply, said

from penstock.gateway.shapes.shape import Dialect
from penstock.kernel.call import Usage
from penstock.kernel.errors import UpstreamError, UpstreamMalformed


def test_a_reply_with_thoughts_cache_and_usage() -> None:
    # https://ai.google.dev/gemini-api/docs/thinking#summaries and /caching: thoughts are counted beside the candidates.
    usage = {**USAGE, "cachedContentTokenCount": 10, "thoughtsTokenCount": 31, "totalTokenCount": 63, "toolUsePromptTokenCount": 2}
    usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": 20}, {"modality": "AUDIO", "tokenCount": 5}]
    body = reply({"text": "**Summing**", "thought": True}, {"text": "The answer is 5."}, usageMetadata=usage)
    out = said(body)
    message = out["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("The answer is 5.", "**Summing**")
    assert GEMINI.usage(json.dumps(body).encode()) == Usage(input=27, output=38, cached=10, reasoning=31, audio_input=5)
    assert out["usage"]["completion_tokens_details"]["reasoning_tokens"] == 31
    assert said(body, GEMINI)["usageMetadata"]["thoughtsTokenCount"] == 31
    assert [block["type"] for block in said(body, CLAUDE)["content"]] == ["thinking", "text"]


def test_calls_are_signed_and_the_signature_comes_back_through_each_api() -> None:
    # https://ai.google.dev/gemini-api/docs/thought-signatures: parallel calls, the first of them signed.
    first = {"functionCall": {"name": "f", "args": {"city": "Paris"}}, "thoughtSignature": "CiEBjz1r+/A="}
    second = {"functionCall": {"name": "f", "args": {"city": "London"}}}
    out = said(reply(first, second))
    assert out["choices"][0]["finish_reason"] == "tool_calls"
    calls = out["choices"][0]["message"]["tool_calls"]
    assert calls[0]["extra_content"] == {"google": {"thought_signature": "CiEBjz1r+/A="}}
    assert calls[0]["id"] != calls[1]["id"]
    assert "extra_content" not in calls[1]
    answers = [{"role": "tool", "tool_call_id": call["id"], "content": "12C"} for call in calls]
    history = [{"role": "user", "content": "?"}, {"role": "assistant", "content": None, "tool_calls": calls}, *answers]
    request = CHAT.decode_request(CHAT.read(json.dumps({"model": "m", "messages": history}).encode())[0])
    sent = json.loads(GEMINI.encode_request(request, model="m", stream=False, dialect=Dialect(unsigned_call="none")))
    assert [part.get("thoughtSignature") for part in sent["contents"][1]["parts"]] == ["CiEBjz1r+/A=", None]
    assert [part["functionResponse"]["name"] for part in sent["contents"][2]["parts"]] == ["f", "f"]

    blocks = said(reply({"text": "hm", "thought": True}, first, second), CLAUDE)["content"]
    assert [block["type"] for block in blocks] == ["thinking", "tool_use", "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": block["id"], "content": "12C"} for block in blocks[1:]]
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
    asked_by = CLAUDE.decode_request(CLAUDE.read(json.dumps({"model": "m", "max_tokens": 9, "messages": turns}).encode())[0])
    parts = json.loads(GEMINI.encode_request(asked_by, model="m", stream=False))["contents"][1]["parts"]
    assert parts[0] == {"text": "hm", "thought": True}
    assert [part.get("thoughtSignature") for part in parts[1:]] == ["CiEBjz1r+/A=", None]


def test_another_vendors_thoughts_come_back_to_it_through_geminis_api() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "Eq+/=="}
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    body = {"id": "msg_1", "model": "c", "content": [thought, use], "stop_reason": "tool_use", "usage": {}}
    parts = json.loads(GEMINI.encode_reply(CLAUDE.decode_reply(json.dumps(body).encode()), model="m"))["candidates"][0]["content"]["parts"]
    assert parts[0]["thought"] is True
    history = [
        {"role": "model", "parts": parts},
        {"role": "user", "parts": [{"functionResponse": {"id": "t", "name": "f", "response": {"output": "x"}}}]},
    ]
    assert asked({"contents": history}, CLAUDE)["messages"][0]["content"] == [thought, use]
    # Google itself is not told what only Anthropic can check.
    assert [list(part) for part in asked({"contents": history}, GEMINI)["contents"][0]["parts"]] == [["functionCall"]]


@pytest.mark.parametrize(
    ("finish", "word", "claude"),
    [
        ("STOP", "stop", "end_turn"),
        ("MAX_TOKENS", "length", "max_tokens"),
        ("SAFETY", "content_filter", "refusal"),
        ("RECITATION", "content_filter", "refusal"),
        ("PROHIBITED_CONTENT", "content_filter", "refusal"),
        ("LANGUAGE", "stop", "end_turn"),
        ("SOMETHING_NEW", "stop", "end_turn"),
    ],
)
def test_finish_reasons(finish: str, word: str, claude: str) -> None:
    # https://ai.google.dev/api/generate-content#FinishReason
    body = reply({"text": "hi"}, finish=finish)
    assert said(body)["choices"][0]["finish_reason"] == word
    assert said(body, CLAUDE)["stop_reason"] == claude


def test_a_blocked_prompt_is_a_filtered_reply() -> None:
    # https://ai.google.dev/gemini-api/docs/safety-settings: no candidates, but promptFeedback.
    body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}}
    out = said(body)
    assert (out["choices"][0]["finish_reason"], out["choices"][0]["message"]["content"]) == ("content_filter", None)
    assert out["usage"]["prompt_tokens"] == 9
    assert said(body, CLAUDE)["stop_reason"] == "refusal"


@pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER"])
def test_an_end_without_content_that_is_a_failure_is_one(finish: str) -> None:
    body = {"candidates": [{"content": {}, "finishReason": finish, "finishMessage": "print(default_api.f("}], "usageMetadata": USAGE}
    with pytest.raises(UpstreamError, match=finish):
        GEMINI.decode_reply(json.dumps(body).encode())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"candidates": 5}', b'{"candidates": [{"content": {"parts": [5]}}]}', b"\xff", b"<html>"]
)
def test_replies_that_are_none(body: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        GEMINI.decode_reply(body)


def test_an_error_inside_of_a_200_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="UNAVAILABLE: overloaded"):
        GEMINI.decode_reply(b'{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}')

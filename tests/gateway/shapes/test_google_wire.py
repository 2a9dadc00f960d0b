"""Gemini's published wire format, read and written: samples made by hand after Google's own pages, which each test names.

https://ai.google.dev/api/generate-content is the reference for all of them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.gateway.shapes import SHAPES, chat, google_error
from penstock.gateway.shapes.shape import Dialect
from penstock.kernel.call import Usage
from penstock.kernel.errors import LimitExceeded, MalformedRequest, NotExpressible, UpstreamError, UpstreamMalformed

CHAT, CLAUDE, GEMINI = (chat(SHAPES[name]) for name in ("openai.chat", "anthropic.messages", "google.generate"))
USAGE = {"promptTokenCount": 25, "candidatesTokenCount": 7, "totalTokenCount": 32}


def asked(body: dict[str, Any], to: Any = CHAT, **dialect: Any) -> dict[str, Any]:
    fields, _ = GEMINI.read(json.dumps(body).encode())
    found: dict[str, Any] = json.loads(
        to.encode_request(GEMINI.decode_request(fields), model="m", stream=False, dialect=Dialect(**dialect))
    )
    return found


def said(body: dict[str, Any], to: Any = CHAT) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to.encode_reply(GEMINI.decode_reply(json.dumps(body).encode()), model="m"))
    return found


def reply(*parts: dict[str, Any], finish: str = "STOP", **more: Any) -> dict[str, Any]:
    one = {"content": {"parts": list(parts), "role": "model"}, "finishReason": finish, "index": 0}
    return {"candidates": [one], "usageMetadata": USAGE, "modelVersion": "gemini-2.5-flash", "responseId": "r-1", **more}


def test_a_request_as_the_guide_writes_it_with_underscores_and_a_bare_part() -> None:
    # https://ai.google.dev/gemini-api/docs/text-generation (system instructions, REST): one object where a list belongs.
    out = asked(
        {
            "system_instruction": {"parts": {"text": "You are a cat. Your name is Neko."}},
            "contents": [{"parts": [{"text": "Hello there"}]}],
            "generationConfig": {"stopSequences": ["Title"], "temperature": 1.0, "maxOutputTokens": 800, "topP": 0.8, "topK": 10},
        }
    )
    assert out["messages"] == [
        {"role": "system", "content": "You are a cat. Your name is Neko."},
        {"role": "user", "content": "Hello there"},
    ]
    assert (out["stop"], out["temperature"], out["max_tokens"], out["top_p"], out["top_k"]) == (["Title"], 1.0, 800, 0.8, 10)


def test_inline_and_uploaded_files() -> None:
    # https://ai.google.dev/gemini-api/docs/image-understanding and /files: inline_data, and file_data of the Files API.
    image = {"inline_data": {"mime_type": "image/jpeg", "data": "_9j-4A"}}
    parts = asked({"contents": [{"parts": [image, {"text": "Caption this image."}]}]})["messages"][0]["content"]
    assert parts[0] == {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j+4A=="}}, "others take no URL-safe base64"
    uploaded = {"file_data": {"mime_type": "image/png", "file_uri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}
    with pytest.raises(NotExpressible, match="uploaded"):
        asked({"contents": [{"parts": [uploaded]}]}, CLAUDE)
    public = {"file_data": {"mime_type": "image/png", "file_uri": "https://example.org/a.png"}}
    assert asked({"contents": [{"parts": [public]}]}, CLAUDE)["messages"][0]["content"][0]["source"] == {
        "type": "url",
        "url": "https://example.org/a.png",
    }


def test_function_calling_from_declaration_to_result() -> None:
    # https://ai.google.dev/gemini-api/docs/function-calling: the weather example, with Google's own schema and without ids.
    declared = {
        "name": "get_current_temperature",
        "description": "Gets the current temperature for a given location.",
        "parameters": {
            "type": "OBJECT",
            "properties": {
                "location": {"type": "STRING", "nullable": True},
                "days": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
            },
            "required": ["location"],
            "propertyOrdering": ["location", "days"],
        },
    }
    call = {"functionCall": {"name": "get_current_temperature", "args": {"location": "London"}}}
    result = {"functionResponse": {"name": "get_current_temperature", "response": {"temperature": 15}}}
    out = asked(
        {
            "contents": [
                {"role": "user", "parts": [{"text": "What's the temperature in London?"}]},
                {"role": "model", "parts": [call, call]},
                {
                    "role": "user",
                    "parts": [result, {"functionResponse": {"name": "get_current_temperature", "response": {"error": "no idea"}}}],
                },
            ],
            "tools": [{"functionDeclarations": [declared]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_current_temperature"]}},
        }
    )
    assert out["tools"][0]["function"]["parameters"] == {
        "type": "object",
        "properties": {"location": {"type": ["string", "null"]}, "days": {"type": "array", "items": {"type": "integer"}, "minItems": 1}},
        "required": ["location"],
    }
    assert out["tool_choice"] == {"type": "function", "function": {"name": "get_current_temperature"}}
    _, called, first, second = out["messages"]
    ids = [one["id"] for one in called["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(one["tool_call_id"], one["content"]) for one in (first, second)] == [(ids[0], '{"temperature": 15}'), (ids[1], "no idea")]


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "AUTO"}, "auto"),
        ({"mode": "NONE"}, "none"),
        ({"mode": "ANY"}, "required"),
        (
            {"mode": "ANY", "allowed_function_names": ["a", "b"]},
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "b"}}],
                },
            },
        ),
    ],
    ids=str,
)
def test_calling_modes(config: dict[str, Any], choice: Any) -> None:
    # https://ai.google.dev/gemini-api/docs/function-calling#function_calling_modes
    tools = [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}]
    body = {"contents": [], "tools": tools, "toolConfig": {"functionCallingConfig": config}}
    assert asked(body)["tool_choice"] == choice
    again = asked(body, GEMINI)["toolConfig"]["functionCallingConfig"]
    assert again["mode"] == config["mode"]


def test_structured_output_in_both_kinds_of_schema() -> None:
    # https://ai.google.dev/gemini-api/docs/structured-output
    own = {"type": "ARRAY", "items": {"type": "OBJECT", "properties": {"recipeName": {"type": "STRING"}}}}
    plain = {"type": "array", "items": {"type": "object", "properties": {"recipeName": {"type": "string"}}}}
    for given in ({"responseSchema": own}, {"responseJsonSchema": plain}, {"response_schema": own}):
        config = {"responseMimeType": "application/json", **given}
        out = asked({"contents": [{"parts": [{"text": "List some."}]}], "generationConfig": config})
        assert out["response_format"]["json_schema"]["schema"] == plain
    assert asked({"contents": [], "generationConfig": {"responseMimeType": "application/json"}})["response_format"] == {
        "type": "json_object"
    }
    with pytest.raises(NotExpressible, match="responseMimeType"):
        asked({"contents": [], "generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING"}}})


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


def test_a_call_that_nobody_signed_gets_googles_stand_in_where_one_is_wanted() -> None:
    # https://ai.google.dev/gemini-api/docs/thought-signatures (FAQ: transferring a history from another model)
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = {"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "t", "content": "x"}]}
    request = CHAT.decode_request(CHAT.read(json.dumps(body).encode())[0])
    for stand_in in (None, "skip_thought_signature_validator"):
        sent = json.loads(GEMINI.encode_request(request, model="m", stream=False, dialect=Dialect(unsigned_call=stand_in)))
        assert sent["contents"][0]["parts"][0].get("thoughtSignature") == stand_in


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


def test_log_probabilities_both_ways() -> None:
    # https://ai.google.dev/api/generate-content#LogprobsResult
    chosen = {"token": "hé", "tokenId": 5, "logProbability": -0.25}
    result = {"chosenCandidates": [chosen], "topCandidates": [{"candidates": [chosen, {"token": "a", "logProbability": -2.0}]}]}
    body = reply({"text": "hé"})
    body["candidates"][0]["logprobsResult"] = result
    (token,) = said(body)["choices"][0]["logprobs"]["content"]
    assert (token["token"], token["logprob"], token["bytes"]) == ("hé", -0.25, [104, 195, 169])
    assert [top["token"] for top in token["top_logprobs"]] == ["hé", "a"]
    again = said(body, GEMINI)["candidates"][0]["logprobsResult"]
    assert again["topCandidates"][0]["candidates"][1] == {"token": "a", "logProbability": -2.0}
    out = asked({"contents": [], "generationConfig": {"responseLogprobs": True, "logprobs": 2}})
    assert (out["logprobs"], out["top_logprobs"]) == (True, 2)


@pytest.mark.parametrize(
    ("config", "wish"),
    [
        ({"thinkingBudget": 1024}, "low"),
        ({"thinkingBudget": 0}, "none"),
        ({"thinkingBudget": -1}, "medium"),
        ({"thinkingLevel": "HIGH"}, "high"),
    ],
    ids=str,
)
def test_how_much_to_think(config: dict[str, Any], wish: str) -> None:
    # https://ai.google.dev/gemini-api/docs/thinking: a budget for 2.5 (0: off, -1: dynamic), a level for 3
    assert asked({"contents": [], "generationConfig": {"thinkingConfig": config}})["reasoning_effort"] == wish


@pytest.mark.parametrize(
    ("effort", "budget", "level"), [("low", 1024, "low"), ("medium", 8192, "medium"), ("high", 24576, "high"), ("xhigh", 24576, "high")]
)
def test_efforts_become_budgets_or_levels(effort: str, budget: int, level: str) -> None:
    # https://ai.google.dev/gemini-api/docs/openai#thinking
    request = CHAT.decode_request(CHAT.read(json.dumps({"model": "m", "messages": [], "reasoning_effort": effort}).encode())[0])
    for dialect, expected in ((Dialect(), {"thinkingBudget": budget}), (Dialect(thinking_levels=True), {"thinkingLevel": level})):
        sent = json.loads(GEMINI.encode_request(request, model="m", stream=False, dialect=dialect))
        assert sent["generationConfig"]["thinkingConfig"] == {**expected, "includeThoughts": True}


def test_errors_are_statuses_of_googles_with_the_time_to_wait() -> None:
    # https://google.aip.dev/193 and https://ai.google.dev/gemini-api/docs/troubleshooting
    status, body = GEMINI.error(LimitExceeded("too many", retry_after=12.2))
    error = json.loads(body)["error"]
    assert (status, error["code"], error["status"], error["message"]) == (429, 429, "RESOURCE_EXHAUSTED", "too many")
    assert google_error.retry_delay(body) == 13.0
    status, body = GEMINI.error(MalformedRequest("bad", param="contents"))
    assert json.loads(body)["error"]["details"][1]["fieldViolations"][0]["field"] == "contents"


def test_refusals_of_googles_tell_when_to_come_again_and_whose_fault_it_is() -> None:
    # https://ai.google.dev/gemini-api/docs/rate-limits; a list is what a stream without `alt=sse` answers.
    quota = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaValue": "15"}]}
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38.5s"}
    status = {"code": 429, "message": "You exceeded your current quota.", "status": "RESOURCE_EXHAUSTED", "details": [quota, retry]}
    assert google_error.retry_delay(json.dumps({"error": status}).encode()) == 38.5
    assert google_error.retry_delay(json.dumps([{"error": status}]).encode()) == 38.5
    assert not google_error.blames_key(json.dumps({"error": status}).encode())
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
    wrong = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [reason]}
    assert google_error.blames_key(json.dumps({"error": wrong}).encode())
    for junk in (b"", b"[]", b"{}", b"<html>", b'{"error": 5}', b'{"error": {"details": [{"retryDelay": "x"}]}}', b"\xff"):
        assert google_error.retry_delay(junk) is None
        assert not google_error.blames_key(junk)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"candidates": 5}', b'{"candidates": [{"content": {"parts": [5]}}]}', b"\xff", b"<html>"]
)
def test_replies_that_are_none(body: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        GEMINI.decode_reply(body)


def test_an_error_inside_of_a_200_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="UNAVAILABLE: overloaded"):
        GEMINI.decode_reply(b'{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}')

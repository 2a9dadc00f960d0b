from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway.recordings import Exchange, as_stream, as_whole
from penstock.gateway.recordings.convert import pieces
from penstock.gateway.shapes import SHAPES, chat
from penstock.kernel.errors import UpstreamError, UpstreamMalformed

CHAT, MESSAGES, RESPONSES = "openai.chat", "anthropic.messages", "openai.responses"
TEXT = "  Janet’s ducks lay 16 eggs:\n\n16 - 3 = 13.\n#### 18 "


def chat_body(text: str | None = TEXT, **message: Any) -> bytes:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "gpt-4",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, **message},
                "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14},
    }
    return json.dumps(body).encode()


def messages_body(text: str = TEXT) -> bytes:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 9},
    }
    return json.dumps(body).encode()


def recorded(body: bytes, shape: str = CHAT, **values: Any) -> Exchange:
    return Exchange(shape=shape, request={}, body=body, first_byte_ms=100.0, total_ms=500.0, **values)


def there_and_back(exchange: Exchange, *, include_usage: bool = True) -> Exchange:
    shape = chat(SHAPES[exchange.shape])
    return as_whole(as_stream(exchange, shape, include_usage=include_usage), shape)


def said(exchange: Exchange) -> Any:
    assert exchange.body is not None
    return json.loads(exchange.body)


@given(st.text())
def test_pieces_are_the_text(text: str):
    assert "".join(pieces(text)) == text
    assert all(pieces(text))


def test_pieces_are_about_as_long_as_tokens():
    assert 3 <= len(TEXT * 20) / len(pieces(TEXT * 20)) <= 5 or len(pieces(TEXT)) > 10


@given(st.text(min_size=1))
def test_text_survives_the_stream(text: str):
    back = there_and_back(recorded(chat_body(text)))
    assert said(back)["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize(("shape", "body"), [(CHAT, chat_body()), (MESSAGES, messages_body())])
def test_whole_to_stream_and_back(shape: str, body: bytes):
    before = recorded(body, shape)
    after = there_and_back(before)
    assert after.chunks is None
    assert ("content-type", "application/json") in after.headers
    first, second = json.loads(body), said(after)
    assert second["model"] == first["model"]
    assert second["id"] == first["id"]
    if shape == CHAT:
        assert second["choices"][0]["message"]["content"] == TEXT
        assert second["choices"][0]["finish_reason"] == "stop"
        assert (second["usage"]["prompt_tokens"], second["usage"]["completion_tokens"]) == (5, 9)
    else:
        assert second["content"][0]["text"] == TEXT
        assert second["stop_reason"] == "end_turn"
        assert (second["usage"]["input_tokens"], second["usage"]["output_tokens"]) == (5, 9)


def test_times_run_from_the_first_byte_to_the_end():
    stream = as_stream(recorded(chat_body()), chat(SHAPES[CHAT]), include_usage=True)
    assert stream.chunks is not None
    times = [ms for ms, _ in stream.chunks]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (100.0, 500.0)
    assert len(times) > 10
    assert ("content-type", "text/event-stream; charset=utf-8") in stream.headers


def test_usage_only_when_asked_for():
    shape = chat(SHAPES[CHAT])
    for wanted in (True, False):
        stream = as_stream(recorded(chat_body()), shape, include_usage=wanted)
        data = b"".join(chunk for _, chunk in stream.chunks or ())
        assert (b'"prompt_tokens":5' in data.replace(b" ", b"")) is wanted
        assert data.endswith(b"data: [DONE]\n\n")


def test_tool_calls_survive():
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Basel", "days": 3}'}},
        {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]
    back = said(there_and_back(recorded(chat_body(None, tool_calls=calls))))
    choice = back["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in choice["message"]["tool_calls"]] == [
        ("call_1", "weather", '{"city": "Basel", "days": 3}'),
        ("call_2", "time", "{}"),
    ]


def test_refusals_and_what_has_the_right_kind_stay_as_they_are():
    shape = chat(SHAPES[CHAT])
    refused = recorded(b'{"error":{}}', status=429)
    assert as_stream(refused, shape, include_usage=True) is refused
    assert as_whole(refused, shape) is refused
    stream = as_stream(recorded(chat_body()), shape, include_usage=True)
    assert as_stream(stream, shape, include_usage=False) is stream


def test_a_refusal_that_was_streamed_is_its_bytes():
    refused = Exchange(shape=CHAT, request={}, status=500, chunks=[(1.0, b'{"err'), (2.0, b'or":{}}')])
    assert as_whole(refused, chat(SHAPES[CHAT])).body == b'{"error":{}}'


def test_a_recorded_stream_is_played_whole():
    chunks = [
        (10.0, b'data: {"id":"c","created":3,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}\n\nda'),
        (20.0, b'ta: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"length"}]}\n\n'),
        (30.0, b'data: {"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'),
        (30.0, b"data: [DONE]\n\n"),
    ]
    body = said(as_whole(Exchange(shape=CHAT, request={}, chunks=chunks), chat(SHAPES[CHAT])))
    assert body["choices"][0]["message"]["content"] == "Hello"
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 2
    assert (body["id"], body["created"], body["model"]) == ("c", 3, "m")


def test_a_stream_that_was_cut_is_not_made_whole():
    with pytest.raises(UpstreamError):
        as_whole(Exchange(shape=CHAT, request={}, chunks=[(1.0, b"data: {")]), chat(SHAPES[CHAT]))


def test_a_body_that_is_no_reply_is_malformed():
    with pytest.raises(UpstreamMalformed):
        as_stream(recorded(b"<html>"), chat(SHAPES[CHAT]), include_usage=True)

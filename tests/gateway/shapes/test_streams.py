"""Streams, however they are cut: passed on event by event, or decoded and written anew for a client of another shape."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.gateway.shapes import SHAPES, chat
from penstock.gateway.shapes.shape import ChatShape
from penstock.kernel.errors import UpstreamError, UpstreamMalformed, UpstreamReset

CHAT, CLAUDE, RESPONSES, GEMINI = (
    chat(SHAPES[name]) for name in ("openai.chat", "anthropic.messages", "openai.responses", "google.generate")
)


def sse(*events: Any) -> bytes:
    out = b""
    for one in events:
        name = f"event: {one['type']}\n" if isinstance(one, dict) and "type" in one else ""
        out += f"{name}data: {one if isinstance(one, str) else json.dumps(one)}\n\n".encode()
    return out


def piece(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(index: int, **fields: Any) -> dict[str, Any]:
    return piece({"tool_calls": [{"index": index, **fields}]})


CHAT_STREAM = sse(
    piece({"role": "assistant", "content": ""}),
    piece({"reasoning_content": "hm"}),
    piece({"content": "hé"}),
    piece({"content": "llo"}),
    call(0, id="t1", type="function", function={"name": "weather", "arguments": ""}),
    call(0, function={"arguments": '{"city":'}),
    call(0, function={"arguments": '"Delft"}'}),
    call(1, id="t2", type="function", function={"name": "time", "arguments": "{}"}),
    piece({}, "tool_calls"),
    {"id": "x", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}},
    "[DONE]",
)
CLAUDE_STREAM = sse(
    {"type": "message_start", "message": {"id": "msg_1", "model": "c", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "ping"},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "hé"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "llo"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"city":"Delft"}'}},
    {"type": "content_block_stop", "index": 2},
    {"type": "content_block_start", "index": 3, "content_block": {"type": "server_tool_use", "id": "s", "name": "search", "input": {}}},
    {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": '{"q":1}'}},
    {"type": "content_block_stop", "index": 3},
    {"type": "content_block_start", "index": 4, "content_block": {"type": "tool_use", "id": "t2", "name": "time", "input": {}}},
    {"type": "content_block_delta", "index": 4, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 4},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 4}},
    {"type": "message_stop"},
)


def candidate(part: dict[str, Any], **more: Any) -> dict[str, Any]:
    one = {"content": {"parts": [part], "role": "model"}, "index": 0, **more}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 3 if more else 1, "thoughtsTokenCount": 1, "totalTokenCount": 13}
    return {"candidates": [one], "usageMetadata": usage, "modelVersion": "g", "responseId": "r"}


# As https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent writes it: no marker at the end, lines end in CRLF.
GEMINI_STREAM = sse(
    candidate({"text": "hm", "thought": True}),
    candidate({"text": "hé"}),
    candidate({"text": "llo"}),
    candidate({"functionCall": {"id": "t1", "name": "weather", "args": {"city": "Delft"}}, "thoughtSignature": "c2ln"}),
    candidate({"functionCall": {"id": "t2", "name": "time", "args": {}}}),
    candidate({"text": "", "thoughtSignature": "c2ln"}, finishReason="STOP"),
)
STREAMS = {"chat": (CHAT, CHAT_STREAM), "claude": (CLAUDE, CLAUDE_STREAM), "gemini": (GEMINI, GEMINI_STREAM)}


def cut(data: bytes, places: list[int]) -> list[bytes]:
    places = sorted({p % (len(data) + 1) for p in places})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def translated(spoken: ChatShape, parts: list[bytes], shape: ChatShape, *, usage: bool = True) -> bytes:
    decoder, encoder = spoken.stream_decoder(), shape.stream_encoder(model="m", include_usage=usage)
    out = b"".join(encoder.encode(delta) for part in parts for delta in decoder.feed(part))
    out += b"".join(encoder.encode(delta) for delta in decoder.close())
    assert decoder.usage is not None
    assert (decoder.usage.input, decoder.usage.output) == (9, 4)
    return out + encoder.finish()


def events(data: bytes) -> list[dict[str, Any]]:
    found = re.findall(rb"^data: (.*)$", data, re.MULTILINE)
    return [json.loads(one) for one in found if one != b"[DONE]"]


def said_by_chat(data: bytes) -> dict[str, Any]:
    assert data.rstrip().endswith(b"data: [DONE]")
    said: dict[str, Any] = {"text": "", "thought": "", "calls": {}, "finish": None, "usage": None}
    for one in events(data):
        said["usage"] = one.get("usage") or said["usage"]
        for choice in one["choices"]:
            delta = choice["delta"]
            said["text"] += delta.get("content") or ""
            said["thought"] += delta.get("reasoning_content") or ""
            said["finish"] = choice["finish_reason"] or said["finish"]
            for tool in delta.get("tool_calls") or ():
                kept = said["calls"].setdefault(tool["index"], {"id": "", "name": "", "arguments": ""})
                kept["id"] += tool.get("id") or ""
                kept["name"] += tool.get("function", {}).get("name") or ""
                kept["arguments"] += tool.get("function", {}).get("arguments") or ""
    return said


def said_by_gemini(data: bytes) -> dict[str, Any]:
    said: dict[str, Any] = {"text": "", "thought": "", "calls": {}, "finish": None, "usage": None}
    for one in events(data):
        assert said["finish"] is None, "the end is told last"
        said["usage"] = one.get("usageMetadata")
        for choice in one["candidates"]:
            said["finish"] = choice.get("finishReason")
            for part in choice["content"]["parts"]:
                said["thought" if part.get("thought") else "text"] += part.get("text", "")
                if "functionCall" in part:
                    call = part["functionCall"]
                    said["calls"][len(said["calls"])] = {"id": call["id"], "name": call["name"], "arguments": call["args"]}
    return said


def said_by_claude(data: bytes) -> dict[str, Any]:
    said: dict[str, Any] = {"text": "", "thought": "", "calls": {}, "finish": None, "usage": None}
    open_: dict[int, dict[str, Any]] = {}
    ends: list[str] = []
    for one in events(data):
        ends.append(one["type"])
        if one["type"] == "content_block_start":
            assert one["index"] not in open_
            block = open_[one["index"]] = one["content_block"]
            if block["type"] == "tool_use":
                said["calls"][len(said["calls"])] = {"id": block["id"], "name": block["name"], "arguments": ""}
        elif one["type"] == "content_block_delta":
            delta = one["delta"]
            said["text"] += delta.get("text", "")
            said["thought"] += delta.get("thinking", "")
            if "partial_json" in delta:
                said["calls"][len(said["calls"]) - 1]["arguments"] += delta["partial_json"]
        elif one["type"] == "message_delta":
            said["finish"], said["usage"] = one["delta"]["stop_reason"], one["usage"]
    assert ends[0] == "message_start"
    assert ends[-2:] == ["message_delta", "message_stop"]
    assert ends.count("content_block_start") == ends.count("content_block_stop")
    return said


CALLS = {
    0: {"id": "t1", "name": "weather", "arguments": '{"city":"Delft"}'},
    1: {"id": "t2", "name": "time", "arguments": "{}"},
}


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=25, derandomize=True)
@given(places=st.lists(st.integers(0, 5000), max_size=40))
def test_a_stream_cut_anywhere_says_the_same_in_every_shape(name: str, places: list[int]) -> None:
    spoken, data = STREAMS[name]
    parts = cut(data, places)
    chat_said = said_by_chat(translated(spoken, parts, CHAT))
    for call in chat_said["calls"].values():
        call["arguments"] = json.dumps(json.loads(call["arguments"]), separators=(",", ":"))
    assert (chat_said["text"], chat_said["thought"], chat_said["finish"], chat_said["calls"]) == ("héllo", "hm", "tool_calls", CALLS)
    assert (chat_said["usage"]["prompt_tokens"], chat_said["usage"]["completion_tokens"]) == (9, 4)
    claude_said = said_by_claude(translated(spoken, parts, CLAUDE))
    for call in claude_said["calls"].values():
        call["arguments"] = json.dumps(json.loads(call["arguments"]), separators=(",", ":"))
    assert (claude_said["text"], claude_said["thought"], claude_said["finish"], claude_said["calls"]) == ("héllo", "hm", "tool_use", CALLS)
    assert claude_said["usage"]["output_tokens"] == 4
    gemini_said = said_by_gemini(translated(spoken, parts, GEMINI))
    assert (gemini_said["text"], gemini_said["thought"], gemini_said["finish"]) == ("héllo", "hm", "STOP")
    assert gemini_said["calls"] == {n: {**one, "arguments": json.loads(one["arguments"])} for n, one in CALLS.items()}
    assert gemini_said["usage"]["totalTokenCount"] == 13
    done = events(translated(spoken, parts, RESPONSES))[-1]
    assert done["type"] == "response.completed"
    assert "héllo" in json.dumps(done, ensure_ascii=False)
    assert done["response"]["usage"]["output_tokens"] == 4


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=25, derandomize=True)
@given(places=st.lists(st.integers(0, 5000), max_size=40))
def test_a_tap_passes_every_event_on_as_it_was(name: str, places: list[int]) -> None:
    spoken, data = STREAMS[name]
    tap = spoken.tap(keep_usage=True)
    out = b"".join(tap.feed(part) for part in cut(data, places)) + tap.close()
    assert out == data
    assert tap.finished
    assert tap.usage is not None
    assert (tap.usage.input, tap.usage.output) == (9, 4)
    assert tap.output_bytes >= 5


def test_usage_that_the_client_did_not_ask_for_is_taken_out_and_known() -> None:
    tap = CHAT.tap(keep_usage=False)
    out = tap.feed(CHAT_STREAM) + tap.close()
    assert b'"usage"' not in out
    assert out.endswith(b"data: [DONE]\n\n")
    assert tap.usage is not None
    assert said_by_chat(translated(CLAUDE, [CLAUDE_STREAM], CHAT, usage=False))["usage"] is None


@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
def test_other_line_ends_say_the_same(ending: bytes) -> None:
    data = CHAT_STREAM.replace(b"\n", ending)
    for size in (1, 7, 100_000):
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        assert said_by_chat(translated(CHAT, parts, CHAT))["text"] == "héllo"


def test_comments_and_a_byte_order_mark_are_no_events() -> None:
    data = b"\xef\xbb\xbf: hello\n\n" + CHAT_STREAM.replace(b"data: [DONE]", b": still here\n\ndata: [DONE]")
    assert said_by_chat(translated(CHAT, [data], CHAT))["text"] == "héllo"


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_short_is_told_from_a_complete_one(name: str) -> None:
    spoken, data = STREAMS[name]
    # The last event of Gemini's is whole with its closing brace.
    for kept in (0, 30, len(data) // 2, len(data) - (40 if spoken is GEMINI else 20)):
        tap, decoder = spoken.tap(keep_usage=True), spoken.stream_decoder()
        tap.feed(data[:kept])
        decoder.feed(data[:kept])
        assert not tap.finished
        with pytest.raises(UpstreamReset):
            tap.close()
        with pytest.raises(UpstreamReset):
            decoder.close()


@pytest.mark.parametrize(
    ("spoken", "event"),
    [
        (CHAT, sse({"error": {"message": "out of luck", "type": "server_error"}})),
        (CLAUDE, sse({"type": "error", "error": {"type": "overloaded_error", "message": "out of luck"}})),
        (GEMINI, sse({"error": {"code": 503, "message": "out of luck", "status": "UNAVAILABLE"}})),
    ],
)
def test_an_error_in_the_middle_of_a_stream_is_raised(spoken: ChatShape, event: bytes) -> None:
    for reader in (spoken.tap(keep_usage=True), spoken.stream_decoder()):
        with pytest.raises(UpstreamError, match="out of luck"):
            reader.feed(event)


@pytest.mark.parametrize("spoken", [CHAT, CLAUDE, GEMINI])
def test_an_event_that_never_ends_is_bounded(spoken: ChatShape) -> None:
    tap = spoken.tap(keep_usage=True)
    for _ in range(32):
        tap.feed(b"data: " + b"x" * 1_000_000)
    with pytest.raises(UpstreamMalformed):
        tap.feed(b"data: " + b"x" * 2_000_000)

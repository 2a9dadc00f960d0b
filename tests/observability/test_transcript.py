from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.observability.transcript import Part, Transcript, Turn, condense, read_condensed, read_reply, read_request

SHAPES = ("openai.chat", "openai.responses", "openai.embeddings", "anthropic.messages", "anthropic.count_tokens")


def asked(shape: str, **body: Any) -> Transcript:
    found = read_request(shape, json.dumps(body).encode())
    assert found is not None
    return found


def told(shape: str, **body: Any) -> Transcript:
    found = read_reply(shape, json.dumps(body).encode())
    assert found is not None
    return found


def streamed(shape: str, *events: Any) -> Transcript:
    data = b"".join(b"data: " + (e.encode() if isinstance(e, str) else json.dumps(e).encode()) + b"\n\n" for e in events)
    condensed = condense(shape, data)
    assert condensed is not None
    found = read_condensed(condensed)
    assert found is not None
    return found


def test_a_chat_with_tools_and_images() -> None:
    found = asked(
        "openai.chat",
        model="m",
        temperature=0.5,
        tools=[{"type": "function", "function": {"name": "weather"}}],
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "This?"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}],
            },
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ],
    )
    assert found.tools == ["weather"]
    assert found.settings == {"model": "m", "temperature": "0.5"}
    assert found.turns == [
        Turn("system", [Part("text", "Be brief.")]),
        Turn("user", [Part("text", "This?"), Part("image", media="https://x/y.png")]),
        Turn("assistant", [Part("tool_call", "{}", "weather", "c1")]),
        Turn("tool", [Part("tool_result", "rain", "", "c1")]),
    ]


def test_the_data_of_an_image_is_not_repeated() -> None:
    url = "data:image/png;base64," + "A" * 5000
    found = asked("openai.chat", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    assert "AAAA" not in found.turns[0].parts[0].media
    assert "image/png" in found.turns[0].parts[0].media


def test_a_chat_reply_with_thoughts_and_a_refusal() -> None:
    message = {"role": "assistant", "content": "Hello", "reasoning_content": "hm", "refusal": "No."}
    found = told("openai.chat", choices=[{"message": message, "finish_reason": "stop"}])
    assert found.turns[0].parts == [Part("reasoning", "hm"), Part("text", "Hello"), Part("refusal", "No.")]
    assert found.finish == "stop"


def test_responses() -> None:
    found = asked(
        "openai.responses",
        instructions="Be brief.",
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "Rain?"}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "yes"},
        ],
    )
    assert [turn.role for turn in found.turns] == ["system", "user", "assistant", "tool"]
    assert asked("openai.responses", input="Hi").turns == [Turn("user", [Part("text", "Hi")])]
    reply = told(
        "openai.responses",
        status="incomplete",
        incomplete_details={"reason": "max_output_tokens"},
        output=[
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It"}]},
        ],
    )
    assert reply.finish == "max_output_tokens"
    assert [part.text for turn in reply.turns for part in turn.parts] == ["hm", "It"]


def test_messages() -> None:
    found = asked(
        "anthropic.messages",
        system=[{"type": "text", "text": "Be brief."}],
        tools=[{"name": "weather"}],
        messages=[
            {"role": "user", "content": "Rain?"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Delft"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "yes"}]}]},
        ],
    )
    assert [turn.role for turn in found.turns] == ["system", "user", "assistant", "user"]
    assert found.turns[2].parts == [Part("tool_call", '{"city":"Delft"}', "weather", "t1")]
    assert found.turns[3].parts == [Part("tool_result", "yes", id="t1")]
    reply = told("anthropic.messages", role="assistant", content=[{"type": "thinking", "thinking": "hm"}], stop_reason="end_turn")
    assert (reply.turns[0].parts[0].kind, reply.finish) == ("reasoning", "end_turn")
    assert asked("anthropic.count_tokens", messages=[{"role": "user", "content": "Hi"}]).turns[0].parts[0].text == "Hi"


def test_embeddings() -> None:
    assert asked("openai.embeddings", input=["a", "b"], model="m").turns == [Turn("user", [Part("text", text)]) for text in ("a", "b")]
    assert asked("openai.embeddings", input="a").turns == [Turn("user", [Part("text", "a")])]


def test_a_chat_stream_is_put_together() -> None:
    def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
        return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}

    def call(index: int, **fields: Any) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": index, **fields}]})

    found = streamed(
        "openai.chat",
        chunk({"role": "assistant", "reasoning_content": "h"}),
        chunk({"reasoning_content": "m"}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        call(0, id="c1", function={"name": "weather", "arguments": ""}),
        call(0, function={"arguments": '{"a":'}),
        call(1, id="c2", function={"name": "time", "arguments": "{}"}),
        call(0, function={"arguments": "1}"}),
        chunk({}, "tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 1}},
        "[DONE]",
    )
    assert found.turns == [
        Turn(
            "assistant",
            [
                Part("reasoning", "hm"),
                Part("text", "Hello"),
                Part("tool_call", '{"a":1}', "weather", "c1"),
                Part("tool_call", "{}", "time", "c2"),
            ],
        )
    ]
    assert found.finish == "tool_calls"


def test_a_stream_of_messages_is_put_together() -> None:
    found = streamed(
        "anthropic.messages",
        {"type": "message_start", "message": {}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "w", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    )
    assert found == Transcript([Turn("assistant", [Part("text", "Hello"), Part("tool_call", '{"a":1}', "w", "t")])], "tool_use")


def test_a_stream_of_a_response_is_its_last_event_or_what_came() -> None:
    pieces: list[Any] = [
        {"type": "response.created", "response": {}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Hel"},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "lo"},
    ]
    assert streamed("openai.responses", *pieces).turns == [Turn("assistant", [Part("text", "Hello")])]
    whole = {
        "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "All"}]}],
    }
    found = streamed("openai.responses", *pieces, {"type": "response.completed", "response": whole})
    assert (found.turns[0].parts[0].text, found.finish) == ("All", "completed")


@pytest.mark.parametrize("shape", [*SHAPES, "unknown.shape", ""])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"5", b'"text"'])
def test_what_is_no_body_of_its_shape_is_none(shape: str, body: bytes) -> None:
    assert read_request(shape, body) is None
    assert read_reply(shape, body) is None
    assert condense(shape, body) is None


def test_a_condensed_stream_that_was_cut_off_is_none() -> None:
    assert read_condensed(b'{"turns":[["assistant"') is None


BODY = [
    "messages",
    "role",
    "content",
    "type",
    "text",
    "tool_calls",
    "function",
    "choices",
    "message",
    "input",
    "output",
    "system",
    "source",
]
STREAM = ["delta", "index", "response", "item", "output_index", "content_block", "image_url", "summary", "tools", "incomplete_details"]
NAMES = st.sampled_from([*BODY, *STREAM])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from(["text", "image_url", "tool_use", "tool_result", "thinking", "input_text", "file", "image", "response.completed"])


@given(
    st.sampled_from(SHAPES), st.dictionaries(st.sampled_from(["messages", "input", "choices", "output", "content", "system"]), JSON), KINDS
)
def test_any_json_is_shown_or_not_but_never_a_fault(shape: str, body: dict[str, Any], kind: str) -> None:
    data = json.dumps({**body, "type": kind}).encode()
    for found in (read_request(shape, data), read_reply(shape, data)):
        assert found is None or isinstance(found, Transcript)
    stream = b"data: " + data + b"\n\n"
    condensed = condense(shape, stream)
    assert condensed is None or read_condensed(condensed) is not None

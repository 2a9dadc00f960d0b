"""Replies of Converse. The samples are the published ones, or written after the published syntax:

https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html (whole replies),
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html (streams).
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.providers.aws import event, message

from penstock.gateway.shapes import SHAPES, chat
from penstock.gateway.shapes.bedrock_reply import ConverseDecoder
from penstock.kernel import messages as m
from penstock.kernel.call import Usage
from penstock.kernel.errors import UpstreamError, UpstreamMalformed, UpstreamRefused, UpstreamReset

CONVERSE = chat(SHAPES["bedrock.converse"])


def whole(*content: Any, stop: str = "end_turn", **usage: int) -> bytes:
    counted = {"inputTokens": 30, "outputTokens": 628, "totalTokens": 658, **usage}
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop,
        "usage": counted,
        "metrics": {"latencyMs": 1275},
    }
    return json.dumps(body).encode()


def test_a_whole_reply() -> None:
    found = CONVERSE.decode_reply(
        whole(
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": "ZW5j"}},
            {"text": "Here is a list."},
            {"toolUse": {"toolUseId": "tooluse_1", "name": "top_song", "input": {"sign": "WZPZ"}}},
            stop="tool_use",
            cacheReadInputTokens=100,
            cacheWriteInputTokens=20,
        )
    )
    (choice,) = found.choices
    assert choice.finish == "tool_calls"
    assert choice.parts == (
        m.Reasoning("hm", signature="anthropic:c2ln"),
        m.Reasoning(encrypted="ZW5j"),
        m.Text("Here is a list."),
        m.ToolCall("tooluse_1", "top_song", '{"sign": "WZPZ"}'),
    )
    assert found.usage == Usage(input=150, output=628, cached=100, cache_written=20)
    assert CONVERSE.usage(whole({"text": "x"})) == Usage(input=30, output=628)


def test_citations_and_what_nobody_knows() -> None:
    web = {"title": "T", "sourceContent": [{"text": "quoted"}], "location": {"web": {"url": "https://h"}}}
    found = CONVERSE.decode_reply(whole({"citationsContent": {"content": [{"text": "said"}], "citations": [web]}}, {"hologram": {"x": 1}}))
    said, unknown = found.choices[0].parts
    assert isinstance(said, m.Text)
    assert isinstance(unknown, m.Opaque)
    assert (said.text, said.citations[0].url, said.citations[0].title, said.citations[0].quote) == ("said", "https://h", "T", "quoted")
    assert (unknown.kind, json.loads(bytes(unknown.raw))) == ("hologram", {"hologram": {"x": 1}})


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "length"),
        ("guardrail_intervened", "filter"),
        ("content_filtered", "filter"),
        ("model_context_window_exceeded", "context"),
    ],
)
def test_why_it_ended(stop: str, finish: str) -> None:
    assert CONVERSE.decode_reply(whole({"text": "x"}, stop=stop)).choices[0].finish == finish
    decoder = ConverseDecoder()
    assert m.Finish(finish) in decoder.feed(event("messageStop", {"stopReason": stop}))  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"output":{}}', b'{"output":{"message":{"content":[{"text":1}]}}}', b"\xff"])
def test_what_is_no_reply(body: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        CONVERSE.decode_reply(body)
    assert CONVERSE.usage(body) is None


def block(index: int, delta: dict[str, Any]) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta, "p": "abcdef"})


def stop(index: int) -> bytes:
    return event("contentBlockStop", {"contentBlockIndex": index})


STREAM = b"".join(
    (
        event("messageStart", {"role": "assistant"}),
        block(0, {"reasoningContent": {"text": "hm"}}),
        block(0, {"reasoningContent": {"signature": "c2ln"}}),
        stop(0),
        block(1, {"text": "hé"}),
        block(1, {"text": "llo"}),
        stop(1),
        event("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "tooluse_1", "name": "weather"}}}),
        block(2, {"toolUse": {"input": '{"city":'}}),
        block(2, {"toolUse": {"input": '"Delft"}'}}),
        stop(2),
        event(
            "contentBlockStart",
            {"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "s", "name": "search", "type": "server_tool_use"}}},
        ),
        block(3, {"toolUse": {"input": '{"q":1}'}}),
        stop(3),
        event("contentBlockStart", {"contentBlockIndex": 4, "start": {"toolUse": {"toolUseId": "tooluse_2", "name": "time"}}}),
        stop(4),
        event("messageStop", {"stopReason": "tool_use"}),
        event(
            "metadata",
            {"usage": {"inputTokens": 9, "outputTokens": 4, "totalTokens": 23, "cacheReadInputTokens": 10}, "metrics": {"latencyMs": 1}},
        ),
    )
)
USED = Usage(input=19, output=4, cached=10)


def decoded(stream: bytes, size: int) -> tuple[list[m.Delta], ConverseDecoder]:
    decoder = ConverseDecoder()
    deltas = [delta for at in range(0, len(stream), size) for delta in decoder.feed(stream[at : at + size])]
    return deltas + decoder.close(), decoder


@pytest.mark.parametrize("size", [1, 7, 97, len(STREAM)])
def test_a_stream_however_it_is_cut(size: int) -> None:
    deltas, decoder = decoded(STREAM, size)
    assert isinstance(deltas[0], m.Begin)
    assert deltas[1:] == [
        m.ReasoningDelta("hm"),
        m.SealDelta(signature="anthropic:c2ln"),
        m.PartEnd(),
        m.TextDelta("hé"),
        m.TextDelta("llo"),
        m.PartEnd(),
        m.ToolBegin(0, "tooluse_1", "weather"),
        m.ArgumentsDelta(0, '{"city":'),
        m.ArgumentsDelta(0, '"Delft"}'),
        m.PartEnd(),
        m.PartEnd(),
        m.ToolBegin(1, "tooluse_2", "time"),
        m.PartEnd(),
        m.Finish("tool_calls"),
        m.UsageDelta(USED),
    ]
    assert (decoder.usage, decoder.finished, decoder.finish_reason) == (USED, True, "tool_use")


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_byte_that_was_changed_is_noticed(at: int, by: int) -> None:
    damaged = STREAM[:at] + bytes([STREAM[at] ^ by]) + STREAM[at + 1 :]
    with pytest.raises(UpstreamError):
        decoded(damaged, 50)


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_whatever_comes_nothing_else_is_raised(data: bytes) -> None:
    for stream in (data, message({":message-type": "event", ":event-type": "contentBlockDelta"}, data)):
        with pytest.raises(UpstreamError):
            decoded(stream, 60)


def test_a_stream_that_is_cut_short_is_a_reset_but_one_without_usage_is_whole() -> None:
    for cut in (0, len(STREAM) // 2):
        with pytest.raises(UpstreamReset):
            decoded(STREAM[:cut], 50)
    _, decoder = decoded(
        event("messageStart", {"role": "assistant"}) + block(0, {"text": "x"}) + event("messageStop", {"stopReason": "end_turn"}), 9
    )
    assert (decoder.finished, decoder.usage, decoder.output_bytes) == (True, None, 1)


def test_an_exception_inside_the_stream_says_its_status() -> None:
    decoder = ConverseDecoder()
    with pytest.raises(UpstreamRefused, match="throttlingException: Too many tokens") as caught:
        decoder.feed(
            event("messageStart", {"role": "assistant"}) + event("throttlingException", {"message": "Too many tokens"}, exception=True)
        )
    assert (caught.value.status, caught.value.upstream_status) == (429, 429)
    with pytest.raises(UpstreamRefused, match="InternalError: oh"):
        decoder.feed(message({":message-type": "error", ":error-code": "InternalError", ":error-message": "oh"}, b""))

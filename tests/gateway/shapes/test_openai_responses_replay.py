from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.gateway.shapes import openai_responses_replay as responses
from penstock.gateway.shapes.openai_responses import OpenAIResponses
from penstock.kernel.errors import UpstreamMalformed

SPOKEN = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hello", "annotations": [{"type": "url_citation", "url": "http://x"}], "logprobs": []}],
}
CALLED = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": []}


def response(*output: Any, **more: Any) -> bytes:
    top = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": list(output)}
    return json.dumps({**top, "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}, **more}).encode()


def test_a_whole_response_is_told_as_a_stream_and_back() -> None:
    body = response(THOUGHT, SPOKEN, CALLED)
    stream = responses.stream(body)
    assert json.loads(responses.whole(stream)) == json.loads(body)
    events = [json.loads(line[6:]) for line in stream.decode().splitlines() if line.startswith("data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta") == "hello"
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == [THOUGHT, SPOKEN, CALLED]
    assert kinds.count("response.output_text.annotation.added") == 1
    tap = OpenAIResponses().tap(keep_usage=True)
    assert tap.feed(stream) == stream
    assert tap.finished
    assert tap.usage is not None
    assert tap.usage.output == 2


def test_what_a_response_says() -> None:
    found = responses.read(response(THOUGHT, SPOKEN, CALLED))
    assert (found.text, found.tools, found.filtered) == ("hello", True, False)
    refused = {**SPOKEN, "content": [{"type": "refusal", "refusal": "no"}]}
    assert responses.read(response(refused)).filtered
    assert b"response.refusal.delta" in responses.stream(response(refused))
    cut = response(SPOKEN, status="incomplete", incomplete_details={"reason": "content_filter"})
    assert responses.read(cut).filtered
    assert b"event: response.incomplete" in responses.stream(cut)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"output": 3}', response(status="failed"), response(status="in_progress")])
def test_what_did_not_end_is_not_told(body: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        responses.stream(body)


@pytest.mark.parametrize("stream", [b"", b"data: {}\n\n", b"data: nothing\n\n", b": a comment\n\n"])
def test_a_stream_without_an_end_has_no_response(stream: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        responses.whole(stream)


def test_no_response_cannot_be_read() -> None:
    with pytest.raises(UpstreamMalformed):
        responses.read(b"nothing")

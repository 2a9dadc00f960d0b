from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.realtime.provider import done, session

from penstock.gateway.realtime import events
from penstock.kernel.call import Usage
from penstock.kernel.errors import BudgetExceeded, MalformedRequest

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
NAMES = ("type", "event_id", "response", "session", "usage", "error", "delta", "audio")


def told(**fields: Any) -> events.Event:
    return events.read(json.dumps({"type": "x", **fields}))


@given(st.text() | st.binary())
def test_anything_is_an_event_or_malformed(message: str | bytes) -> None:
    try:
        event = events.read(message)
    except MalformedRequest:
        return
    assert event.type


@given(st.dictionaries(st.sampled_from(NAMES), json_values))
def test_fields_of_any_kind_are_read_or_ignored(fields: dict[str, Any]) -> None:
    event = told(**{**fields, "type": "x"})
    assert events.response_id(event) == events.response_id(event)
    used = [events.ended(event).usage, events.transcribed(event)]
    assert all(u is None or min(u.input, u.output, u.cached, u.audio_input, u.audio_output, u.audio_ms) >= 0 for u in used)
    assert (events.cap(event) or 1) > 0
    events.terms(event)
    events.complaint(event)
    assert event.id is None or isinstance(event.id, str)


@given(st.integers(min_value=0, max_value=40))
def test_a_message_cut_anywhere_is_malformed(cut: int) -> None:
    message = json.dumps(done())
    with pytest.raises(MalformedRequest):
        events.read(message[: -1 - cut])


@pytest.mark.parametrize("depth", [101, 1000, 100_000])
def test_deep_nesting(depth: int) -> None:
    with pytest.raises(MalformedRequest):
        events.read('{"type": "x", "item": ' + "[" * depth + "]" * depth + "}")
    assert events.read('{"type": "x", "item": ' + "[" * 99 + "]" * 99 + "}").type == "x"


@pytest.mark.parametrize("number", ["9" * 30, "9" * 10_000, "1e400", "-5", "1e-400", "0.5", "true", '"7"', "null"])
def test_giant_and_odd_numbers(number: str) -> None:
    usage = f'{{"input_tokens": {number}, "output_tokens": 3}}'
    event = events.read(f'{{"type": "response.done", "response": {{"id": "r", "usage": {usage}}}}}')
    found = events.ended(event).usage
    assert found is None or found.input == 0
    assert events.cap(events.read(f'{{"type": "response.create", "response": {{"max_output_tokens": {number}}}}}')) is None


def test_invalid_utf8() -> None:
    with pytest.raises(MalformedRequest):
        events.read(b'{"type": "x", "a": "\xff"}')
    with pytest.raises(MalformedRequest):
        events.read('{"type": "x", "a": "\ud800"}')


def test_usage_of_a_response() -> None:
    ended = events.ended(told(**done()))
    assert (ended.id, ended.status) == ("resp_1", "completed")
    # Of the eight tokens of sound four were cached, and are among the 64 that are charged as such.
    assert ended.usage == Usage(input=127, output=148, cached=64, audio_input=4, audio_output=112)
    assert events.ended(told(response={"id": "r", "status": "cancelled"})).usage is None


def test_usage_of_a_transcription() -> None:
    assert events.transcribed(told(usage={"type": "duration", "seconds": 1.5})) == Usage(audio_ms=1500)
    tokens = {"type": "tokens", "input_tokens": 26, "output_tokens": 17, "input_token_details": {"text_tokens": 0, "audio_tokens": 26}}
    assert events.transcribed(told(usage=tokens)) == Usage(input=26, output=17, audio_input=26)
    assert events.transcribed(told()) is None


def test_terms_of_a_session() -> None:
    found = events.terms(told(**session(max_output_tokens="inf")))
    assert found is not None
    assert (found.transcriber, found.most) == ("whisper-1", None)
    assert found.formats == (b'{"type": "audio/pcm", "rate": 24000}',) * 2
    # The beta's names.
    old = events.terms(
        told(session={"input_audio_transcription": {"model": "w"}, "max_response_output_tokens": 9, "input_audio_format": "g711_ulaw"})
    )
    assert old is not None
    assert (old.transcriber, old.most, old.formats) == ("w", 9, (b'"g711_ulaw"', b""))


def test_error_event() -> None:
    told = json.loads(events.error_event(BudgetExceeded("spent"), "mine"))
    assert told["type"] == "error"
    assert told["event_id"].startswith("event_")
    assert told["error"] == {
        "message": "spent",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
        "event_id": "mine",
    }

"""Responses get our id on their way out, and nothing else of them changes, whatever a provider writes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.responses.reply import Rewriter

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON, max_size=5)
OURS = {"id": "resp_ps1", "store": True, "previous_response_id": "resp_ps0"}


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def rewriter() -> Rewriter:
    return Rewriter("resp_ps1", "resp_ps0", stored=True)


@given(OBJECTS)
def test_only_what_is_ours_changes(response: dict[str, Any]) -> None:
    assert json.loads(rewriter().response(json.dumps(response).encode())) == {**response, **OURS}


@given(st.binary(max_size=60))
def test_what_is_no_event_goes_through(chunk: bytes) -> None:
    assert rewriter().events(chunk)[0].replace(b"\n", b"") == chunk.replace(b"\n", b"")


def test_each_event_with_a_response_is_rewritten_and_the_last_one_is_known() -> None:
    begun = {"id": "resp_theirs", "status": "in_progress"}
    ended = {"id": "resp_theirs", "status": "completed", "output": [{"type": "message"}], "new": 1}
    said = event("response.output_text.delta", delta='a "response": {"id": "x"} in words')
    first = event("response.created", response=begun, sequence_number=0)
    out, response = rewriter().events(first + said)
    assert response is None
    created, delta = [json.loads(line[5:]) for line in out.split(b"\n") if line.startswith(b"data:")]
    assert created == {"type": "response.created", "response": {**begun, **OURS}, "sequence_number": 0}
    assert delta["delta"] == 'a "response": {"id": "x"} in words'
    assert out.count(b"\n\n") == 2
    out, response = rewriter().events(said + event("response.completed", response=ended))
    assert response is not None
    assert json.loads(response) == {**ended, **OURS}
    assert not rewriter().concerns(event("response.output_text.delta", delta="plain"))


def test_what_could_not_be_stored_says_so() -> None:
    one = rewriter()
    one.stored = False
    assert json.loads(one.response(b"{}"))["store"] is False
    assert one.response(b"[1]") == b"[1]"

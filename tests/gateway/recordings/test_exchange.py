from __future__ import annotations

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway.recordings.exchange import (
    REDACTED,
    Exchange,
    fields_of,
    from_line,
    kept_headers,
    keys_of,
    to_line,
)
from penstock.kernel.errors import MalformedRequest, SettingsError

CHAT = "openai.chat"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
requests = st.dictionaries(st.text(max_size=8), json_values, max_size=5)
times = st.floats(0, 1e6).map(lambda ms: round(ms, 3))


def fields(**values: object) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in values.items()}


def exact(**values: object) -> str:
    return keys_of(CHAT, fields(**values)).exact


def loose(**values: object) -> str:
    return keys_of(CHAT, fields(**values)).loose


MESSAGES = [{"role": "user", "content": "How many?"}]


def test_key_of_the_first_version_never_changes():
    # Recordings are kept for years: this digest pins the canonical form.
    expected = "a383ca31bccb0d0eed625deebe457a083dcd1be225eb7f5c1044a33c8fe8b064"
    assert exact(model="m", messages=MESSAGES, temperature=0) == expected


def test_transport_fields_do_not_count():
    plain = exact(model="m", messages=MESSAGES)
    assert exact(model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}, user="u", metadata={"a": 1}) == plain


@pytest.mark.parametrize("change", [{"model": "n"}, {"messages": []}, {"temperature": 1}, {"tools": [{"type": "function"}]}, {"n": 2}])
def test_everything_else_counts(change: dict[str, object]):
    assert exact(**{"model": "m", "messages": MESSAGES, **change}) != exact(model="m", messages=MESSAGES)


def test_shape_counts():
    asked = fields(model="m", messages=MESSAGES)
    assert keys_of(CHAT, asked) != keys_of("anthropic.messages", asked)


def test_loose_key_leaves_out_sampling_alone():
    plain = exact(model="m", messages=MESSAGES)
    assert loose(model="m", messages=MESSAGES, temperature=0.3, max_tokens=5, seed=1) == plain
    assert loose(model="m", messages=MESSAGES, n=2) != plain


def test_two_names_of_the_output_cap_are_one():
    assert exact(model="m", max_tokens=7) == exact(model="m", max_completion_tokens=7)


def test_one_text_part_is_its_text():
    parts = [{"role": "user", "content": [{"type": "text", "text": "How many?"}]}]
    assert exact(model="m", messages=parts) == exact(model="m", messages=MESSAGES)
    hinted = [{"role": "user", "content": [{"type": "text", "text": "How many?", "cache_control": {"type": "ephemeral"}}]}]
    assert exact(model="m", messages=hinted) != exact(model="m", messages=MESSAGES)


def test_model_can_be_replaced():
    assert keys_of(CHAT, fields(model="alias", messages=MESSAGES), "m").exact == exact(model="m", messages=MESSAGES)


def test_huge_numbers_have_a_key():
    assert exact(model="m", seed=1e300) != exact(model="m", seed=10**30)


def test_null_is_missing_and_whole_floats_are_integers():
    assert exact(model="m", temperature=1.0, stop=None) == exact(model="m", temperature=1)


@given(requests)
def test_order_and_white_space_do_not_count(request_: dict[str, object]):
    shuffled = dict(reversed(request_.items()))
    spaced = {name: msgspec.Raw(json.dumps(value, indent=3).encode()) for name, value in shuffled.items()}
    assert keys_of(CHAT, fields(**request_)) == keys_of(CHAT, spaced)


def test_what_is_not_json_is_a_malformed_request():
    with pytest.raises(MalformedRequest):
        keys_of(CHAT, {"model": b"{"})
    with pytest.raises(MalformedRequest):
        keys_of(CHAT, {"messages": b"[" * 100_000 + b"]" * 100_000})
    with pytest.raises(MalformedRequest):
        fields_of(b"[]")


@given(requests, st.binary(max_size=200), st.integers(100, 599), times, times)
def test_whole_reply_survives_the_disk(request_: dict[str, object], body: bytes, status: int, first: float, total: float):
    before = Exchange(shape=CHAT, request=fields(**request_), status=status, body=body, first_byte_ms=first, total_ms=total)
    line = to_line(before)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    after = from_line(line)
    assert (after.body, after.chunks, after.status) == (body, None, status)
    assert (after.first_byte_ms, after.total_ms) == (first, total)
    assert keys_of(CHAT, after.request) == keys_of(CHAT, before.request)


@given(st.lists(st.tuples(times, st.binary(max_size=20)), max_size=10))
def test_chunks_survive_the_disk(chunks: list[tuple[float, bytes]]):
    after = from_line(to_line(Exchange(shape=CHAT, request={}, chunks=chunks)))
    assert after.body is None
    assert after.chunks == chunks


def test_a_character_cut_in_two_by_the_network_survives():
    euro = "€".encode()
    chunks = [(1.0, b"data: " + euro[:1]), (2.0, euro[1:])]
    assert from_line(to_line(Exchange(shape=CHAT, request={}, chunks=chunks))).chunks == chunks


def test_request_values_stay_as_written_but_for_white_space():
    written = msgspec.Raw(b'{ "b": 1.50,\n "a": "\\u00e9" }')
    after = from_line(to_line(Exchange(shape=CHAT, request={"x": written}, body=b"")))
    assert bytes(after.request["x"]) == b'{"b":1.50,"a":"\\u00e9"}'


def test_no_credential_is_written():
    request = fields(
        model="m",
        tools=[{"type": "mcp", "server_url": "https://x", "authorization": "Bearer s3cret"}],
        mcp_servers=[{"authorization_token": "s3cret", "API_KEY": "s3cret"}],
    )
    headers = [("set-cookie", "s3cret"), ("authorization", "s3cret"), ("openai-organization", "acme"), ("content-type", "application/json")]
    line = to_line(Exchange(shape=CHAT, request=request, headers=headers, body=b"{}"))
    assert b"s3cret" not in line
    assert b"acme" not in line
    assert REDACTED.encode() in line
    assert json.loads(line)["headers"] == [["content-type", "application/json"]]
    # and the request is still found by its key, whatever the secret is next time
    again = fields(
        model="m",
        tools=[{"type": "mcp", "server_url": "https://x", "authorization": "Bearer other"}],
        mcp_servers=[{"authorization_token": "other", "API_KEY": "other"}],
    )
    assert json.loads(line)["key"] == keys_of(CHAT, again).exact


def test_a_schema_property_with_a_secret_sounding_name_is_kept():
    tools = [{"function": {"parameters": {"properties": {"password": {"type": "string"}}}}}]
    after = from_line(to_line(Exchange(shape=CHAT, request=fields(tools=tools), body=b"")))
    assert json.loads(bytes(after.request["tools"])) == tools


def test_headers_are_an_allow_list():
    assert kept_headers([("X-RateLimit-Remaining", "1"), ("Retry-After", "2"), ("Cookie", "no"), ("X-Api-Key", "no")]) == [
        ("x-ratelimit-remaining", "1"),
        ("retry-after", "2"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'{"shape":"s","request":{}}',
        b'{"shape":"s","request":{},"body_base64":"*"}',
        b'{"shape":"s","request":{},"body":"a","chunks":[]}',
        b'{"shape":"s","request":{},"body":"\xff"}',
    ],
)
def test_what_is_no_exchange_is_refused(line: bytes):
    with pytest.raises(SettingsError):
        from_line(line)


def test_lines_of_the_first_version_parse_for_ever():
    text = b'{"shape":"openai.chat","request":{"model":"m"},"key":"00","status":429,"headers":[["retry-after","2"]],"body":"{}"}'
    raw = base64.b64encode(b"\xff").decode()
    chunked = b'{"shape":"s","request":{},"chunks":[[1,"a"],[2.5,"b"]],"first_byte_ms":1,"total_ms":2.5,"recorded_at":1.5,"meta":{"x":1}}'
    refused, binary, streamed = (
        from_line(text),
        from_line(b'{"shape":"s","request":{},"body_base64":"%s"}' % raw.encode()),
        from_line(chunked),
    )
    assert (refused.status, refused.body, refused.model) == (429, b"{}", "m")
    assert binary.body == b"\xff"
    assert streamed.chunks == [(1.0, b"a"), (2.5, b"b")]
    assert streamed.meta == {"x": 1}

from __future__ import annotations

import json

import msgspec
import pytest

from penstock.kernel.call import Call, Trace
from penstock.observability.payloads import CONDENSED, OMITTED, RAW, SLACK, Entry, PayloadKeeper, decode_pack, encode_pack, keep_bytes
from penstock.observability.redaction import Redactor
from penstock.observability.transcript import read_condensed

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz012345"


def a_call(body: bytes, reply: list[bytes], *, stream: bool = False, operation: str = "chat") -> Call:
    call = Call(operation=operation, shape=f"openai.{operation}", credential=None, deadline=0, trace=Trace.begin(), body=body)
    call.reply_text = reply
    call.stream = stream
    return call


def keep(mode: str, call: Call, most: int = 10_000) -> Entry:
    kept = PayloadKeeper(mode, most, Redactor()).kept(call)
    assert kept is not None
    entry = decode_pack(encode_pack([kept.entry]))[0]
    # What spans are made of is what is stored.
    assert (kept.request, kept.reply) == (entry.request.content(), entry.reply.content())
    return entry


def events(*words: str) -> list[bytes]:
    chunks = [{"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in words]
    return [b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks]


def test_none_keeps_nothing() -> None:
    assert PayloadKeeper("none", 100, Redactor()).kept(a_call(b"x", [b"y"])) is None
    assert keep_bytes("none", 100) == keep_bytes("full", 0) == 0


def test_full_keeps_the_bytes_and_redacted_counts_what_it_replaced() -> None:
    call = a_call(SECRET.encode(), [b"a", b"b"])
    full = keep("full", call)
    assert (full.request.content(), full.request.redacted, full.reply.content(), full.reply.form) == (SECRET.encode(), 0, b"ab", RAW)
    redacted = keep("redacted", call)
    assert (redacted.request.content(), redacted.request.redacted) == (b"[redacted: api-key]", 1)


def test_large_sides_are_compressed() -> None:
    side = keep("full", a_call(b"word " * 1900, [])).request
    assert side.compressed
    assert len(side.data) < 500
    assert side.content() == b"word " * 1900


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_a_secret_across_the_cap_is_not_kept_in_part(at: int) -> None:
    most = 1000
    padding = "x " * 600
    body = (SECRET + " " + padding)[: most - at]
    body += " " + SECRET + padding
    side = keep("redacted", a_call(body.encode(), []), most).request
    assert side.cut
    assert len(side.data) <= most
    assert b"sk-proj" not in side.content()


def test_what_the_stage_keeps_is_enough_to_know_of_the_cut() -> None:
    most = 1000
    kept = b"x" * keep_bytes("redacted", most)
    assert len(kept) == most + SLACK + 1
    assert keep("redacted", a_call(b"", [kept]), most).reply.cut
    assert not keep("redacted", a_call(b"", [b"x" * most]), most).reply.cut


def test_a_secret_spread_over_chunks_is_found() -> None:
    halves = [SECRET[:10], SECRET[10:20], SECRET[20:]]
    reply = keep("redacted", a_call(b"", [*events("the key is ", *halves, "."), b"data: [DONE]\n\n"], stream=True)).reply
    assert (reply.form, reply.redacted) == (CONDENSED, 1)
    found = read_condensed(reply.content())
    assert found is not None
    assert found.turns[0].parts[0].text == "the key is [redacted: api-key]."


def test_a_stream_cut_in_the_middle_of_an_event_is_condensed_as_far_as_it_came() -> None:
    data = b"".join(events("one ", "two ", "three"))
    reply = keep("redacted", a_call(b"", [data[:-20]], stream=True)).reply
    assert reply.form == CONDENSED
    found = read_condensed(reply.content())
    assert found is not None
    assert found.turns[0].parts[0].text == "one two "


def test_a_stream_that_cannot_be_read_is_kept_as_it_was() -> None:
    assert keep("redacted", a_call(b"", [b"data: {broken}\n\n"], stream=True)).reply.form == RAW


def test_vectors_are_left_out_and_their_errors_are_not() -> None:
    call = a_call(b'{"input":"x"}', [b'{"data":[]}'], operation="embeddings")
    assert (keep("full", call).reply.form, keep("full", call).reply.data) == (OMITTED, b"")


def test_packs_of_the_first_version_can_be_read() -> None:
    old = msgspec.msgpack.encode([["call_1", [b"ask", 3], [b"told", 4, "condensed", True, False, 2]]])
    (entry,) = decode_pack(old)
    assert (entry.call, entry.request.content(), entry.reply.cut, entry.reply.redacted) == ("call_1", b"ask", True, 2)

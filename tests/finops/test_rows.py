"""The ledger row as it is journalled: nothing is lost on the way, old journals are read, and any name can be written down."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.finops.samples import ledger_row, texts

from penstock.finops.money import UnitPrices
from penstock.finops.rows import NAME_LENGTH, LedgerRow, decode, encode, plain, row_of
from penstock.kernel.call import Attempt, Call, Target, Trace, Usage
from penstock.kernel.principal import Principal
from penstock.storage.spool import MAX_ENTRY

maybe = st.none() | texts
count = st.integers(0, 2**60)
rows = st.builds(
    LedgerRow, id=texts, at=count, organisation=maybe, team=maybe, project=maybe, person=maybe, key_id=maybe, task=maybe, model=texts,
    provider=maybe, provider_model=maybe, operation=texts, usage=st.builds(Usage, input=count, output=count, cached=count),
    prices=st.none() | st.builds(UnitPrices, input=count), amount=st.integers(-(2**60), 2**60), currency=texts, status=texts,
    trace_id=texts,    labels=st.dictionaries(texts, texts, max_size=4), corrects=maybe, reason=maybe, by=maybe,
)  # fmt: skip


@given(rows)
def test_a_row_is_read_back_as_it_was_written(row: LedgerRow) -> None:
    assert decode(encode(row)) == row


def test_a_row_that_an_earlier_version_wrote_is_read() -> None:
    # Before corrections, written 2026-11: 19 fields.
    written = msgspec.msgpack.encode(msgspec.msgpack.decode(encode(ledger_row("call_old")))[:19])
    assert decode(written) == ledger_row("call_old")


@pytest.mark.parametrize("data", [b"", b"\x90", b"\xc1", b"\x93\x01\x02\x03", b"\xdc\x00\x13" + b"\xc0" * 19])
def test_what_is_no_row_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(data)


@given(st.text())
def test_any_text_becomes_one_that_databases_take(text: str) -> None:
    made = plain(text)
    assert "\0" not in made
    made.encode()
    assert len(made) == len(text)
    assert plain(made) == made


def test_half_surrogates_and_nul_are_replaced_and_nothing_else() -> None:
    assert plain("a\0b") == "a�b"
    assert plain("ü\0\ud800 \U0001f600") == "ü�� \U0001f600"
    assert decode(encode(ledger_row("call_x", model="p/m\0", task="t\0"))) == ledger_row("call_x", model="p/m�", task="t�")


def a_call(model: str = "m") -> Call:
    call = Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin())
    call.model = model
    return call


def test_the_row_of_a_served_call_names_who_served_it() -> None:
    call = a_call("alias")
    call.principal = Principal(key_id="key", name="n", organisation="org", team="team", project="project", person="person")
    call.task, call.labels = "task", {"a": "b"}
    call.target = Target("p", "real", "alias")
    call.attempts.append(Attempt(provider="other", model="tried", started_ms=0.0))
    row = row_of(call, Usage(input=3), UnitPrices(input=5), 7, "ok")
    assert (row.id, row.at, row.trace_id) == (call.id, int(call.started_at * 1000), call.trace.trace_id)
    assert (row.organisation, row.team, row.project, row.person, row.key_id) == ("org", "team", "project", "person", "key")
    assert (row.task, row.model, row.provider, row.provider_model, row.labels) == ("task", "alias", "p", "real", {"a": "b"})
    assert (row.usage, row.prices, row.amount, row.status, row.corrects) == (Usage(input=3), UnitPrices(input=5), 7, "ok", None)


def test_the_row_of_a_failed_call_names_who_was_tried_last() -> None:
    call = a_call()
    call.attempts += [Attempt(provider="a", model="m1", started_ms=0.0), Attempt(provider="b", model="m2", started_ms=1.0)]
    row = row_of(call, Usage(), None, 0, "failed")
    assert (row.provider, row.provider_model, row.key_id, row.task) == ("b", "m2", None, None)
    nobody = row_of(a_call(), Usage(), None, 0, "cancelled")
    assert (nobody.provider, nobody.provider_model) == (None, None)


def test_the_longest_row_fits_into_the_journal() -> None:
    call = a_call("\U0001f600" * 10_000)
    call.task = "\U0001f600" * 200
    call.labels = {f"{n:02d}" + "\U0001f600" * 98: "\U0001f600" * 100 for n in range(16)}
    call.target = Target("p", "\U0001f600" * 10_000, "m")
    row = row_of(call, Usage(input=2**60), UnitPrices(input=2**60), 2**60, "cancelled")
    assert len(row.model) == NAME_LENGTH
    assert len(encode(row)) <= MAX_ENTRY

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kernel.call import Call, Trace

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def a_call() -> Call:
    return Call(operation="chat", shape="openai.chat", credential="psk_secret", deadline=0.0, trace=Trace.begin(), body=b"private")


def test_a_callers_trace_goes_on_under_a_span_of_our_own() -> None:
    trace = Trace.begin(PARENT, "vendor=1")
    assert trace.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert trace.parent_id == "b7ad6b7169203331"
    assert trace.span_id != trace.parent_id
    assert trace.header() == f"00-{trace.trace_id}-{trace.span_id}-01"
    assert trace.state == "vendor=1"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00-short",
        PARENT.upper(),
        PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        PARENT.replace("b7ad6b7169203331", "0" * 16),
        "ff" + PARENT[2:],
        PARENT + "-extra",
        PARENT.replace("-", "_"),
    ],
)
def test_a_header_that_is_not_valid_starts_a_new_trace(header: str | None) -> None:
    trace = Trace.begin(header)
    assert trace.parent_id is None
    assert len(trace.trace_id) == 32
    assert trace.trace_id != "0af7651916cd43dd8448eb211c80319c"


@given(st.text(max_size=80))
def test_no_header_breaks_the_reader(header: str) -> None:
    assert len(Trace.begin(header).header()) == 55


def test_a_future_version_may_say_more() -> None:
    assert Trace.begin("01" + PARENT[2:] + "-more").parent_id == "b7ad6b7169203331"


def test_the_end_is_told_once_to_everyone() -> None:
    call, told = a_call(), list[str]()
    call.at_end(lambda _: told.append("first"))
    call.at_end(lambda _: told.append("second"))
    call.end()
    call.end()
    assert sorted(told) == ["first", "second"]


def test_a_call_shows_neither_its_credential_nor_its_body() -> None:
    assert "secret" not in repr(a_call())
    assert "private" not in repr(a_call())


def test_ids_made_later_sort_later() -> None:
    assert a_call().id.startswith("call_")
    assert len({a_call().id for _ in range(1000)}) == 1000

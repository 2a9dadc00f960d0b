from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kernel.errors import MalformedRequest
from penstock.kernel.form import Event, Field, FileBegin, FileEnd, FormReader, is_form, safe_filename

TYPE = "multipart/form-data; boundary=XX"


def read(body: bytes, cuts: list[int] | None = None) -> list[Event]:
    reader = FormReader(TYPE)
    at = 0
    events: list[Event] = []
    for cut in [*sorted(cuts or []), len(body)]:
        events += reader.feed(body[at:cut])
        at = max(at, cut)
    reader.close()
    return events


def joined(events: list[Event]) -> list[Event]:
    """The same with neighbouring bytes strung together."""
    out: list[Event] = []
    for event in events:
        if isinstance(event, bytes) and out and isinstance(out[-1], bytes):
            out[-1] += event
        elif event != b"":
            out.append(event)
    return out


@given(content=st.binary(max_size=300), value=st.text(max_size=30), cuts=st.lists(st.integers(0, 500), max_size=8))
def test_however_the_body_is_cut_the_same_comes_out(content: bytes, value: str, cuts: list[int]) -> None:
    content = content.replace(b"--XX", b"")
    head = b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n%s\r\n' % value.replace("--XX", "").encode()
    file = b'--XX\r\nContent-Disposition: form-data; name="f"; filename="x/y.bin"\r\nContent-Type: image/png\r\n\r\n%s\r\n' % content
    body = head + file + b"--XX--\r\n"
    found = joined(read(body, [min(cut, len(body)) for cut in cuts]))
    assert found[0] == Field("a", value.replace("--XX", ""))
    assert found[1] == FileBegin("f", "y.bin", "image/png")
    assert found[2:] == ([content, FileEnd()] if content else [FileEnd()])


@given(st.binary(max_size=400))
def test_no_body_makes_it_fail_otherwise_than_it_says(body: bytes) -> None:
    with contextlib.suppress(MalformedRequest):
        read(b"--XX\r\n" + body)


@given(st.text(max_size=200))
def test_no_name_of_a_file_leads_anywhere(name: str) -> None:
    safe = safe_filename(name)
    assert 0 < len(safe) <= 200
    assert safe not in (".", "..")
    assert not set(safe) & set('/\\"\r\n\0')


@pytest.mark.parametrize("media", ["text/html\r\nX: y", "nonsense", "a/b; c", "", "x" * 500])
def test_a_type_that_is_none_becomes_bytes(media: str) -> None:
    body = f'--XX\r\nContent-Disposition: form-data; name="f"; filename="a"\r\nContent-Type: {media}\r\n\r\nx\r\n--XX--\r\n'
    begin = read(body.encode())[0]
    assert isinstance(begin, FileBegin)
    assert begin.media == ("text/html" if media.startswith("text/html") else "application/octet-stream")


def test_what_stands_behind_the_end_is_nothing() -> None:
    reader = FormReader(TYPE)
    assert reader.feed(b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--XX--\r\n') == [Field("a", "1")]
    assert reader.feed(b'--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\n2\r\n--XX--\r\n') == []
    reader.close()


def test_which_bodies_are_forms() -> None:
    assert is_form("Multipart/Form-Data; boundary=x")
    assert not is_form("application/json")
    assert not is_form(None)

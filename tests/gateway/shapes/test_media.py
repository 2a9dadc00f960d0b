from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway.shapes.media import from_file_data, from_url, text_of, to_url
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.messages import Inline, Link


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://x/y.png", Link("https://x/y.png")),
        ("data:image/png;base64,QUJD", Inline("image/png", "QUJD")),
        ("DATA:image/png;base64,QUJD", Inline("image/png", "QUJD")),
        ("data:image/png;charset=x;base64,QUJD", Inline("image/png", "QUJD")),
        ("data:;base64,QUJD", Inline("text/plain", "QUJD")),
        ("data:,a%20b", Inline("text/plain", base64.b64encode(b"a b").decode())),
        ("data:text/html,%3Cp%3E", Inline("text/html", base64.b64encode(b"<p>").decode())),
    ],
)
def test_urls(url: str, found: Inline | Link) -> None:
    assert from_url(url, "there") == found


def test_a_data_url_without_a_comma_names_its_place() -> None:
    with pytest.raises(MalformedRequest, match=r"'messages\[0\]\.url'") as caught:
        from_url("data:image/png;base64", "messages[0].url")
    assert caught.value.param == "messages[0].url"


@given(st.binary(max_size=30), st.sampled_from(["image/png", "audio/wav", "application/pdf"]))
def test_what_is_inline_comes_back_from_its_url(content: bytes, kind: str) -> None:
    source = Inline(kind, base64.b64encode(content).decode())
    assert from_url(to_url(source), "there") == source


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.pdf", "application/pdf"),
        ("A.MD", "text/markdown"),
        ("a.tar.gz", "application/pdf"),
        (None, "application/pdf"),
        ("csv", "text/csv"),
    ],
)
def test_the_type_of_bare_base64_is_told_by_the_files_name(name: str | None, kind: str) -> None:
    assert from_file_data("QUJD", name, "there") == Inline(kind, "QUJD")


def test_a_data_url_tells_the_type_itself() -> None:
    assert from_file_data("data:text/csv;base64,QUJD", "a.pdf", "there") == Inline("text/csv", "QUJD")


@pytest.mark.parametrize(("data", "text"), [("w6k=", "é"), ("/w==", None), ("not base64!", None), ("", "")])
def test_the_text_inside(data: str, text: str | None) -> None:
    assert text_of(Inline("text/plain", data)) == text

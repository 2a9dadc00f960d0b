"""What stands between marks cannot end them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.quality.graders.verdict import enclosed, read_comparison, read_mark


@given(st.text())
def test_no_text_ends_its_own_marks(text: str) -> None:
    made = enclosed("answer", text)
    mark = made.split("\n", 1)[0][1:-1]
    assert made.endswith(f"\n</{mark}>")
    assert f"</{mark}>" not in text
    # Not even one that knows how it would be marked.
    assert enclosed("answer", f"{text}</{mark}>").count(f"</{mark}>") == 1
    assert not enclosed("answer", f"{text}</{mark}>").endswith(f"</{mark}>")


@given(st.text())
def test_anything_can_be_said(reply: str) -> None:
    read_mark(reply)
    read_comparison(reply)

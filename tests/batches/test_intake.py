"""The requests of an inline batch, out of a body that comes in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.batches.intake import InlineRequest, Requests
from penstock.kernel.errors import BodyTooLarge, PenstockError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)
PARAMS = st.dictionaries(st.text(), JSON, max_size=4)


def read(body: bytes, cuts: list[int], most: int = 1 << 20) -> list[InlineRequest]:
    requests, found, at = Requests(most), [], 0
    for cut in [*cuts, len(body) + 1]:
        found += requests.feed(body[at : at + cut])
        at += cut
    requests.end()
    return found


@settings(max_examples=50)
@given(st.lists(PARAMS, max_size=3), st.lists(st.integers(1, 30)), st.sampled_from([None, 1]), st.booleans())
def test_however_it_is_cut_the_requests_are_the_same(
    params: list[dict[str, Any]], cuts: list[int], indent: int | None, ascii: bool
) -> None:
    wanted = [{"custom_id": f"r{i}", "params": one} for i, one in enumerate(params)]
    body = json.dumps({"requests": wanted}, indent=indent, ensure_ascii=ascii).encode("utf-8", "replace")
    found = read(body, cuts)
    shown = json.loads(body)["requests"]
    assert [{"custom_id": r.custom_id, "params": json.loads(bytes(r.params))} for r in found] == shown


@given(st.binary(max_size=60), st.lists(st.integers(1, 9)))
def test_whatever_comes_is_read_or_refused(tail: bytes, cuts: list[int]) -> None:
    for body in (tail, b'{"requests": [' + tail, b'{"requests": [{"custom_id": "a", "params": {}}' + tail):
        try:
            read(body, cuts)
        except PenstockError:
            continue
        json.loads(body)


def test_one_that_does_not_end_is_not_held() -> None:
    requests = Requests(1000)
    assert list(requests.feed(b'{"requests": [{"custom_id": "a' + b"x" * 900)) == []
    with pytest.raises(BodyTooLarge):
        list(requests.feed(b"x" * 500))
    assert len(requests._held) < 3000

"""Vectors, packed and not."""

from __future__ import annotations

import pytest

from penstock.gateway.shapes.embedding import EmbeddingRequest, expect_count, pack, unpack
from penstock.kernel.errors import UpstreamMalformed


def test_packed_vectors_are_little_endian_floats() -> None:
    assert pack((0.5, -2.0)) == "AAAAPwAAAMA="
    assert unpack("AAAAPwAAAMA=") == (0.5, -2.0)


@pytest.mark.parametrize("text", ["no base64", "AAA=", "AA=="])
def test_what_is_no_vector(text: str) -> None:
    with pytest.raises(UpstreamMalformed):
        unpack(text)


def test_numbers_that_no_float_holds() -> None:
    with pytest.raises(UpstreamMalformed):
        pack((1e300,))


def test_every_text_has_its_vector() -> None:
    request = EmbeddingRequest(shape="x", texts=("a", "b"))
    expect_count(2, request)
    with pytest.raises(UpstreamMalformed, match="1 vectors for 2"):
        expect_count(1, request)

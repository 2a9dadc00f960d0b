"""What a path and a query say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from penstock.gateway.address import Address, is_googles, key_in_query
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.web import EdgeScope

WHOLE = Address.of("/v1beta/models/{model}:generateContent")
STREAM = Address.of("/v1beta/models/{model}:streamGenerateContent", stream=True)


def scope(path: str, query: str = "", **headers: str) -> EdgeScope:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return cast("EdgeScope", SimpleNamespace(path=path, query_string=query, headers=given))


@pytest.mark.parametrize(
    ("written", "model"), [("g", "g"), ("a%2Fb", "a/b"), ("a/b", "a/b"), ("task:support", "task:support"), ("gemini-2.5", "gemini-2.5")]
)
def test_the_model_of_a_path(written: str, model: str) -> None:
    assert WHOLE.model(scope(f"/v1beta/models/{written}:generateContent")) == model
    assert STREAM.model(scope(f"/v1beta/models/{written}:streamGenerateContent", "alt=sse")) == model


@pytest.mark.parametrize("written", ["", "m" * 513])
def test_a_path_without_a_model(written: str) -> None:
    with pytest.raises(MalformedRequest):
        WHOLE.model(scope(f"/v1beta/models/{written}:generateContent"))


@pytest.mark.parametrize("query", ["", "alt=json", "alternative=sse", "malt=sse"])
def test_a_stream_must_be_one_of_events(query: str) -> None:
    with pytest.raises(MalformedRequest, match="alt=sse"):
        STREAM.model(scope("/v1beta/models/g:streamGenerateContent", query))


def test_the_key_of_a_query() -> None:
    assert key_in_query(scope("/", "alt=sse&key=psk_a%2Bb")) == "psk_a+b"
    assert key_in_query(scope("/", "monkey=x")) is None
    assert key_in_query(scope("/", "key=")) is None
    with pytest.raises(MalformedRequest):
        key_in_query(scope("/", "&".join(["key=x"] * 100)))


@pytest.mark.parametrize(
    ("asks", "is_it"),
    [
        ({"x_goog_api_key": "k"}, True),
        ({"x_goog_api_client": "gl-python"}, True),
        ({"query": "key=k"}, True),
        ({"authorization": "Bearer k"}, False),
    ],
)
def test_whose_client_it_is(asks: dict[str, Any], is_it: bool) -> None:
    assert is_googles(scope("/v1/models", **asks)) is is_it

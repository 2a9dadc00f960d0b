"""Embeddings between OpenAI's shape and Google's two (https://ai.google.dev/api/embeddings)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.gateway.shapes import SHAPES
from penstock.gateway.shapes.google_embeddings import GoogleBatchEmbed, GoogleEmbed
from penstock.gateway.shapes.openai_embeddings import OpenAIEmbeddings
from penstock.kernel.errors import MalformedRequest, NotExpressible, UpstreamMalformed

OPENAI, ONE, BATCH = OpenAIEmbeddings(), GoogleEmbed(), GoogleBatchEmbed()
Shape = OpenAIEmbeddings | GoogleEmbed | GoogleBatchEmbed


def sent(start: Shape, body: dict[str, Any], to: Shape) -> Any:
    request = start.decode_request(start.read(json.dumps(body).encode())[0])
    return json.loads(to.encode_request(request, model="theirs"))


def item(text: str, **more: Any) -> dict[str, Any]:
    return {"content": {"parts": [{"text": text}]}, **more}


def test_one_text_and_many() -> None:
    asked = {"model": "m", "input": ["a", "b"], "dimensions": 5, "user": "u"}
    assert sent(OPENAI, asked, BATCH) == {
        "requests": [item(text, model="models/theirs", outputDimensionality=5) for text in "ab"],
    }
    assert sent(OPENAI, {"model": "m", "input": "a"}, ONE) == item("a")
    assert sent(ONE, item("a", task_type="CLUSTERING", output_dimensionality=5), BATCH)["requests"] == [
        item("a", model="models/theirs", taskType="CLUSTERING", outputDimensionality=5)
    ]
    assert sent(BATCH, {"requests": [item("a", outputDimensionality=5), item("b", outputDimensionality=5)]}, OPENAI) == {
        "model": "theirs",
        "input": ["a", "b"],
        "dimensions": 5,
    }
    with pytest.raises(NotExpressible):
        sent(OPENAI, asked, ONE)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"requests": [item("a", outputDimensionality=5), item("b")]}, "requests.outputDimensionality"),
        ({"requests": [item("a", autoTruncate=True)]}, "autoTruncate"),
        (
            {"requests": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}}]},
            "requests[0].content.parts[0]",
        ),
    ],
)
def test_what_others_do_not_embed_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    with pytest.raises(NotExpressible) as fault:
        sent(BATCH, body, OPENAI)
    assert fault.value.param == param


@pytest.mark.parametrize("body", [{"requests": []}, {"requests": [{}]}, {"requests": [{"content": {"parts": []}}]}, {"requests": [5]}])
def test_requests_that_ask_for_nothing(body: dict[str, Any]) -> None:
    with pytest.raises(MalformedRequest):
        sent(BATCH, body, OPENAI)


def test_replies_both_ways_packed_when_that_is_what_was_asked_for() -> None:
    request = OPENAI.decode_request(OPENAI.read(b'{"model": "m", "input": ["a", "b"], "encoding_format": "base64"}')[0])
    vectors = BATCH.decode_reply(b'{"embeddings": [{"values": [0.5]}, {"values": [-2.0]}], "usageMetadata": {"promptTokenCount": 7}}')
    out = json.loads(OPENAI.encode_reply(vectors, model="m", request=request))
    assert [row["embedding"] for row in out["data"]] == ["AAAAPw==", "AAAAwA=="]
    assert out["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    again = OPENAI.decode_reply(json.dumps(out).encode())
    assert json.loads(ONE.encode_reply(again, model="m", request=request)) == {
        "embedding": {"values": [0.5]},
        "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7},
    }


@pytest.mark.parametrize("body", [b"", b"{}", b'{"embeddings": [{"values": ["x"]}]}', b"\xff"])
@pytest.mark.parametrize("name", ["google.embed", "openai.embeddings"])
def test_replies_that_are_none(name: str, body: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        SHAPES[name].decode_reply(body)  # type: ignore[attr-defined]


def test_the_name_in_every_request_is_the_providers() -> None:
    fields, _ = BATCH.read(json.dumps({"requests": [item("a", model="models/ours", later=1)]}).encode())
    out = json.loads(BATCH.upstream_body(fields, model="theirs", stream=False, want_usage=False))
    assert out["requests"] == [item("a", model="models/theirs", later=1)]

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.gateway.shapes.rerank import COHERE, JINA, CohereRerank, JinaRerank
from penstock.kernel.call import Usage
from penstock.kernel.errors import MalformedRequest, NotExpressible, UpstreamMalformed

ASKED = {"model": "r", "query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}
# From https://docs.cohere.com/v2/reference/rerank and https://api.jina.ai/redoc, shortened.
COHERE_REPLY = b'{"results":[{"index":1,"relevance_score":0.9}],"id":"07734bd2","meta":{"billed_units":{"search_units":1}}}'
JINA_REPLY = (
    b'{"model":"jina-reranker-v2","usage":{"total_tokens":815},"results":[{"index":1,"document":{"text":"b"},"relevance_score":0.9}]}'
)


def fields(body: dict[str, Any], shape: JinaRerank | CohereRerank) -> Any:
    return shape.read(json.dumps(body).encode())[0]


def test_what_a_call_may_cost_is_counted_in_hundreds_of_documents() -> None:
    for documents, searches in ((1, 1), (100, 1), (101, 2), (0, 1)):
        _, head = CohereRerank().read(json.dumps({**ASKED, "documents": ["x"] * documents}).encode())
        assert head.expected == Usage(searches=searches)


def test_usage_is_told_in_either_measure() -> None:
    for shape in (JinaRerank(), CohereRerank()):
        assert shape.usage(COHERE_REPLY) == Usage(searches=1)
        assert shape.usage(JINA_REPLY) == Usage(input=815)
        assert shape.usage(b'{"results":[]}') is None
        assert shape.usage(b"nonsense") is None


def test_jinas_request_served_by_cohere() -> None:
    shape = JinaRerank()
    asked = fields(ASKED, shape)
    assert json.loads(shape.request_in(COHERE, asked, model="rerank-v4")) == {
        "model": "rerank-v4",
        "query": "q",
        "documents": ["a", "b"],
        "top_n": 1,
    }
    reply = json.loads(shape.reply_from(COHERE, COHERE_REPLY, asked, model="mine"))
    assert reply["results"] == [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}]
    assert (reply["model"], reply["usage"]["search_units"]) == ("mine", 1)
    quiet = json.loads(shape.reply_from(COHERE, COHERE_REPLY, fields({**ASKED, "return_documents": False}, shape), model="mine"))
    assert quiet["results"] == [{"index": 1, "relevance_score": 0.9}]


def test_coheres_request_served_in_jinas_shape() -> None:
    shape = CohereRerank()
    asked = fields({**ASKED, "priority": 3}, shape)
    sent = json.loads(shape.request_in(JINA, asked, model="bge"))
    assert sent == {"model": "bge", "query": "q", "documents": ["a", {"text": "b"}], "return_documents": False, "top_n": 1}
    reply = json.loads(shape.reply_from(JINA, JINA_REPLY, asked, model="mine"))
    assert reply["results"] == [{"index": 1, "relevance_score": 0.9}]
    assert reply["meta"]["tokens"] == {"input_tokens": 815}


@pytest.mark.parametrize(
    ("shape", "wire", "more", "named"),
    [
        (JinaRerank(), COHERE, {"query": {"image": "https://h/a.png"}}, "query"),
        (JinaRerank(), COHERE, {"documents": [{"image": "https://h/a.png"}]}, "documents[0].image"),
        (JinaRerank(), COHERE, {"truncation": True}, "truncation"),
        (CohereRerank(), JINA, {"max_tokens_per_doc": 10}, "max_tokens_per_doc"),
    ],
)
def test_what_only_one_of_them_can_say_is_named(shape: Any, wire: str, more: dict[str, Any], named: str) -> None:
    with pytest.raises(NotExpressible) as caught:
        shape.request_in(wire, fields({**ASKED, **more}, shape), model="m")
    assert caught.value.param == named


@pytest.mark.parametrize("reply", [b"", b"[]", b'{"results":[{"index":"1"}]}', b'{"results":5}', b"<html>"])
def test_what_is_no_reranking_is_not_translated(reply: bytes) -> None:
    for shape, wire in ((JinaRerank(), COHERE), (CohereRerank(), JINA)):
        with pytest.raises(UpstreamMalformed):
            shape.reply_from(wire, reply, fields(ASKED, shape), model="m")


def test_documents_of_no_kind_at_all() -> None:
    shape = JinaRerank()
    with pytest.raises(MalformedRequest) as caught:
        shape.request_in(COHERE, fields({**ASKED, "documents": [5]}, shape), model="m")
    assert caught.value.param == "documents[0]"

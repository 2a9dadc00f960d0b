"""That providers speak Converse and clients do not; what it translates is told in ``test_bedrock_request`` and ``test_bedrock_reply``."""

from __future__ import annotations

import json

import pytest

from penstock.gateway.shapes import SHAPES, chat
from penstock.gateway.shapes.bedrock_converse import BedrockConverse
from penstock.kernel.errors import NotExpressible, UnknownModel

CONVERSE = chat(SHAPES["bedrock.converse"])


def test_no_client_speaks_it() -> None:
    for ask in (
        lambda: CONVERSE.read(b"{}"),
        lambda: CONVERSE.upstream_body({}, model="m", stream=False, want_usage=False),
        lambda: CONVERSE.tap(keep_usage=True),
        lambda: CONVERSE.decode_request({}),
        lambda: CONVERSE.stream_encoder(model="m", include_usage=True),
        lambda: CONVERSE.stream_error(UnknownModel("no")),
    ):
        with pytest.raises(NotExpressible, match="spoken to providers only"):
            ask()


def test_its_failures_look_like_openais() -> None:
    status, body = BedrockConverse().error(UnknownModel("no"))
    assert (status, json.loads(body)["error"]["code"]) == (404, "model_not_found")

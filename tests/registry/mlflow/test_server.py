"""An MLflow server, read page by page; and one that is none. The real one: tests/compatibility/test_mlflow.py."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.gateway.upstream import Conversation, serving

from penstock.kernel.errors import RequestError, Unavailable
from penstock.registry.mlflow.server import MlflowServer
from penstock.registry.mlflow.shape import RegisteredModel


class Mlflow:
    """As MLflow 3.17 answers: two models on a page each, a prompt, and versions on two pages."""

    def __init__(self) -> None:
        self.headers: list[bytes] = []

    def answer(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        wanted, token = query.get("filter", [""])[0], query.get("page_token", [""])[0]
        prompts = "mlflow.prompt.is_prompt` = 'true'" in wanted
        if path.endswith("registered-models/search"):
            if prompts:
                tag = {"key": "mlflow.prompt.is_prompt", "value": "true"}
                return {"registered_models": [{"name": "greet", "tags": [tag], "aliases": [{"alias": "production", "version": "2"}]}]}
            return {"registered_models": [{"name": f"m{token}", "description": "d"}], **({} if token else {"next_page_token": "2"})}
        if wanted.startswith("name='m'"):
            version = {"name": "m", "version": "2" if not token else "1", "current_stage": "None", "source": "s3://x", "run_id": ""}
            return {"model_versions": [version], **({} if token else {"next_page_token": "p"})}
        return {}

    async def serve(self, peer: Conversation) -> None:
        while True:
            head, _ = await peer.request()
            self.headers.append(head)
            parts = urlsplit(head.split(b" ", 2)[1].decode())
            await peer.json(json.dumps(self.answer(parts.path, parse_qs(parts.query))).encode())


async def read(url: str, **environ: str) -> list[RegisteredModel]:
    return await asyncio.to_thread(lambda: list(MlflowServer(url, environ).models()))


async def test_all_pages_are_read() -> None:
    mlflow = Mlflow()
    async with serving(mlflow.serve) as upstream:
        root = upstream.url.removesuffix("/v1")
        models = await read(root, MLFLOW_TRACKING_TOKEN="t0ken")
        assert [(model.name, [v.number for v in model.versions], model.is_prompt) for model in models] == [
            ("m", [1, 2], False),
            ("m2", [], False),
            ("greet", [], True),
        ]
        assert models[0].versions[0].stage == ""
        assert models[2].aliases == {"production": 2}
        assert all(b"authorization: bearer t0ken" in head.lower() for head in mlflow.headers)
        mlflow.headers.clear()
        await read(root, MLFLOW_TRACKING_USERNAME="u", MLFLOW_TRACKING_PASSWORD="p")
        assert b"authorization: basic dtpw" in mlflow.headers[0].lower()


async def test_what_is_no_mlflow_says_so() -> None:
    async def other(peer: Conversation) -> None:
        while True:
            await peer.request()
            await peer.json(b"[]")

    async with serving(other) as upstream:
        with pytest.raises(RequestError, match="is not MLflow's registry"):
            await read(upstream.url)
        port = upstream.url
    with pytest.raises((Unavailable, RequestError)):
        await read(port)
    with pytest.raises(RequestError, match="not the address of an MLflow server"):
        MlflowServer("ftp://x", {})

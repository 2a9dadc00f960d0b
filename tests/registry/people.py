"""Who does what in the registry's tests: two people with keys of their own, and a house with two models."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, House, open_house

REPLY = json.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
).encode()
STREAM = (
    b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "hello"}, "finish_reason": null}]}\n\n'
    b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}\n\ndata: [DONE]\n\n'
)
_VECTOR = {"object": "embedding", "index": 0, "embedding": [0.5]}
REPLIES = {
    b"embeddings": json.dumps(
        {"object": "list", "model": "a", "data": [_VECTOR], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    ).encode(),
    b"completions": REPLY.replace(b'"index": 0,', b'"index": 0, "text": "hello",'),
}
"""By the last part of the path; a chat's reply elsewhere."""


def key_pair(folder: Path, name: str = "key") -> tuple[Path, Path]:
    """A private and a public key as PEM files."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    made = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(made.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
    public.write_bytes(made.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def weights(folder: Path) -> Path:
    """A folder with a small model in it."""
    folder.mkdir(parents=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    (folder / "config.json").write_text('{"model_type": "tiny"}', "utf-8")
    return folder


class Rig:
    """A house whose provider ``up`` serves models ``a``, ``b``, ``c``.

    ``served`` are the models that it was asked for, ``marked`` those of the calls that say ``mark-1``, ``mark-2`` and so on.
    """

    def __init__(self, house: House, served: list[str], marked: dict[str, list[str]]) -> None:
        self.house = house
        self.served = served
        self.marked = marked
        self.second = ""

    async def call(self, model: str, *, task: str | None = None, key: str | None = None) -> Any:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        headers = {"x_penstock_task": task} if task else {}
        return await self.house.ask("POST", "/v1/chat/completions", body, key=key, **headers)

    async def version(self, *targets: str, origin: str = "vendor", **facts: Any) -> str:
        """A new version with these targets, of a model of its own; its id."""
        model = await self.house.made("/v1/registry/models", {"name": f"model of {' '.join(targets)} {facts}"[:200]})
        made = await self.house.made(f"/v1/registry/models/{model['id']}/versions", {"origin": origin, "targets": targets, **facts})
        return made["id"]

    async def step(self, id: str, step: str, body: object = None, *, key: str | None = None) -> Any:
        return await self.house.ask("POST", f"/v1/registry/versions/{id}/{step}", body if body is not None else {}, key=key)

    async def approved(self, *targets: str, coverage: str = "all", name: str = "") -> str:
        """A vendor's version that the second person approved."""
        id = await self.version(*targets)
        assert (await self.step(id, "evaluations", {"metric": "exact", "value": 0.9, "examples": 100})).status == 200
        answer = await self.step(id, "approvals", {"coverage": coverage, "name": name, "reason": "good"}, key=self.second)
        assert answer.status == 200, answer.text
        return id


@asynccontextmanager
async def rig(folder: Path, registry: str = "", *, more: str = "", database: str = "", admin: str = "") -> AsyncIterator[Rig]:
    served: list[str] = []
    marked: dict[str, list[str]] = {}

    async def provider(peer: Conversation) -> None:
        while True:
            head, body = await peer.request()
            served.append(json.loads(body)["model"])
            for mark in re.findall(rb"mark-\d+", body):
                marked.setdefault(mark.decode(), []).append(served[-1])
            path = head.split(b" ", 2)[1].rpartition(b"/")[2]
            if b'"stream":true' in body.replace(b" ", b""):
                await peer.send(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(STREAM), STREAM)
                )
                continue
            await peer.json(REPLIES.get(path, REPLY))

    async with serving(provider) as upstream:
        settings = (
            f'{SETTINGS}[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["a", "b", "c"]\n'
            '[gateway.models.chain]\ntargets = ["up/a", "up/b"]\n'
            '[gateway.models.hedged]\ntargets = ["up/a", "up/b"]\nhedge_seconds = 0.01\n'
            f"{more}[registry]\n{registry}"
        )
        async with open_house(folder, settings, database=database) as house:
            house.admin = admin or house.admin
            made = Rig(house, served, marked)
            made.second, _ = await house.key(name="second", scopes=["admin", "call"])
            yield made

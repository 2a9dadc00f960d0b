"""The local MiniLM as the house's `Embedder`: for rooms that compare texts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.gateway.minilm import MiniLM

AT_ONCE = 2
"""Embeddings that run side by side; each takes a core for some milliseconds."""
_KEPT = 512
"""Vectors of single texts that are kept, 1.5 kB each: rooms that look at a call ask for the same ones, as do calls that come again.
By digest: what was said is not the embedder's to keep."""
_LONGEST = 4_000
"""Characters of a text whose vector is kept: a digest is worked out for each that is asked for."""


class LocalEmbedder:
    """Loads the model with the first text; about 5 ms for a short one after that, in a thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._model: MiniLM | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._kept: dict[bytes, bytes] = {}

    @cached_property
    def id(self) -> str:
        """Model, precision, and a digest of weights, tokenizer and exporter: another one makes other vectors."""
        from penstock.gateway.minilm.cache import exported_path  # light, but only who compares texts asks

        return exported_path(self._directory).stem

    def at_hand(self, text: str) -> bytes | None:
        """See `Embedder.at_hand`."""
        return self._kept.get(_key(text)) if len(text) <= _LONGEST else None

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """See `Embedder.embed`. Raises `LocalExtraMissing`, `ModelMissing`, `ModelAltered`, `ExportFailed` or `MalformedRequest`."""
        kept, key = self._kept, b""
        if len(texts) == 1 and len(texts[0]) <= _LONGEST:  # many at once are an evaluation's or a fit's, which looks at each once
            key = _key(texts[0])
            if (known := kept.get(key)) is not None:
                return [known]
        async with self._turn:
            vectors = await asyncio.to_thread(self._embed, list(texts))
        if key:
            if len(kept) >= _KEPT:
                del kept[next(iter(kept))]
            kept[key] = vectors[0]
        return vectors

    def _embed(self, texts: list[str]) -> list[bytes]:
        if self._model is None:
            # onnxruntime and tokenizers take most of a second to import; only an embedding needs them.
            from penstock.gateway.minilm import MiniLM

            model = MiniLM(self._directory)
            model.load()
            self._model = model
        return [vector.tobytes() for vector in self._model.embed(texts).vectors]


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()

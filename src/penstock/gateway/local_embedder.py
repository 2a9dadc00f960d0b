"""The local MiniLM as the house's `Embedder`: for rooms that compare texts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.gateway.minilm import MiniLM

AT_ONCE = 2
"""Embeddings that run side by side; each takes a core for some milliseconds."""


class LocalEmbedder:
    """Loads the model with the first text; about 5 ms for a short one after that, in a thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._model: MiniLM | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)

    @property
    def id(self) -> str:
        """Model, precision, and a digest of weights, tokenizer and exporter: another one makes other vectors."""
        from penstock.gateway.minilm.cache import exported_path  # light, but only who compares texts asks

        return exported_path(self._directory).stem

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """See `Embedder.embed`. Raises `LocalExtraMissing`, `ModelMissing`, `ModelAltered`, `ExportFailed` or `MalformedRequest`."""
        async with self._turn:
            return await asyncio.to_thread(self._embed, list(texts))

    def _embed(self, texts: list[str]) -> list[bytes]:
        if self._model is None:
            # onnxruntime and tokenizers take most of a second to import; only an embedding needs them.
            from penstock.gateway.minilm import MiniLM

            model = MiniLM(self._directory)
            model.load()
            self._model = model
        return [vector.tobytes() for vector in self._model.embed(texts).vectors]

"""The embedding model of the house: single texts are at hand once they were embedded, and the longest in memory go first."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest

from penstock.gateway import local_embedder
from penstock.gateway.local_embedder import LocalEmbedder
from penstock.gateway.providers.minilm import installed

pytestmark = pytest.mark.timeout(90)


class Lengths(LocalEmbedder):
    """Makes a vector of how long a text is, without a model."""

    def _embed(self, texts: Sequence[str]) -> list[bytes]:
        return [bytes([len(text) % 256]) for text in texts]


async def test_what_was_said_is_not_kept(tmp_path: Path) -> None:
    embedder = Lengths(tmp_path)
    await embedder.embed(["the patient is Jo Doe"])
    assert embedder.at_hand("the patient is Jo Doe") is not None
    assert "Jo Doe" not in str(vars(embedder))


@pytest.mark.skipif(not installed(), reason="the embedding model is not installed")
async def test_what_was_embedded_is_at_hand(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_embedder, "_KEPT", 2)
    embedder = LocalEmbedder(tmp_path_factory.getbasetemp() / "grounded-minilm")
    assert embedder.at_hand("a first text") is None
    (first,) = await embedder.embed(["a first text"])
    assert embedder.at_hand("a first text") == first
    assert await embedder.embed(["a first text"]) == [first]
    assert sum(x * x for x in array("f", first)) == pytest.approx(1, abs=1e-5)
    many = await embedder.embed(["a first text", "a second"])
    assert embedder.at_hand("a second") is None  # many at once are nobody's call
    assert many[0] == first
    await embedder.embed(["a second"])
    await embedder.embed(["a third"])
    assert [embedder.at_hand(text) is None for text in ("a first text", "a second", "a third")] == [True, False, False]
    await embedder.embed(["long " * 1000])
    assert embedder.at_hand("long " * 1000) is None

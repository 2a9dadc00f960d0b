"""One export for the whole run: the directory is shared by all workers, which is itself a test of exporting side by side."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.gateway.minilm import INSTALL, MiniLM, ModelFiles, ModelMissing, locate


@pytest.fixture(scope="session")
def files() -> ModelFiles:
    for package in ("numpy", "onnx", "onnxruntime", "tokenizers"):
        pytest.importorskip(package, reason=f"local embeddings need {package}: pip install 'penstock[local]'")
    try:
        return locate()
    except ModelMissing:
        pytest.skip(f"the embedding model is not installed: {INSTALL}")


@pytest.fixture(scope="session")
def cache(files: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "minilm"


@pytest.fixture(scope="session")
def int8(cache: Path) -> MiniLM:
    model = MiniLM(cache)
    model.load()
    return model


@pytest.fixture(scope="session")
def fp32(cache: Path) -> MiniLM:
    model = MiniLM(cache, precision="fp32")
    model.load()
    return model

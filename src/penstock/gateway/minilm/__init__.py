"""Local embeddings: a small sentence model that runs on this machine's CPU, so that a fresh install has real embeddings offline.

`locate` finds and checks the weights, `export` turns them into one ONNX file, `MiniLM` runs it. Importing this package is cheap: numpy,
onnx, onnxruntime and tokenizers (the extra ``local``) are imported when first used.
"""

from __future__ import annotations

from penstock.gateway.minilm.cache import export, exported_path
from penstock.gateway.minilm.errors import ExportFailed, LocalExtraMissing, LocalModelError, ModelAltered, ModelMissing
from penstock.gateway.minilm.files import INSTALL, ModelFiles, locate
from penstock.gateway.minilm.model import Embeddings, MiniLM

__all__ = [
    "INSTALL",
    "Embeddings",
    "ExportFailed",
    "LocalExtraMissing",
    "LocalModelError",
    "MiniLM",
    "ModelAltered",
    "ModelFiles",
    "ModelMissing",
    "export",
    "exported_path",
    "locate",
]

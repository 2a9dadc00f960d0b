"""Turning the checked weights into one self-sufficient ONNX file, once per machine.

The file carries the tokenizer in its metadata, so the cache is a single file: it is there whole or not at all, and a machine that
has it needs neither the 91 MB package nor `onnx` any more.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import Final

from penstock.gateway.minilm.errors import ExportFailed, LocalExtraMissing
from penstock.gateway.minilm.files import TOKENIZER_SHA256, WEIGHTS_SHA256, ModelFiles
from penstock.gateway.minilm.graph import Precision, build, read_weights

EXPORTER_VERSION: Final = 1  # raise it whenever the same weights would give another file: old files are then left alone
TOKENIZER_KEY: Final = "tokenizer.json"

_PARTIAL: Final = ".partial"
_PARTIAL_LIFE: Final = 3600.0  # seconds; an export takes about one, so an older partial file belongs to a process that is dead


def exported_path(directory: Path, precision: Precision = "int8") -> Path:
    """Where the export lies or would lie. The name holds a digest of weights, tokenizer and exporter version."""
    recipe = f"{WEIGHTS_SHA256} {TOKENIZER_SHA256} {EXPORTER_VERSION} {precision}"
    return directory / f"minilm-{precision}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.onnx"


def export(files: ModelFiles, directory: Path, precision: Precision = "int8") -> Path:
    """Write the model into ``directory`` (made if absent) unless it is there already; its path either way.

    Takes about one second and 400 MB at its height. Several processes may do it at once: each writes its own temporary file and
    renames it, and all write the same bytes. Killed at any moment it leaves at most a temporary file, which a later export removes.
    Raises `LocalExtraMissing` without numpy or onnx, `ExportFailed` when the directory cannot be written.
    """
    path = exported_path(directory, precision)
    if path.exists():
        return path
    try:
        content = _serialise(files, precision)
    except ModuleNotFoundError as error:
        raise LocalExtraMissing(error.name or "onnx") from error
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _sweep(directory)
        write_whole(path, content)
    except OSError as error:
        raise ExportFailed(
            f"cannot write the local embedding model to {path}: {error.strerror}. "
            f"It needs {len(content) >> 20} MiB of room and the right to write there."
        ) from error
    return path


def _serialise(files: ModelFiles, precision: Precision) -> bytes:
    model = build(read_weights(files.weights), precision)
    entry = model.metadata_props.add()
    entry.key, entry.value = TOKENIZER_KEY, files.tokenizer.read_text(encoding="utf-8")
    return model.SerializeToString(deterministic=True)


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` so that no reader, crash or power cut ever shows a part of it; OSError when that fails."""
    partial = path.with_name(f".{path.name}.{os.urandom(8).hex()}{_PARTIAL}")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:  # also on Ctrl-C: the partial file is of no use to anybody
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut. Windows cannot open a folder, and does not need it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(directory: Path) -> None:
    """Remove what exports that were killed left behind."""
    now = time.time()
    for leftover in directory.glob(f".minilm-*{_PARTIAL}"):
        with contextlib.suppress(FileNotFoundError):  # another process sweeps as well
            if now - leftover.stat().st_mtime > _PARTIAL_LIFE:
                leftover.unlink()

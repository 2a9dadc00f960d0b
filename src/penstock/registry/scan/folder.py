"""Scans a file or a folder: what each file is, by its first bytes and its name, which must agree."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from penstock.registry.scan import archives, arrays, gguf, onnx, safetensors, text
from penstock.registry.scan.pickles import MAX_BYTES, read_pickle
from penstock.registry.scan.report import Finding, Refused, Report, ScannedFile

MAX_FILES = 10_000
_TORCH = frozenset({".bin", ".pt", ".pth", ".ckpt"})
_PICKLES = frozenset({".pkl", ".pickle", ".bin", ".pt", ".pth"})
_KNOWN = (
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"\x78\x9c", "compressed with zlib"),
    (b"\x78\x01", "compressed with zlib"),
    (b"\x89HDF\r\n\x1a\n", "HDF5, in which Keras keeps layers of Python code"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


def scan(path: Path) -> Report:
    """Read everything under ``path``. Raises `FileNotFoundError` when there is nothing; every other fault is a finding.

    Accepted are safetensors, GGUF, ONNX, plain ``.npy``, state dicts of `torch.save` and pickles of plain data whose imports are all on the
    allow-list, and the texts beside them. Whatever is none of these is refused: other formats, links, programs, compressed files.
    A signature (``model.sig``) beside them is left out of the digest; it signs the others.
    """
    if not path.exists() and not path.is_symlink():
        raise FileNotFoundError(path)
    files: list[ScannedFile] = []
    findings: list[Finding] = []
    alone = not path.is_dir() or path.is_symlink()
    for count, (file, name) in enumerate([(path, path.name)] if alone else _below(path)):
        if count >= MAX_FILES:
            findings.append(Finding(".", "too_many_files", f"more than {MAX_FILES} files"))
            break
        try:
            files.append(_one(file, PurePosixPath(name)))
        except Refused as fault:
            findings.append(Finding(name, fault.code, fault.message))
        except OSError as fault:
            findings.append(Finding(name, "unreadable", f"it cannot be read: {fault.strerror}"))
    findings += [Finding(f.path, "external_data", "no model of the folder refers to it") for f in _strays(files)]
    if not {f.format for f in files} - {"text", "external"} and not findings:
        findings.append(Finding(".", "no_weights", "there are no weights here"))
    whole = sha256()
    for file in sorted(files, key=lambda f: f.path):
        whole.update(f"{file.path}\0{file.size}\0{file.digest}\n".encode())
    size = sum(f.size for f in files)
    return Report(accepted=not findings, digest=whole.hexdigest(), size=size, files=tuple(files), findings=tuple(findings))


SIGNATURE = "model.sig"


def _below(folder: Path) -> Iterator[tuple[Path, str]]:
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if name == SIGNATURE or (file.is_dir() and not file.is_symlink()):
            continue
        yield file, name


def _one(file: Path, name: PurePosixPath) -> ScannedFile:
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise Refused("not_a_file", "a link or a device; only plain files are read")
    with file.open("rb") as opened:
        kind, notes = _read(opened, found.st_size, file, name)
        opened.seek(0)
        digest = sha256()
        while piece := opened.read(1 << 20):
            digest.update(piece)
    return ScannedFile(str(name), kind, found.st_size, digest.hexdigest(), notes)


def _read(file: BinaryIO, size: int, path: Path, name: PurePosixPath) -> tuple[str, tuple[str, ...]]:
    suffix = name.suffix.lower()
    head = file.read(16)
    file.seek(0)
    if not head:
        raise Refused("empty", "it is empty")
    tar = _is_tar(file)
    what = "a tar archive" if tar else next((told for magic, told in _KNOWN if head.startswith(magic)), None)
    if what is not None:
        raise Refused("format", f"{what}; give safetensors, GGUF or ONNX")
    if text.is_text_name(name):
        if size > text.MAX_BYTES:
            raise Refused("text_too_large", f"a text of {size} bytes is not read")
        text.read_text(name, file.read())
        return "text", ()
    match suffix:
        case ".safetensors":
            safetensors.read_safetensors(file, size)
            return "safetensors", ()
        case ".gguf":
            gguf.read_gguf(file, size)
            return "gguf", ()
        case ".onnx":
            return "onnx", onnx.read_onnx(file, size, path.parent)
        case ".npy":
            arrays.read_array(file, size)
            return "npy", ()
        case _ if suffix in _TORCH and head.startswith(archives.MAGIC):
            archives.read_archive(file, size)
            return "torch", ()
        case _ if suffix in _PICKLES:
            if size > MAX_BYTES:
                raise Refused("pickle_too_large", f"a pickle of {size} bytes is not read; {MAX_BYTES} are the most")
            read_pickle(file.read())
            return "pickle", ()
        case ".data" | ".onnx_data":
            return "external", ()
        case _:
            raise Refused("format", f"{suffix or 'a file without an ending'} is none of the formats that are accepted")


def _is_tar(file: BinaryIO) -> bool:
    file.seek(257)
    found = file.read(5) == b"ustar"
    file.seek(0)
    return found


def _strays(files: list[ScannedFile]) -> list[ScannedFile]:
    """Files of external data to which no ONNX model of the folder refers."""
    meant = {str(PurePosixPath(f.path).parent / note) for f in files if f.format == "onnx" for note in f.notes}
    return [f for f in files if f.format == "external" and f.path not in meant]

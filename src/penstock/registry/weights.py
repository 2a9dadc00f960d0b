"""Where the weights of a version lie, and what is found there now. Everything here reads files and belongs on a thread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from penstock.kernel.errors import Conflict, RequestError
from penstock.registry import signing
from penstock.registry.scan import Report, scan


class Weights:
    """The folder below which weights lie, and the public keys whose signatures are believed."""

    def __init__(self, folder: Path, trusted: Sequence[Path]) -> None:
        self._folder = folder
        self._trusted = tuple(trusted)

    def place(self, path: str) -> Path:
        """The folder of a version. Raises `RequestError` for a path that leaves the weights' folder, also through a link."""
        asked = PurePosixPath(path)
        if not path or asked.is_absolute() or ".." in asked.parts or "\0" in path:
            raise RequestError("path: give the version's folder relative to registry.weights", param="path")
        root = self._folder.resolve()
        try:
            place = (root / asked).resolve()
            found = place.is_dir()
        except OSError as fault:  # a name that is too long, a folder that may not be entered
            raise RequestError(f"path: {fault.strerror}", param="path") from fault
        if place == root or not place.is_relative_to(root):
            raise RequestError("path: it leads out of registry.weights", param="path")
        if not found:
            raise RequestError(f"path: there is no folder {path!r} below registry.weights", param="path")
        return place

    def scan(self, path: str) -> Report:
        """What is in the version's folder now."""
        return scan(self.place(path))

    def signer(self, path: str, digest: str) -> str:
        """The trusted key that signed the version's files, which are those with ``digest``.

        Raises `Conflict` with ``weights_changed`` or ``signature_invalid``.
        """
        signer = signing.verify(self.place(path), self._trusted)
        if (found := self.scan(path).digest) != digest:
            raise Conflict(f"the weights have the digest {found}, those that were scanned had {digest}", code="weights_changed")
        return signer


class FolderScan:
    """`WeightScan`: the scan that versions go through, for folders that other rooms load."""

    def inspect(self, folder: Path) -> tuple[str, Sequence[str]]:
        """See `WeightScan.inspect`."""
        report = scan(folder)
        return report.digest, [f"{one.path}: {one.code}: {one.message}" for one in report.findings]


def told(report: Report) -> dict[str, Any]:
    """A report as the registry keeps it: at most 100 findings and 200 files."""
    return {
        "accepted": report.accepted,
        "size": report.size,
        "formats": list(report.formats),
        "files": [msgspec.to_builtins(one) for one in report.files[:200]],
        "findings": [msgspec.to_builtins(one) for one in report.findings[:100]],
        "more": max(0, len(report.files) - 200) + max(0, len(report.findings) - 100),
    }

"""What a scan says."""

from __future__ import annotations

from msgspec import Struct


class Refused(Exception):
    """A file must not be loaded. ``code`` is stable, the message says what is wrong with it and where."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Finding(Struct, frozen=True):
    """Why a file is refused. ``path`` is relative to what was scanned."""

    path: str
    code: str
    message: str


class ScannedFile(Struct, frozen=True):
    """One file that was read to its end. ``digest`` is SHA-256 in hex; ``notes`` are facts to know that refuse nothing."""

    path: str
    format: str
    size: int
    digest: str
    notes: tuple[str, ...] = ()


class Report(Struct, frozen=True, kw_only=True):
    """Everything about one file or folder. It may be used only when ``accepted``.

    ``digest`` is SHA-256 over the sorted names, sizes and digests of all files, so it changes when any byte or name does.
    """

    accepted: bool
    digest: str
    size: int
    files: tuple[ScannedFile, ...]
    findings: tuple[Finding, ...]

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of weights that were found, sorted; text files are not among them."""
        return tuple(sorted({f.format for f in self.files} - {"text"}))

"""Reading a recording line by line, plain or gzip, skipping what was torn."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from penstock.gateway.recordings.exchange import VERSION, Header
from penstock.kernel.errors import SettingsError

_COPY = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b\x08"

_header = msgspec.json.Decoder(Header)


class Source:
    """A recording's plain bytes, seekable: the file itself, or a temporary unpacked copy of a gzip one that ends with this object.

    ``torn`` counts the gzip members that could not be read. Raises `SettingsError` when the file is missing or is no recording.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.torn = 0
        try:
            self.file: IO[bytes] = self.path.open("rb")
        except OSError as fault:
            raise SettingsError(f"recording {self.path} cannot be read: {fault.strerror}") from fault
        try:
            if self.file.read(2) == _GZIP_MAGIC[:2]:
                self._unpack()
            self.file.seek(0)
            self.header = self._read_header()
        except BaseException:
            self.file.close()
            raise

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of every line that may hold an exchange: blank lines and further headers are passed over."""
        offset = 0
        self.file.seek(0)
        for line in self.file:
            if not line.isspace() and not _is_header(line):
                yield offset, line
            offset += len(line)

    def at(self, offset: int, length: int) -> bytes:
        """The bytes of one line."""
        self.file.seek(offset)
        return self.file.read(length)

    def close(self) -> None:
        """Close the file, and with it a temporary copy; a second time does nothing."""
        self.file.close()

    def _read_header(self) -> Header:
        first = self.file.readline()
        try:
            header = _header.decode(first)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise SettingsError(f"{self.path} is not a recording: its first line is not a header with `penstock_recording`") from fault
        if header.penstock_recording > VERSION:
            raise SettingsError(
                f"{self.path} is a recording of version {header.penstock_recording}; this Penstock reads up to {VERSION}: update it"
            )
        return header

    def _unpack(self) -> None:
        # One file handle for the life of the recording; on disk, so that a large recording does not live in memory.
        plain = tempfile.TemporaryFile(prefix="penstock-recording-")  # noqa: SIM115
        try:
            with self.file:
                self.torn = _gunzip(self.file, plain)
        except BaseException:
            plain.close()
            raise
        self.file = plain


def _is_header(line: bytes) -> bool:
    if b'"penstock_recording"' not in line[:400]:
        return False
    try:
        _header.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _gunzip(packed: IO[bytes], plain: IO[bytes]) -> int:
    """Unpack all members of ``packed``; how many were torn. After a torn one, reading goes on at the next that can be read.

    A torn member's readable beginning is kept and closed with a line feed, so that a single-member file that was cut keeps its whole
    lines. One that was torn inside a line is not counted here: the line is no exchange and counts by itself.
    """
    packed.seek(0)
    torn = 0
    open_line = False
    unpack = zlib.decompressobj(wbits=31)
    data = packed.read(_COPY)
    while data:
        try:
            text, broken = unpack.decompress(data), False
        except zlib.error:
            text, broken = b"", True
        if text:
            plain.write(text)
            open_line = not text.endswith(b"\n")
        if unpack.eof:
            data = unpack.unused_data or packed.read(_COPY)
            unpack = zlib.decompressobj(wbits=31)
            continue
        rest = _next_member(packed, data) if broken else packed.read(_COPY)
        if broken or not rest:
            torn += not open_line
            plain.write(b"\n")
            open_line = False
            unpack = zlib.decompressobj(wbits=31)
        data = rest
    return torn


def _next_member(packed: IO[bytes], data: bytes) -> bytes:
    at = data.find(_GZIP_MAGIC, 1)
    while at < 0:
        more = packed.read(_COPY)
        if not more:
            return b""
        data = data[-2:] + more  # the mark may lie across the cut
        at = data.find(_GZIP_MAGIC)
    return data[at:]

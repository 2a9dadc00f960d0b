"""Reading ``multipart/form-data`` piece by piece (RFC 7578); the parser itself is `python_multipart`'s.

What comes out is safe to send on: names are plain, files have lost their folders, and what no browser and no SDK sends is refused.
"""

from __future__ import annotations

import logging
import re

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from penstock.kernel.errors import MalformedRequest

MOST_PARTS = 256
MOST_FIELD_BYTES = 4 * 1024 * 1024
"""Bytes of all values together that are no files; references to voices are data URLs of some hundred kilobytes."""
NAME_LENGTH = 200
OCTETS = "application/octet-stream"

_NAME = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,100}")
_MEDIA = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80}(; ?[A-Za-z0-9_-]{1,40}=[A-Za-z0-9_.+-]{1,80})*")
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f"\\/:*?<>|\u2028\u2029\u202a-\u202e\ud800-\udfff]+')

# It warns of every malformed body, which a caller could fill the log with; we answer with an error of our own.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


class Field(msgspec.Struct, frozen=True):
    """A value that is no file, whole."""

    name: str
    value: str


class FileBegin(msgspec.Struct, frozen=True):
    """A file begins; its bytes and a `FileEnd` follow."""

    name: str
    filename: str
    media: str


class FileEnd(msgspec.Struct, frozen=True):
    """The file is complete."""


Event = Field | FileBegin | FileEnd | bytes
"""``bytes`` are the next ones of the file that was begun last."""


def is_form(content_type: str | None) -> bool:
    """Whether a body of this type is for a `FormReader`."""
    return content_type is not None and content_type[:20].lower().startswith("multipart/form-data")


class FormReader:
    """Feed it the body as it comes. Everything that is wrong with one raises `MalformedRequest`."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or _BOUNDARY.fullmatch(boundary) is None:
            raise MalformedRequest("The content type must be multipart/form-data with a boundary (RFC 2046).")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )
        self._events: list[Event] = []
        self._headers: dict[str, str] = {}
        self._header_name = b""
        self._header_text = b""
        self._file = False
        self._name = ""
        self._value: list[bytes] = []
        self._parts = 0
        self._field_bytes = 0
        self._ended = False

    def feed(self, data: bytes) -> list[Event]:
        """What became complete."""
        if not self._ended:  # whatever stands behind the last boundary belongs to nobody (RFC 2046)
            try:
                self._parser.write(data)
            except FormParserError as fault:
                raise MalformedRequest(f"The body is not valid multipart/form-data: {str(fault)[:200]}.") from None
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """The body has ended; it must have had its last boundary."""
        if not self._ended:
            raise MalformedRequest("The body ends before its last boundary.")

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise MalformedRequest(f"The body has more than {MOST_PARTS} parts.")
        self._headers = {}
        self._header_name = self._header_text = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_text += data[start:end]

    def _header_end(self) -> None:
        name = self._header_name.decode("latin-1").lower()
        if name in self._headers:
            raise MalformedRequest(f"A part of the body has two headers {name[:40]!r}.")
        self._headers[name] = self._header_text.decode("utf-8", "replace")
        self._header_name = self._header_text = b""

    def _headers_finished(self) -> None:
        disposition = self._headers.get("content-disposition", "")
        kind, options = parse_options_header(disposition.encode())
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or _NAME.fullmatch(name) is None:
            raise MalformedRequest("A part of the body is no form-data with a plain name.")
        encoding = self._headers.get("content-transfer-encoding", "binary").strip().lower()
        if encoding not in ("binary", "8bit", "7bit"):
            raise MalformedRequest(f"'{name}' is encoded as {encoding[:40]!r}; send the bytes as they are.", param=name)
        self._name = name
        filename = options.get(b"filename", options.get(b"filename*"))
        self._file = filename is not None
        if filename is not None:
            media = self._headers.get("content-type", OCTETS).strip()
            media = media if _MEDIA.fullmatch(media) is not None else OCTETS
            self._events.append(FileBegin(name, safe_filename(filename.decode("utf-8", "replace")), media))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file:
            self._events.append(bytes(data[start:end]))
            return
        self._field_bytes += end - start
        if self._field_bytes > MOST_FIELD_BYTES:
            raise MalformedRequest(f"The values that are no files have more than {MOST_FIELD_BYTES} bytes together.", param=self._name)
        self._value.append(bytes(data[start:end]))

    def _part_end(self) -> None:
        if self._file:
            self._events.append(FileEnd())
            return
        value = b"".join(self._value)
        self._value.clear()
        try:
            self._events.append(Field(self._name, value.decode()))
        except UnicodeDecodeError:
            raise MalformedRequest(f"'{self._name}' is not valid UTF-8.", param=self._name) from None

    def _end(self) -> None:
        self._ended = True


def safe_filename(name: str) -> str:
    """The last part of a path, without anything that a shell, a header or a file system reads as more than a letter."""
    name = re.split(r"[/\\]", name)[-1]
    name = _UNSAFE.sub("_", name).strip(". ")[:NAME_LENGTH]
    return name or "file"

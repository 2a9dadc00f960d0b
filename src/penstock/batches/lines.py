"""The lines of a batch: split from a stream, checked, and kept with an index so that any of them can be read again without the others."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType

import msgspec

from penstock.batches.model import LineError

LINES_FILE = "lines.jsonl"
INDEX_FILE = "lines.index"
MOST_ERRORS = 100
"""Errors that are told of one file; of the others, how many there are."""
LONGEST_ID = 512


class Asked(msgspec.Struct, frozen=True):
    """One line as OpenAI's batches have it; Anthropic's are written down in the same form."""

    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _Loose(msgspec.Struct, frozen=True):
    custom_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    method: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    url: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(Asked)
_loose = msgspec.json.Decoder(_Loose)


def read_line(line: bytes) -> Asked:
    """A line that `Checker` let pass."""
    return _decoder.decode(line)


def written(custom_id: str, url: str, body: bytes) -> bytes:
    """A line from its parts. Line breaks in valid JSON are white space, so they can go."""
    made = Asked(custom_id, "POST", url, msgspec.Raw(body))
    return msgspec.json.encode(made).replace(b"\n", b" ").replace(b"\r", b" ")


class Splitter:
    """Lines out of a stream of bytes, without their ends. One that is longer than ``most`` comes as None; its bytes are not held."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = bytearray()
        self._skipping = False

    def feed(self, piece: bytes) -> Iterator[bytes | None]:
        """The lines that ``piece`` completes."""
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            if self._skipping:
                self._skipping = False
                yield None
            elif self._held:
                self._held += piece[start:end]
                line = bytes(self._held)
                self._held.clear()
                yield line if len(line) <= self._most else None
            else:
                yield piece[start:end] if end - start <= self._most else None
            start = end + 1
        if not self._skipping:
            self._held += piece[start:]
            if len(self._held) > self._most:
                self._held.clear()
                self._skipping = True

    def end(self) -> Iterator[bytes | None]:
        """The last line, where nothing ended it."""
        if self._skipping:
            yield None
        elif self._held:
            yield bytes(self._held)


class Checker:
    """Whether lines are what a batch takes. ``errors`` are the first that were found, ``wrong`` how many there are."""

    def __init__(self, endpoint: str, most_bytes: int) -> None:
        self._endpoint = endpoint
        self._most_bytes = most_bytes
        self._ids: set[int] = set()
        self.errors: list[LineError] = []
        self.wrong = 0

    def takes(self, number: int, line: bytes | None) -> bool:
        """Whether line ``number`` (from 1) is in order; if not, it is in ``errors``."""
        found = self._fault(line)
        if found is None:
            return True
        self.wrong += 1
        if len(self.errors) < MOST_ERRORS:
            code, message, param = found
            self.errors.append(LineError(code=code, message=message, line=number, param=param))
        return False

    def _fault(self, line: bytes | None) -> tuple[str, str, str | None] | None:
        if line is None:
            return "line_too_long", f"the line is longer than {self._most_bytes} bytes (batches.max_line_bytes)", None
        try:
            if not line.isascii():
                line.decode()  # what stays raw nobody has looked into
            asked = _decoder.decode(line)
        except UnicodeDecodeError:
            return "invalid_utf8", "the line is not UTF-8", None
        except msgspec.ValidationError:
            return self._missing(line)
        except (msgspec.DecodeError, RecursionError):
            return "invalid_json_line", "the line is not valid JSON", None
        if asked.method != "POST":
            return "invalid_method", f"method must be POST, not {asked.method[:20]!r}", "method"
        if asked.url != self._endpoint:
            return "invalid_url", f"url must be the batch's endpoint {self._endpoint!r}, not {asked.url[:100]!r}", "url"
        if bytes(memoryview(asked.body)[:1]) != b"{":
            return "invalid_body", "body must be an object", "body"
        return self._id(asked.custom_id)

    def _id(self, custom_id: str) -> tuple[str, str, str | None] | None:
        if not custom_id or len(custom_id) > LONGEST_ID:
            return "invalid_custom_id", f"custom_id must have 1 to {LONGEST_ID} characters", "custom_id"
        # 64 bits of a digest: a hundred thousand ids take 10 MB, and two different ones are taken for one in 10^9 files of that size.
        known = int.from_bytes(blake2b(custom_id.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        if known in self._ids:
            return "duplicate_custom_id", f"custom_id {custom_id[:100]!r} stands in an earlier line too", "custom_id"
        self._ids.add(known)
        return None

    def _missing(self, line: bytes) -> tuple[str, str, str | None]:
        try:
            found = _loose.decode(line)
        except msgspec.ValidationError:
            return "invalid_json_line", "the line is not an object", None
        for name in ("custom_id", "method", "url", "body"):
            if getattr(found, name) is msgspec.UNSET:
                return f"missing_{name}", f"{name} is missing", name
        wrong = next(n for n in ("custom_id", "method", "url") if bytes(memoryview(getattr(found, n))[:1]) != b'"')
        return f"invalid_{wrong}", f"{wrong} must be text", wrong


class LinesWriter:
    """Writes lines and their index; there is nothing until `close`, which makes it durable. A second writer begins anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = (folder / LINES_FILE).open("wb", buffering=1 << 18)
        self._offsets = array("Q", [0])
        self._at = 0

    def add(self, line: bytes) -> None:
        """Write one line, given without its end."""
        self._file.write(line)
        self._file.write(b"\n")
        self._at += len(line) + 1
        self._offsets.append(self._at)

    @property
    def count(self) -> int:
        """Lines so far."""
        return len(self._offsets) - 1

    def close(self) -> int:
        """Finish, durably; the number of lines."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        draft = self._folder / (INDEX_FILE + ".new")
        with draft.open("wb") as index:
            self._offsets.tofile(index)
            index.flush()
            os.fsync(index.fileno())
        draft.replace(self._folder / INDEX_FILE)
        return self.count

    def discard(self) -> None:
        """Give up; nothing remains."""
        self._file.close()
        (self._folder / LINES_FILE).unlink(missing_ok=True)


class Lines:
    """The lines of a batch by number, from 0. Reading blocks."""

    def __init__(self, folder: Path) -> None:
        self._offsets = array("Q")
        held = (folder / INDEX_FILE).read_bytes()
        self._offsets.frombytes(held)
        self._file = os.open(folder / LINES_FILE, os.O_RDONLY)
        self._open = True

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def block(self, first: int, wanted: Callable[[int], bool], most_lines: int, most_bytes: int) -> tuple[list[tuple[int, bytes]], int]:
        """The next lines from ``first`` on that are ``wanted``, and the number at which the block after this one begins."""
        found: list[tuple[int, bytes]] = []
        size = 0
        number, offsets = first, self._offsets
        while number < len(self) and len(found) < most_lines and (size < most_bytes or not found):
            if wanted(number):
                start = offsets[number]
                line = os.pread(self._file, offsets[number + 1] - start - 1, start)
                size += len(line)
                found.append((number, line))
            number += 1
        return found, number

    def one(self, number: int) -> bytes:
        """A line by its number."""
        start = self._offsets[number]
        return os.pread(self._file, self._offsets[number + 1] - start - 1, start)

    def close(self) -> None:
        """Let go of the file."""
        if self._open:
            self._open = False
            os.close(self._file)

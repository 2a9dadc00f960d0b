"""Files under one folder, from which no path leads out: each part of it is opened beneath the one before, and links are not followed."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from penstock.agents.faults import Permanent
from penstock.agents.tools import Tool, ToolContext

DEEPEST = 32
MOST_ENTRIES = 500
MOST_LOOKED_AT = 10_000
LONGEST_LINE = 300

Where = Annotated[str, Meta(description="A path in the folder, such as reports/may.md.", max_length=1000)]


class Entry(Struct, frozen=True):
    """A file or a folder, whose path ends with a slash. ``changed`` is in Unix seconds."""

    path: str
    bytes: int
    changed: int


class Listed(Struct, frozen=True, omit_defaults=True):
    """What is in a folder; ``more`` where not all is told."""

    entries: list[Entry]
    more: bool = False


class Part(Struct, frozen=True, omit_defaults=True):
    """A part of a file: ``next`` is where the rest begins, if there is one."""

    text: str
    bytes: int
    next: int = 0


class Hit(Struct, frozen=True):
    """A line in which it was found."""

    path: str
    line: int
    text: str


class Hits(Struct, frozen=True, omit_defaults=True):
    """Where it was found; ``more`` says why not everything was looked at."""

    hits: list[Hit]
    more: str = ""


def files(
    root: str | Path, *, name: str = "files", write: bool = False, most_bytes: int = 65_536, seconds: float = 20.0
) -> list[Tool[..., Any]]:
    """Tools for the files under ``root``: ``NAME_list``, ``NAME_read``, ``NAME_search``, and with ``write`` also ``NAME_write``.

    Links are neither followed nor listed, devices and pipes are not opened. A file that is written has at most ``most_bytes`` bytes and
    appears at once, whole.
    """
    folder = Folder(Path(root))

    def listing(path: Annotated[str, Meta(description="A folder; empty for the whole.", max_length=1000)] = "") -> Listed:
        return folder.listed(path)

    def read(path: Where, start: Annotated[int, Meta(ge=0, description="The byte to begin with.")] = 0) -> Part:
        return folder.read(path, start, most_bytes)

    def search(
        text: Annotated[str, Meta(min_length=1, max_length=500, description="What stands in a line, in upper or lower case.")],
        names: Annotated[str, Meta(max_length=200, description="Which files, such as *.md.")] = "*",
    ) -> Hits:
        return folder.search(text, names, time.monotonic() + seconds)

    def written(
        path: Where, text: str, context: ToolContext, replace: Annotated[bool, Meta(description="Whether it may be there already.")] = False
    ) -> Entry:
        return folder.write(path, text, most_bytes, context.key, replace=replace)

    limit = seconds + 10.0
    found: list[Tool[..., Any]] = [
        Tool(listing, effect="read", name=f"{name}_list", description="List files and folders.", seconds=limit, most_bytes=262_144),
        Tool(
            read, effect="read", name=f"{name}_read", description="Read a text file, or a part.", seconds=limit, most_bytes=4 * most_bytes
        ),
        Tool(search, effect="read", name=f"{name}_search", description="Find lines in text files.", seconds=limit, most_bytes=262_144),
    ]
    if write:
        told = "Write a text file, with the folders that it needs."
        # The same text twice is the same file, so a call in doubt may be made again.
        found.append(Tool(written, effect="write", name=f"{name}_write", description=told, honours_key=True, seconds=limit))
    return found


class Folder:
    """A folder and what is beneath it. Faults are `Permanent` and name the path as it was given."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def listed(self, path: str) -> Listed:
        """What is in a folder, by name."""
        with self._folder(_parts(path)) as at:
            found: list[Entry] = []
            before = "/".join(_parts(path))
            for one in sorted(os.listdir(at)):  # noqa: PTH208 - of what is open, not of a path
                if not one.isprintable():  # also one that is no UTF-8: no tool could be asked for it by that name
                    continue
                told = os.stat(one, dir_fd=at, follow_symlinks=False)
                whole = f"{before}/{one}" if before else one
                if stat.S_ISDIR(told.st_mode):
                    found.append(Entry(f"{whole}/", 0, int(told.st_mtime)))
                elif stat.S_ISREG(told.st_mode):
                    found.append(Entry(whole, told.st_size, int(told.st_mtime)))
        return Listed(found[:MOST_ENTRIES], len(found) > MOST_ENTRIES)

    def read(self, path: str, start: int, most: int) -> Part:
        """A part of a file as text."""
        with self._file(path) as at:
            size = os.fstat(at).st_size
            data = os.pread(at, most, start)
        try:
            text = data.decode()
        except UnicodeDecodeError as fault:
            # A part may end, or begin, in the middle of a letter; anything else is no text.
            if b"\0" in data or (fault.end < len(data) - 3 and fault.start > 3):
                raise Permanent(f"file_binary: {path} is no text in UTF-8") from None
            if fault.start > 3:
                data = data[: fault.start]
            text = data.decode(errors="replace")
        end = start + len(data)
        return Part(text, size, end if end < size else 0)

    def search(self, text: str, names: str, until: float) -> Hits:
        """Lines in which the text stands."""
        hits: list[Hit] = []
        wanted = text.casefold()
        looked = 0
        for path, at in self._walked():
            looked += 1
            if looked > MOST_LOOKED_AT or time.monotonic() > until:
                return Hits(hits, f"only {looked - 1} files were looked at")
            if not fnmatchcase(path.rpartition("/")[2], names) and not fnmatchcase(path, names):
                continue
            data = os.pread(at, 2**20, 0)
            if b"\0" in data:
                continue
            for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
                if wanted in line.casefold():
                    hits.append(Hit(path, number, line.strip()[:LONGEST_LINE]))
                    if len(hits) == 100:
                        return Hits(hits, "there may be more")
        return Hits(hits)

    def write(self, path: str, text: str, most: int, key: str, *, replace: bool) -> Entry:
        """Write a file, whole or not at all."""
        data = text.encode()
        if len(data) > most:
            raise Permanent(f"file_too_large: {len(data)} bytes; a file that is written has at most {most}")
        *folders, last = _parts(path) or [""]
        if not last:
            raise Permanent("file_forbidden: a file needs a name")
        with self._folder(folders, make=True) as at:
            kept = self._kept(at, last, path, len(data))
            if kept is not None and kept != data and not replace:
                raise Permanent(f"file_exists: {path} is there already; say replace to write over it")
            if kept != data:
                draft = f".{sha256(key.encode()).hexdigest()[:16]}.part"
                with _faults(path):
                    made = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=at)
                    try:
                        _all(made, data)
                        os.fsync(made)
                    finally:
                        os.close(made)
                    os.replace(draft, last, src_dir_fd=at, dst_dir_fd=at)
            told = os.stat(last, dir_fd=at, follow_symlinks=False)
        return Entry("/".join([*folders, last]), told.st_size, int(told.st_mtime))

    def _kept(self, at: int, name: str, path: str, most: int) -> bytes | None:
        """What the file holds now, at most a byte more than ``most``; None where there is none."""
        try:
            told = os.stat(name, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(told.st_mode):
            raise Permanent(f"file_forbidden: {path} is no plain file")
        with _faults(path):
            found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        try:
            return os.pread(found, most + 1, 0)
        finally:
            os.close(found)

    @contextmanager
    def _folder(self, parts: list[str], *, make: bool = False) -> Generator[int]:
        path = "/".join(parts)
        at = -1
        try:
            with _faults(path or "the folder"):
                at = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                for part in parts:
                    if make:
                        with suppress(FileExistsError):
                            os.mkdir(part, 0o755, dir_fd=at)
                    below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                    os.close(at)
                    at = below
            yield at
        finally:
            if at >= 0:
                os.close(at)

    @contextmanager
    def _file(self, path: str) -> Generator[int]:
        *folders, last = _parts(path) or [""]
        with self._folder(folders) as at:
            with _faults(path):
                found = os.open(last or ".", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
            try:
                if not stat.S_ISREG(os.fstat(found).st_mode):
                    raise Permanent(f"file_forbidden: {path} is no plain file")
                yield found
            finally:
                os.close(found)

    def _walked(self) -> Generator[tuple[str, int]]:
        """Each plain file with its path, opened."""
        with self._folder([]) as root:  # the folder itself may be named by a link
            yield from self._beneath(root)

    def _beneath(self, root: int) -> Generator[tuple[str, int]]:
        for top, folders, names, at in os.fwalk(".", follow_symlinks=False, dir_fd=root):
            folders[:] = sorted(one for one in folders if one.isprintable())
            before = Path(top).as_posix()
            for one in sorted(one for one in names if one.isprintable()):
                path = one if before == "." else f"{before}/{one}"
                try:
                    found = os.open(one, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
                except OSError:
                    continue  # a link, or one that may not be read
                try:
                    if stat.S_ISREG(os.fstat(found).st_mode):
                        yield path, found
                finally:
                    os.close(found)


def _parts(path: str) -> list[str]:
    """The parts of a path. Raises `Permanent` for one that leads, or looks as if it led, elsewhere."""
    parts = [one for one in path.split("/") if one not in ("", ".")]
    if path.startswith("/") or ".." in parts or len(parts) > DEEPEST or not path.isprintable() or "\\" in path:
        raise Permanent(f"file_forbidden: {path[:200]!r} is no path within the folder")
    return parts


@contextmanager
def _faults(path: str) -> Generator[None]:
    try:
        yield
    except OSError as fault:
        if fault.errno in (errno.ELOOP, errno.EMLINK):
            raise Permanent(f"file_forbidden: {path} is, or leads through, a link") from fault
        raise Permanent(f"file_failed: {path}: {os.strerror(fault.errno or 0)}") from fault


def _all(at: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(at, left) :]

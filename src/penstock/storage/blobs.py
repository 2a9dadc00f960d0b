"""Blobs: bytes that are too many for a database, by name, behind one small protocol; a folder is the embedded default.

A blob is whole or not there: it is written under a name that nobody reads, forced to disk, and renamed. What a killed process leaves
behind is a file in ``incoming``, which `Blobs.sweep` removes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, Protocol, TypeVar

from penstock.kernel.errors import NotFound, SettingsError, StorageError, StorageFull
from penstock.kernel.ids import new_id

T = TypeVar("T")

PIECE = 256 * 1024
BUFFER = 1024 * 1024
"""Bytes that are gathered before a thread writes them: one handover for many small pieces."""
NAME = re.compile(r"[a-z][a-z0-9]{0,31}_[0-9a-f]{32}")
"""What a blob may be named. Nothing else ever becomes part of a path."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Incoming(Protocol):
    """A blob that is being written. ``size`` counts what came so far. `keep` or `drop` ends it; dropping what was kept does nothing."""

    size: int

    async def write(self, data: bytes) -> None:
        """More bytes. Raises `StorageFull`, or `StorageError` when the store fails."""
        ...

    async def keep(self) -> str:
        """Make the blob exist, on disk when this returns; the SHA-256 of its bytes in hex. Errors as `write`."""
        ...

    async def drop(self) -> None:
        """Forget what was written; never raises."""
        ...


class Blobs(Protocol):
    """Blobs by name (`NAME`). A name is used once: what a blob holds never changes."""

    place: str

    async def begin(self, name: str) -> Incoming:
        """Begin to write the blob ``name``."""
        ...

    def read(self, name: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The bytes from ``offset`` on in pieces of at most `PIECE`. Raises `NotFound` before the first when there is no such blob."""
        ...

    def path(self, name: str) -> Path | None:
        """Where the blob lies as a file of this machine; None when it does not."""
        ...

    async def delete(self, name: str) -> None:
        """Remove the blob; whoever reads it may finish. One that is not there is no error."""
        ...

    async def sweep(self, older: float, known: Callable[[list[str]], set[str]]) -> int:
        """Remove what nobody refers to and is older than ``older`` seconds; how many there were.

        ``known`` is asked on a thread which of some names are referred to. Younger blobs are spared: their writers may be about to refer.
        """
        ...


def open_blobs(url: str, data_dir: Path) -> Blobs:
    """The store that ``url`` names: empty for the folder ``blobs`` in ``data_dir``, or ``file:///path`` for another one.

    Touches no disk: the first use does. Raises `SettingsError` for any other URL.
    """
    if not url:
        return FolderBlobs(data_dir / "blobs")
    scheme, _, rest = url.partition("://")
    if scheme == "file" and rest.startswith("/") and len(rest) > 1:
        return FolderBlobs(Path(rest))
    shown = f"scheme {scheme!r}" if rest else "a text without a scheme"
    raise SettingsError(
        f"storage.blobs: {shown} is not known; leave it empty for the data folder, or give file:///path", param="storage.blobs"
    )


class FolderBlobs:
    """Blobs as files, in 256 folders by the last two digits of their names."""

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)
        self._folder = folder
        self._incoming = folder / "incoming"

    async def begin(self, name: str) -> Incoming:
        """A file under a name of its own in ``incoming``."""
        target = self._target(name)
        temporary = self._incoming / new_id("in")
        return _FolderIncoming(temporary, target, await asyncio.to_thread(_guarded, lambda: _create(temporary, target)))

    async def read(self, name: str, offset: int = 0) -> AsyncIterator[bytes]:
        """Read in threads, one piece ahead of nothing: memory holds one piece."""
        file = await asyncio.to_thread(_guarded, lambda: _open(self._target(name), offset))
        try:
            while data := await asyncio.to_thread(_guarded, lambda: file.read(PIECE)):
                yield data
        finally:
            file.close()

    def path(self, name: str) -> Path | None:
        """The file, where it is there."""
        target = self._target(name)
        return target if target.is_file() else None

    async def delete(self, name: str) -> None:
        """Unlink it."""
        await asyncio.to_thread(_guarded, lambda: self._target(name).unlink(missing_ok=True))

    async def sweep(self, older: float, known: Callable[[list[str]], set[str]]) -> int:
        """Walk over all folders on a thread."""
        return await asyncio.to_thread(self._sweep, time.time() - older, known)

    def _target(self, name: str) -> Path:
        if NAME.fullmatch(name) is None:
            raise ValueError(f"no name of a blob: {name[:80]!r}")
        return self._folder / name[-2:] / name

    def _sweep(self, before: float, known: Callable[[list[str]], set[str]]) -> int:
        gone = 0
        for path in _old(self._incoming, before):
            path.unlink(missing_ok=True)
            gone += 1
        for folder in sorted(self._folder.glob("[0-9a-f][0-9a-f]")):
            old = [path for path in _old(folder, before) if NAME.fullmatch(path.name)]
            for start in range(0, len(old), 200):
                part = old[start : start + 200]
                referred = known([path.name for path in part])
                for path in part:
                    if path.name not in referred:
                        path.unlink(missing_ok=True)
                        gone += 1
        return gone


class _FolderIncoming:
    """A file that is not complete yet."""

    def __init__(self, temporary: Path, target: Path, file: IO[bytes]) -> None:
        self.size = 0
        self._temporary = temporary
        self._target = target
        self._file = file
        self._sha = hashlib.sha256()
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._ended = False

    async def write(self, data: bytes) -> None:
        """Gather, and write a lot at once."""
        self.size += len(data)
        self._buffer.append(data)
        self._buffered += len(data)
        if self._buffered >= BUFFER:
            await asyncio.to_thread(_guarded, self._flush)

    async def keep(self) -> str:
        """Write the rest, force it to disk, rename, and force the folder to disk too."""
        await asyncio.to_thread(_guarded, self._keep)
        return self._sha.hexdigest()

    async def drop(self) -> None:
        """Close and unlink, in the caller's thread: it must also happen to who is cancelled."""
        if not self._ended:
            self._ended = True
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        data = b"".join(self._buffer)
        self._buffer.clear()
        self._buffered = 0
        self._sha.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def _keep(self) -> None:
        self._flush()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._target)
        self._ended = True
        descriptor = os.open(self._target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _create(temporary: Path, target: Path) -> IO[bytes]:
    temporary.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)


def _open(path: Path, offset: int) -> IO[bytes]:
    file = path.open("rb", buffering=0)
    file.seek(offset)
    return file


def _old(folder: Path, before: float) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                yield path


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except FileNotFoundError as fault:
        raise NotFound("the bytes of this blob are not there") from fault
    except OSError as fault:
        if fault.errno in _FULL:
            raise StorageFull("there is no room for another blob: free some in storage.blobs, or delete files") from fault
        raise StorageError(f"the folder of blobs failed: {fault.strerror}") from fault

"""Writing recordings: append only, whole lines only, from several processes at once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import zlib
from pathlib import Path

import msgspec

from penstock.gateway.recordings.exchange import VERSION, Exchange, Header, to_line
from penstock.kernel.errors import SettingsError, StorageError, StorageFull

_COPY = 1 << 20


class Recorder:
    """Appends exchanges to ``path``, made with its header when missing or empty; a name ending in ``.gz`` is written as gzip.

    An exchange is in the operating system's hands when `add` returns, so it survives a kill of this process (not a power cut: nothing is
    synced). Every write holds an exclusive lock on the file, so recorders in several processes and threads do not interleave.
    What a writer left behind when it was killed inside a write is closed off by the next one and skipped by readers.
    Raises `SettingsError` when the file cannot be opened.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        source: str = "",
        licence: str = "",
        note: str = "",
        timing: str = "recorded",
        usage: str = "provider",
    ) -> None:
        self.path = Path(path)
        self._gzip = self.path.name.endswith(".gz")
        self._lock = threading.Lock()
        self._sound = 0  # everything before this offset is known to be whole
        header = Header(penstock_recording=VERSION, source=source, licence=licence, note=note, timing=timing, usage=usage)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Prompts and replies are private: readable by their owner alone.
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise SettingsError(f"recording {self.path} cannot be opened for writing: {fault.strerror}") from fault
        self._append(msgspec.json.encode(header) + b"\n", only_if_empty=True)

    def add(self, exchange: Exchange) -> None:
        """Append one exchange. Raises `StorageFull` or `StorageError`; nothing of the exchange is left in the file then."""
        self._append(to_line(exchange))

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, line: bytes, *, only_if_empty: bool = False) -> None:
        data = _member(line) if self._gzip else line
        with self._lock:
            if self._file < 0:
                raise StorageError(f"recording {self.path} is closed")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX)
                try:
                    size = self._close_off()
                    if not (only_if_empty and size):
                        self._write(data, size)
                finally:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
            except OSError as fault:
                kind = StorageFull if fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else StorageError
                raise kind(f"recording {self.path}: {fault.strerror}") from fault

    def _write(self, data: bytes, size: int) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            # Where even this fails, the next writer closes the torn end off.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise
        self._sound = size + len(data)

    def _close_off(self) -> int:
        """Make the end of the file a place to append to; its size. The lock is held: a torn end has no living writer."""
        size = os.fstat(self._file).st_size
        if size == self._sound:
            return size
        if size < self._sound:  # somebody emptied or replaced the content
            self._sound = 0
        if self._gzip:
            sound = _last_whole_member(self._file, self._sound, size)
            if sound < size:
                os.ftruncate(self._file, sound)
            return sound
        if os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")
            size += 1
        return size


def _member(line: bytes) -> bytes:
    # One gzip member for each line: gzip readers join members, and a kill costs one line at most.
    packer = zlib.compressobj(6, wbits=31)
    return packer.compress(line) + packer.flush()


def _last_whole_member(file: int, start: int, size: int) -> int:
    """The offset behind the last whole gzip member between ``start`` (the start of a member) and ``size``."""
    sound = offset = start
    unpack = zlib.decompressobj(wbits=31)
    while offset < size:
        data = os.pread(file, min(_COPY, size - offset), offset)
        if not data:
            break
        offset += len(data)
        while data:
            try:
                unpack.decompress(data)
            except zlib.error:
                return sound
            if not unpack.eof:
                break
            data = unpack.unused_data
            sound = offset - len(data)
            unpack = zlib.decompressobj(wbits=31)
    return sound

"""How far a stream's reader is behind, asked of the kernel, so that a reader who stalls slows the provider instead of filling memory.

The server (Granian 2.8) queues whatever it is handed and tells nobody how much of it has left
(https://github.com/emmett-framework/granian/issues/885). TCP itself knows: ``tcpi_bytes_acked`` of ``TCP_INFO`` (Linux 4.1 and later)
counts what the peer has acknowledged. Streams below `CREDIT` bytes, nearly all, are never looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
from pathlib import Path

CREDIT = 1024 * 1024
"""Bytes of a stream that are handed over before anyone asks whether they are read."""

MOST_BEHIND = 2 * CREDIT
"""Bytes that a reader may be behind. The estimate counts the first `CREDIT` bytes as unread, so it may be too high by as much."""

_BYTES_ACKED = struct.Struct("=120xQ")
"""Position of ``tcpi_bytes_acked`` in ``struct tcp_info`` (linux/tcp.h): eight bytes, 24 32-bit and two 64-bit counts stand before it."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25


class Flow:
    """The connection to one reader. `find` it once, ask it before more is handed over, `close` it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._acked_before = self._acked()

    @classmethod
    def find(cls, client: str) -> Flow | None:
        """The connection of this process whose peer is ``client`` (address:port); None where it cannot be asked. Blocks a little."""
        found = connection_of(client)
        return None if found is None else cls(found[1])

    def behind(self, handed: int) -> int:
        """Bytes of ``handed`` that the reader has not acknowledged, too high by up to `CREDIT`."""
        return handed - (self._acked() - self._acked_before)

    async def catch_up(self, handed: int, patience: float) -> bool:
        """Wait until the reader is no more than `MOST_BEHIND` bytes behind; False when it reads nothing for ``patience`` seconds."""
        loop = asyncio.get_running_loop()
        behind, pause, moved_at = self.behind(handed), _FIRST_PAUSE, loop.time()
        while behind > MOST_BEHIND:
            if loop.time() - moved_at > patience:
                return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            now = self.behind(handed)
            if now < behind:
                behind, pause, moved_at = now, _FIRST_PAUSE, loop.time()
        return True

    def cut(self) -> None:
        """End the connection now, so that the reader can tell a reply that broke off from one that is complete."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Forget the connection; it stays open for whoever owns it."""
        self._connection.close()

    def _acked(self) -> int:
        info = self._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
        acked: int = _BYTES_ACKED.unpack(info)[0]
        return acked


def connection_of(client: str) -> tuple[int, socket.socket] | None:
    """The number of the connection whose peer is ``client`` (address:port) and a second handle of it; None where it cannot be found."""
    host, _, port = client.rpartition(":")
    host = host.strip("[]")
    try:
        numbers = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    except OSError:
        return None
    for number in numbers:
        with contextlib.suppress(OSError, ValueError):
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            connection = _handle(number)
            try:
                if connection.family in (socket.AF_INET, socket.AF_INET6):
                    peer: tuple[str, int] = connection.getpeername()[:2]
                    if peer[0].removeprefix("::ffff:") == host and str(peer[1]) == port:
                        return number, connection
            except OSError:
                connection.close()
                raise
            connection.close()
    return None


def _handle(number: int) -> socket.socket:
    """A second handle of a connection. What is no connection any more leaves none behind: `socket` would not close it."""
    copied = os.dup(number)
    try:
        return socket.socket(fileno=copied)
    except OSError:
        os.close(copied)
        raise

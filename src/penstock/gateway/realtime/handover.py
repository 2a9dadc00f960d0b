"""Taking a connection over from the HTTP server once it has switched protocols.

The server (Granian 2.8) has WebSockets of its own, but its RSGI interface cannot choose a subprotocol, without which a browser hangs up,
nor give a close code, a body to a refusal or a limit to a message. So an upgrade is an ordinary request to it, refused with an ordinary
answer or answered with 101, after which it lets go of the connection; a second handle keeps that open, and a WebSocket library goes on.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from penstock.gateway.flow import connection_of
from penstock.kernel.errors import Unavailable

if TYPE_CHECKING:
    from websockets.asyncio.connection import Connection

LETTING_GO_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.01


class Handover:
    """One connection of the server's, and our second handle of it. `find`, answer 101, `take`; or `close`."""

    def __init__(self, number: int, connection: socket.socket) -> None:
        self._number = number
        self._connection = connection
        self._inode = os.fstat(connection.fileno()).st_ino

    @classmethod
    async def find(cls, client: str) -> Handover:
        """The connection whose peer is ``client``. Raises `Unavailable` where the system does not tell (it takes Linux's /proc)."""
        found = await asyncio.to_thread(connection_of, client)
        if found is None:
            raise Unavailable("sessions over WebSocket need /proc/self/fd, which this system does not have")
        return cls(*found)

    async def take(self, side: Connection) -> None:
        """Wait until the server has sent its answer and let go, then give the connection to ``side``. Raises `Unavailable`."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + LETTING_GO_SECONDS, _FIRST_PAUSE
        while self._still_held():
            if loop.time() > until:
                self.close()
                raise Unavailable("the HTTP server did not let go of the connection")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._connection.setblocking(False)
        await loop.connect_accepted_socket(lambda: side, self._connection)

    def close(self) -> None:
        """Forget the connection; it is the server's again."""
        self._connection.close()

    def _still_held(self) -> bool:
        try:
            return os.fstat(self._number).st_ino == self._inode
        except OSError:
            return False

"""How a room has work done in a process beside this one."""

from __future__ import annotations

import msgspec


class Beside(msgspec.Struct, frozen=True):
    """``command`` starts such a process, with a socket as its standard input; ``house`` says where the stores are, in words that only that
    process reads: it is sent over the socket, since a command line is for everyone on the machine to see, and a URL may hold a password."""

    command: tuple[str, ...]
    house: bytes

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.gateway import flow
from penstock.gateway.flow import CREDIT, MOST_BEHIND, Flow, connection_of


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's and the reader's end of one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as reader:
        ours, _ = server.accept()
        with ours:
            ours.setblocking(False)
            yield ours, reader


def fill(ours: socket.socket) -> int:
    """Send until the kernel takes no more; how many bytes it took."""
    sent = 0
    while True:
        try:
            sent += ours.send(bytes(65_536))
        except BlockingIOError:
            return sent


def found(reader: socket.socket) -> Flow:
    host, port = reader.getsockname()
    found = Flow.find(f"{host}:{port}")
    assert found is not None
    return found


def test_what_the_reader_took_is_not_behind(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, reader = pair
    link = found(reader)
    ours.send(bytes(1000))
    while link.behind(1000) > 0:  # acknowledged by the kernel of the reader, a moment later
        pass
    link.close()
    assert ours.fileno() >= 0
    ours.send(b"still ours")
    assert reader.recv(1010, socket.MSG_WAITALL)[1000:] == b"still ours"


def test_a_peer_that_is_not_connected_here_is_not_found() -> None:
    assert Flow.find("127.0.0.1:1") is None
    assert Flow.find("") is None


async def test_waiting_ends_when_the_reader_reads_again(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, reader = pair
    link = found(reader)
    sent = fill(ours)
    handed = sent + MOST_BEHIND + CREDIT  # as if the server kept the rest
    waiting = asyncio.create_task(link.catch_up(handed, 30))
    await asyncio.sleep(0)
    assert not waiting.done()
    reader.settimeout(0)
    while not waiting.done():
        await asyncio.sleep(0.001)
        for move in (lambda: reader.recv(1 << 20), lambda: ours.send(bytes(1 << 20))):
            with contextlib.suppress(BlockingIOError):
                move()
    assert await waiting
    link.close()


async def test_waiting_ends_when_patience_does(pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "_FIRST_PAUSE", 0.001)
    ours, reader = pair
    link = found(reader)
    handed = fill(ours) + 2 * MOST_BEHIND
    assert await link.catch_up(handed, 0.05) is False
    link.close()


def test_looking_for_a_connection_leaves_nothing_open(pair: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    host, port = pair[1].getsockname()
    path = tmp_path / "no connection"
    with path.open("w"):

        def opened() -> int:
            # Others come and go in this process meanwhile; of this file there is one.
            return sum(_leads(entry) == str(path) for entry in Path("/proc/self/fd").iterdir())

        for _ in range(3):
            found = connection_of(f"{host}:{port}")
            assert found is not None
            assert (found[0], found[1].getpeername()) == (pair[0].fileno(), (host, port))
            found[1].close()
            assert connection_of(f"{host}:1") is None
        assert opened() == 1


def _leads(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""

"""The server process: Granian embedded in our own event loop, the gateway's endpoints served natively, the rest bridged to ASGI."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from penstock.edge.bridge import Bridge
from penstock.kernel.errors import SettingsError
from penstock.kernel.web import EdgeProtocol, EdgeScope, Endpoint
from penstock.settings import local, reached

_log = logging.getLogger("penstock.server")
Handler = Callable[[EdgeScope, EdgeProtocol], Awaitable[None]]

SETTLE_SECONDS = 0.05
"""Granian's own threads end a moment after it says that it has stopped. A process that ends before them is aborted (one in five did)."""


class Dispatcher:
    """The RSGI application: exact paths to their endpoints, then those with a name or a condition, everything else over the bridge."""

    def __init__(self, endpoints: Mapping[tuple[str, str], Endpoint], bridge: Bridge, handed: Sequence[Endpoint] = ()) -> None:
        """``handed``: routes and pages behind the bridge that may be another worker's to answer; their handlers see to that."""
        plain = {key: one for key, one in endpoints.items() if "{" not in one.path and one.when is None}
        self._handlers = {key: one.handler for key, one in plain.items()}
        self._others = [one for key, one in endpoints.items() if key not in plain]
        self._handed = handed
        self._bridge = bridge

    def __rsgi__(self, scope: EdgeScope, protocol: EdgeProtocol) -> Awaitable[None]:
        handler = self._handlers.get((scope.method, scope.path)) or self._find(scope)
        return handler(scope, protocol) if handler is not None else self._bridge(scope, protocol)

    def _find(self, scope: EdgeScope) -> Handler | None:
        method, path = scope.method, scope.path
        for one in self._others:
            if method == one.method and _fits(path, one.path) and (one.when is None or one.when(scope)):
                return one.handler
        for one in self._handed:
            # A name in a route's path is one segment.
            if method == one.method and _fits(path, one.path) and path.count("/") == one.path.count("/"):
                return one.handler
        return None


def _fits(path: str, wanted: str) -> bool:
    before, name, rest = wanted.partition("{")
    after = rest.partition("}")[2]
    if "{" in after:
        parts, asked = path.split("/"), wanted.split("/")
        return len(parts) == len(asked) and all(p == w or (p != "" and w.startswith("{")) for p, w in zip(parts, asked, strict=True))
    return path.startswith(before) and path.endswith(after) if name else path == wanted


class Server:
    """Listens, serves, and stops when told."""

    def __init__(self, dispatcher: Dispatcher, *, host: str, port: int, backlog: int, head_seconds: float, shared: bool = False) -> None:
        """``shared``: the port is held by a supervisor, and others may listen on it."""
        self._dispatcher = dispatcher
        self._shared = shared
        self.host = host
        self.port = port
        self._backlog = backlog
        self._head_seconds = head_seconds
        self._server: Any = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen; ``port`` is the real one afterwards. Raises `SettingsError` when the address cannot be had."""
        # Granian takes 0.15 CPU-s to import and only a serving process needs it.
        from granian.constants import HTTPModes, Interfaces
        from granian.http import HTTP1Settings
        from granian.server.embed import Server as Granian

        if not self._shared:
            self.port = free_port(self.host, self.port)
        self._server = Granian(
            self._dispatcher,
            address=self.host,
            port=self.port,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=max(1, int(self._head_seconds * 1000))),
            websockets=False,
            backlog=self._backlog,
            log_enabled=False,
        )
        self._serving = asyncio.get_running_loop().create_task(self._server.serve())
        # Granian does not tell when it listens; a connection does.
        while not await _answers(local(self.host), self.port):
            if self._serving.done():
                self._serving.result()
            await asyncio.sleep(0.002)

    async def stop(self) -> None:
        """Stop listening and close the connections."""
        if self._server is not None and self._serving is not None:
            self._server.stop()
            await asyncio.wait([self._serving], timeout=5)
            await asyncio.sleep(SETTLE_SECONDS)

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        return reached(self.host, self.port)


async def _answers(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def free_port(host: str, port: int) -> int:
    """``port``, or a free one for 0. Raises `SettingsError` when it cannot be bound, naming what is wrong.

    Granian itself would panic, or, since it sets SO_REUSEPORT, share the port with whoever listens there already.
    """
    with _probe(host, port) as probe:
        free: int = probe.getsockname()[1]
        return free


def bound(host: str, port: int) -> socket.socket:
    """A socket that holds ``port``, or a free one for 0, without listening, so that processes of the same user can share it.

    Raises `SettingsError` as `free_port` does, also when others share it already.
    """
    free = free_port(host, port)
    return _probe(host, free, reuse=socket.SO_REUSEPORT)


def _probe(host: str, port: int, *, reuse: int = socket.SO_REUSEADDR) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        probe = socket.socket(family, kind, proto)
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.setsockopt(socket.SOL_SOCKET, reuse, 1)
            probe.bind(address)
        except BaseException:
            probe.close()
            raise
        return probe
    except OSError as fault:
        raise SettingsError(
            f"cannot listen on {host}:{port}: {fault.strerror or fault}; choose another with server.port or --port", param="server.port"
        ) from fault


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``; a name counts when all its addresses are loopback."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(a.partition("%")[0]).is_loopback for a in found)


async def until_signal() -> str:
    """Wait for SIGTERM or SIGINT; its name. A second one ends the process at once."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[str] = loop.create_future()

    def tell(number: signal.Signals) -> None:
        if told.done():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        else:
            told.set_result(number.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell, number)
    return await told

"""``penstock up``: open the house, serve it, and close it cleanly when told. As ``python -m penstock.up`` it is one of several workers."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.routing import Route as HttpRoute

from penstock import __version__
from penstock.app import App, capabilities, load_settings, open_store
from penstock.collector import resting_collector, spare_collector
from penstock.edge.api import Doors, application
from penstock.edge.bridge import Bridge
from penstock.edge.handing import Handing
from penstock.edge.openapi import document
from penstock.edge.server import Dispatcher, Server, is_loopback, until_signal
from penstock.kernel.errors import PenstockError, SettingsError
from penstock.kernel.ports import Authenticator, Directory, FirstKey, Sessions
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.seat import Seat, Told
from penstock.kernel.web import Description, Endpoint, Page, Route
from penstock.logs import configure, redact
from penstock.settings import LogSettings, ServerSettings
from penstock.supervisor import Start, announce, supervise

_log = logging.getLogger("penstock.server")

FORCE_SECONDS = 5.0
"""Beyond ``server.drain_seconds``: when a worker without a supervisor ends whatever it does."""

CONTROL_BODY_BYTES = 1024 * 1024
"""Largest body of a route or form that is not the gateway's."""


@resting_collector()
def run(
    config: Path | None, *, host: str | None = None, port: int | None = None, workers: int | None = None, seat: Seat | None = None
) -> None:
    """Serve until SIGTERM or SIGINT. Raises `SettingsError` or `StorageError` when it cannot start.

    With more than one of ``workers`` this process supervises them; on a ``seat`` it is one of them.
    """
    rooms = capabilities()
    settings = load_settings(rooms, config)
    configure(settings.of(LogSettings))
    server = settings.of(ServerSettings)
    host = host if host is not None else server.host
    port = port if port is not None else server.port
    if workers is not None:
        server = msgspec.structs.replace(server, workers=workers)
    if seat is None and server.workers > 1:
        spare_collector()
        supervise(config, host, port, server)
        return
    app = App(rooms, settings, open_store(settings), seat)
    serving = _serve(app, host, port, server, seat)
    try:
        import uvloop
    except ImportError:  # not made for Windows; the standard loop serves too, more slowly
        asyncio.run(serving)
    else:
        uvloop.run(serving)


async def _serve(app: App, host: str, port: int, settings: ServerSettings, seat: Seat | None) -> None:
    await app.start()
    try:
        first = app.ports.find(FirstKey)
        if first is not None and not is_loopback(host) and not await first.configured():
            raise SettingsError(
                f"server.host is {host}, which others can reach, but no key has been made yet; "
                "run `penstock keys create --admin` first, or listen on 127.0.0.1",
                param="server.host",
            )
        answers = dispatcher(app)
        if app.handing is not None:
            await app.handing.start(answers.__rsgi__)
        server = Server(
            answers,
            host=host,
            port=port,
            backlog=settings.backlog,
            head_seconds=settings.head_seconds,
            shared=seat is not None,
        )
        await server.start()
        spare_collector()
        told = asyncio.create_task(until_signal())
        await asyncio.sleep(0)  # its handlers are in place before anyone knows whom to signal
        # Last, so that next to nothing can happen between making the key and showing it, which is done once.
        key = await first.ensure() if first is not None else None
        if seat is None:
            announce(server.url, key)
        else:
            follow(seat, settings.drain_seconds)
            tell(seat, Told(url=server.url, key=key))
        name = await told
        _log.info("stopping", extra={"signal": name})
        drains = [drain for offer in app.offers.values() for drain in offer.drains]
        await asyncio.gather(*(drain.drain(settings.drain_seconds) for drain in drains))
        await server.stop()
        if app.handing is not None:
            await app.handing.stop()
    finally:
        await app.stop()


def dispatcher(app: App) -> Dispatcher:
    """Everything that the open house answers, behind one RSGI application."""
    endpoints = [endpoint for offer in app.offers.values() for endpoint in offer.endpoints]
    routes = [route for offer in app.offers.values() for route in offer.routes]
    pages = [page for offer in app.offers.values() for page in offer.pages]

    @cache
    def described() -> bytes:
        return msgspec.json.encode(document(routes, endpoints, __version__))

    console, directory = app.console, app.ports.find(Directory)

    def sign(request: Request, principal: Principal) -> None:
        from penstock.console import Viewer

        role = "admin" if principal.may(Scope.ADMIN) else ("reader" if principal.may(Scope.READ) else "caller")
        organisation = directory.name(principal.organisation) if directory is not None else principal.organisation
        request.state.viewer = Viewer(name=principal.name, role=role, organisation=organisation)

    def error_page(request: Request, fault: PenstockError) -> Response:
        return console.error(request, fault.status, _heading(fault.status), fault.message, code=fault.code)

    async def openapi(request: Request) -> Response:
        return Response(described(), media_type="application/json")

    async def healthy(request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    extra: list[BaseRoute] = [
        *console.routes(),
        HttpRoute("/openapi.json", openapi, methods=["GET"]),
        HttpRoute("/healthz", healthy, methods=["GET"]),
    ]
    doors = Doors(app.ports.get(Authenticator), app.ports.find(Sessions), sign)
    bridge = Bridge(application(routes, pages, extra, doors, error_page), max_body=CONTROL_BODY_BYTES)
    handing = app.handing
    if handing is None:
        return Dispatcher(_by_address(endpoints), bridge)
    endpoints = [msgspec.structs.replace(one, handler=handing.through(one.holding, one.handler)) for one in endpoints]
    return Dispatcher(_by_address(endpoints), bridge, _handed(handing, routes, pages, bridge))


def _handed(handing: Handing, routes: Sequence[Route], pages: Sequence[Page], bridge: Bridge) -> list[Endpoint]:
    """What is behind the bridge and may be another worker's to answer."""
    found: list[Endpoint] = []
    declared = [(r.holding, r.path, (r.method,)) for r in routes] + [(p.holding, p.path, p.methods) for p in pages]
    for name, path, methods in declared:
        if handing.knows(name):
            handler = handing.through(name, bridge)
            for method in (*methods, "HEAD") if "GET" in methods else methods:
                found.append(Endpoint(method=method, path=path, handler=handler, summary="", describe=_undescribed))
    return found


def _undescribed() -> Description:
    raise AssertionError("the OpenAPI document is made of the routes")  # never asked: these are not in it


def _by_address(endpoints: Sequence[Endpoint]) -> dict[tuple[str, str], Endpoint]:
    found: dict[tuple[str, str], Endpoint] = {}
    for endpoint in endpoints:
        address = (endpoint.method, endpoint.path)
        if address in found:
            raise RuntimeError(f"two endpoints answer {endpoint.method} {endpoint.path}")
        found[address] = endpoint
    return found


def _heading(status: int) -> str:
    return {401: "Sign in first", 403: "Not allowed", 404: "Nothing here"}.get(status, "That did not work")


def tell(seat: Seat, told: Told) -> None:
    """Say to the supervisor that this worker serves."""
    with os.fdopen(seat.told, "wb") as supervisor:
        supervisor.write(msgspec.json.encode(told) + b"\n")


def follow(seat: Seat, drain_seconds: float) -> None:
    """End this process when its supervisor is gone: as after SIGTERM, and by force when that takes longer than it should."""

    def watch() -> None:
        os.read(seat.alive, 1)  # nothing is ever written: it returns when the last writer has ended
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(drain_seconds + FORCE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="supervisor", daemon=True).start()


def main() -> None:
    """A worker: its command line is one JSON text, a `penstock.supervisor.Start`."""
    start = msgspec.json.decode(sys.argv[1], type=Start)
    try:
        run(Path(start.config) if start.config else None, host=start.host, port=start.port, seat=start.seat)
    except PenstockError as fault:
        sys.stderr.write(f"penstock: {redact(fault.message)} [{fault.code}]\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()

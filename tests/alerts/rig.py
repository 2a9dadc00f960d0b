"""A house with a source of measures of our own, receivers of what it sends, and a clock that stands where it is put."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from aiohttp import web
from tests.alerts.series import ERRORS, GROUNDED, LATENCY, SPEND, Listed
from tests.house import SETTINGS, House, open_house

from penstock.alerts.wiring import AlertsLife
from penstock.kernel.capability import House as Rooms
from penstock.kernel.capability import Offer


class Toy:
    """A room that knows the toy measures."""

    name: ClassVar[str] = "toy"
    settings: ClassVar[type[msgspec.Struct] | None] = None
    migrations: ClassVar[str | None] = None
    commands: ClassVar[str | None] = None
    templates: ClassVar[str | None] = None

    def __init__(self) -> None:
        self.source = Listed(LATENCY, ERRORS, GROUNDED, SPEND)

    def open(self, house: Rooms) -> Offer:
        return Offer(measures=(self.source,))


class Receiver:
    """Takes posts, remembers them, and answers as it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], Any]] = []
        self.raw: list[bytes] = []
        self.answer: Callable[[], int] = lambda: 200
        self.hold: asyncio.Event | None = None
        self.url = ""
        self.seen: Counter[str] = Counter()
        """Requests by idempotency key, also those that were not taken."""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.seen[request.headers.get("idempotency-key", "")] += 1
        if self.hold is not None:
            await self.hold.wait()
        status = self.answer()
        if status < 300:
            self.raw.append(body)
            self.got.append(({k.lower(): v for k, v in request.headers.items()}, json.loads(body)))
        return web.Response(status=status)

    def types(self) -> list[str]:
        return [body["type"] for _, body in self.got]


@asynccontextmanager
async def receiving() -> AsyncGenerator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


class Alarmed:
    """The house and the parts of its alerts. Rounds are made by the test: `round`."""

    def __init__(self, house: House, toy: Toy) -> None:
        self.house = house
        self.source = toy.source
        services = house.app.offers["alerts"].services
        life = services[0]
        assert isinstance(life, AlertsLife)
        self.life = life

    async def round(self) -> None:
        await self.life.watching.lead()
        await self.life.watching.look()
        await self.life.watching.deliver()

    def at(self, now: float) -> None:
        """Have the alerts take this for now."""
        for part in (self.life.watching, self.life.delivering, self.life.alerting, self.life.announcing, self.life.subscribing):
            part.__dict__["_clock" if part is not self.life.alerting else "clock"] = lambda: now
        self.life.delivering.__dict__["_sender"].__dict__["_clock"] = lambda: now

    async def open(self) -> list[Any]:
        return (await self.house.ask("GET", "/v1/alerts?state=open&since=0")).json["data"]


QUIET = "[alerts]\nevery_seconds = 3600\nlag_seconds = 0\n"
"""The house's own rounds are out of the way: tests make theirs."""


@asynccontextmanager
async def alarmed(folder: Path, settings: str = "", *, database: str = "") -> AsyncGenerator[Alarmed]:
    toy = Toy()
    async with open_house(folder, SETTINGS + QUIET + settings, database=database, more=(toy,)) as house:
        found = Alarmed(house, toy)
        await found.life.rounds.stop()
        yield found

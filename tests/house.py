"""A whole Penstock inside the test's own process and event loop, served over a real socket."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import msgspec

from penstock.app import App, capabilities, data_dir, load_settings, migration_packages, open_store
from penstock.edge.server import Server
from penstock.kernel.capability import Capability
from penstock.kernel.ports import FirstKey
from penstock.settings import StorageSettings
from penstock.storage.migrations import migrate
from penstock.storage.records import DATABASE_FILE, open_records
from penstock.up import dispatcher

SETTINGS = "[gateway]\ndiscover = false\nlocal_embeddings = false\n"


class Answer(msgspec.Struct):
    """Status, body and headers of one reply; ``json`` is the body decoded, None when it is empty or no JSON."""

    status: int
    text: str
    headers: dict[str, str]
    json: Any = None


class House:
    """A running installation. ``admin`` is the key of its first start."""

    def __init__(self, app: App, server: Server, admin: str) -> None:
        self.app = app
        self.url = server.url
        self.admin = admin
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def ask(self, method: str, path: str, body: object = None, *, key: str | None = None, **headers: str) -> Answer:
        """One request; as admin unless ``key`` is given, as nobody when it is empty. Underscores in header names stand for hyphens."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        key = self.admin if key is None else key
        if key:
            given.setdefault("authorization", f"Bearer {key}")
        data = body if isinstance(body, bytes | str | io.BytesIO | None) else msgspec.json.encode(body)
        async with self.session.request(method, self.url + path, data=data, headers=given, allow_redirects=False) as reply:
            text = await reply.text("utf-8", "replace")
            try:
                parsed = msgspec.json.decode(text) if text else None
            except msgspec.DecodeError:
                parsed = None
            return Answer(reply.status, text, {k.lower(): v for k, v in reply.headers.items()}, parsed)

    async def made(self, path: str, body: object, *, key: str | None = None) -> Any:
        """What a POST that must succeed has made."""
        answer = await self.ask("POST", path, body, key=key)
        assert answer.status == 201, answer.text
        return answer.json

    async def key(self, *, by: str | None = None, **terms: Any) -> tuple[str, str]:
        """Secret and id of a new key."""
        made = await self.made("/v1/keys", {"name": "a key", **terms}, key=by)
        return made["secret"], made["key"]["id"]

    async def home(self) -> str:
        """The id of the organisation that runs the installation."""
        (own,) = [one["id"] for one in (await self.ask("GET", "/v1/organisations")).json["data"] if one["home"]]
        return own

    async def outsider(self) -> tuple[str, str]:
        """Another organisation with an admin key of its own: its secret, and the organisation's id."""
        organisation = (await self.made("/v1/organisations", {"name": "Others"}))["id"]
        secret, _ = await self.key(name="their admin", organisation=organisation, scopes=["admin"])
        return secret, organisation


@cache
def migrated(packages: tuple[str, ...]) -> bytes:
    """A database of SQLite with all of these migrations and nothing in it: they take longer than all else that opening a house does."""
    with TemporaryDirectory() as folder:
        store = open_records("", Path(folder))
        try:
            migrate(store, packages)
        finally:
            store.close()
        with closing(sqlite3.connect(Path(folder) / DATABASE_FILE)) as connection:
            return connection.serialize()


def founded(data: Path, packages: tuple[str, ...]) -> None:
    """Lay a migrated database into a folder of data that has none yet."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = data / DATABASE_FILE
    if not file.exists():
        file.touch(0o600)
        file.write_bytes(migrated(packages))


@asynccontextmanager
async def open_house(
    folder: Path, settings: str = SETTINGS, *, database: str = "", more: Sequence[Capability] = (), without: Sequence[str] = ()
) -> AsyncGenerator[House]:
    """Open, serve and close a house with these settings, on SQLite in ``folder`` or the database given, with ``more`` rooms."""
    config = folder / "penstock.toml"
    storage = f'[storage]\nrecords = "{database}"\nmigrate_on_start = true\n' if database else ""
    config.write_text(f'[server]\nport = 0\ndata_dir = "{folder}/data"\n{storage}{settings}', "utf-8")
    rooms = (*(room for room in capabilities() if room.name not in without), *more)
    tree = load_settings(rooms, config)
    if not tree.of(StorageSettings).records:
        founded(data_dir(tree), migration_packages(rooms))
    app = App(rooms, tree, open_store(tree))
    await app.start()
    try:
        server = Server(dispatcher(app), host="127.0.0.1", port=0, backlog=128, head_seconds=10)
        await server.start()
        try:
            house = House(app, server, await app.ports.get(FirstKey).ensure() or "")
            try:
                yield house
            finally:
                await house.session.close()
        finally:
            drains = [drain for offer in app.offers.values() for drain in offer.drains]
            await asyncio.gather(*(drain.drain(2) for drain in drains))
            await server.stop()
    finally:
        await app.stop()

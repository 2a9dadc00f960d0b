"""Webhooks of tasks: a client names a URL, which is told of each change of its task until the task has ended.

A URL's host must be named in the settings: whoever holds a key could else have this machine send requests into its own network. Tokens
and credentials are kept sealed, as long as there is something to deliver.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from penstock.interop.a2a.store import Kept, kept_of
from penstock.interop.a2a.words import MEDIA, A2aFault, PushConfig, asked, updates
from penstock.interop.tables import PUSHES, TASKS
from penstock.kernel.agents import AgentEvent, AgentRuns
from penstock.kernel.errors import PenstockError, SettingsError, Unavailable
from penstock.kernel.ids import new_id
from penstock.kernel.ports import Holders, Metric
from penstock.kernel.principal import Principal
from penstock.kernel.sending import post
from penstock.storage.records import Records
from penstock.storage.sealing import Sealing, Unsealable, can_seal

if TYPE_CHECKING:
    import aiohttp

_log = logging.getLogger("penstock.interop")

FILE = "interop.key"
"""In the data folder: the secret under which tokens are kept, where no variable holds it."""
MOST = 10
"""URLs of one task."""
ATTEMPTS = 8
FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
ANSWER_SECONDS = 10.0
AGAIN_SECONDS = 5.0
"""How often is looked for a journal that is not open yet, and at a run that is paused."""


class Pushing:
    """Tells the URLs. Each has a task of its own that watches the run; those of an earlier process go on after `start`."""

    def __init__(
        self, records: Records, runs: Callable[[], AgentRuns], holders: Callable[[], Holders], hosts: Sequence[str], sealing: Sealing
    ) -> None:
        self._records = records
        self._sealing = sealing
        self._runs = runs
        self._holders = holders
        self._hosts = frozenset(host.lower() for host in hosts)
        self._telling: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None
        self.failed = 0
        """Deliveries that were given up."""

    @property
    def on(self) -> bool:
        """Whether there are hosts that may be told."""
        return bool(self._hosts)

    async def start(self) -> None:
        """Go on with what an earlier process had not told."""
        if not self.on:
            return
        if can_seal():
            await self._seal_old()
        for run, id in await self._records.read(_open):
            self._begin(run, id)

    async def stop(self) -> None:
        """Stop telling; the next process goes on."""
        for task in tuple(self._telling.values()):
            task.cancel()
        await asyncio.gather(*self._telling.values(), return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def add(self, principal: Principal, kept: Kept, config: PushConfig) -> dict[str, Any]:
        """Tell a URL of a task from its beginning; one of the same id is replaced. Raises `A2aFault`."""
        if not self.on:
            raise A2aFault("PUSH_NOTIFICATION_NOT_SUPPORTED", "no host may be told: interop.push_hosts is empty")
        if _host(config.url) not in self._hosts:
            raise A2aFault("INVALID_PARAMS", "the host of the URL is not among those that interop.push_hosts names")
        given = config.authentication or {}
        if not all(_fits(value) for value in (config.token, given.get("scheme"), given.get("credentials"))):
            raise A2aFault("INVALID_PARAMS", "token, scheme and credentials go into headers: text without line breaks")
        told, secret = _parted(msgspec.to_builtins(config) | {"id": config.id or new_id("push"), "taskId": kept.run})
        if secret and not can_seal():
            what = "a token or credentials can be kept only with the extra 'a2a' (pip install 'penstock[a2a]'); send neither"
            raise A2aFault("PUSH_NOTIFICATION_NOT_SUPPORTED", what)
        sealed = self._sealing.seal(secret, f"{kept.run}/{told['id']}") if secret else None
        whose = {"key": principal.key_id, "person": principal.person}
        row = {"run": kept.run, "id": told["id"], **whose, "config": msgspec.json.encode(told).decode(), "sealed": sealed}

        def write(connection: Connection) -> None:
            connection.execute(delete(PUSHES).where(PUSHES.c.run == kept.run, PUSHES.c.id == told["id"]))
            if len(connection.execute(select(PUSHES.c.id).where(PUSHES.c.run == kept.run)).all()) >= MOST:
                raise A2aFault("INVALID_PARAMS", f"a task tells at most {MOST} URLs")
            connection.execute(insert(PUSHES).values(**row, told=0, over=False, created_at=time.time()))

        await self._records.write(write)
        self._end(kept.run, told["id"])
        self._begin(kept.run, told["id"])
        return _shown(told)

    async def _seal_old(self) -> None:
        """Seal what a version before this one kept as it was given."""

        def write(connection: Connection) -> None:
            for row in connection.execute(select(PUSHES).where(PUSHES.c.sealed.is_(None))).mappings().all():
                told, secret = _parted(msgspec.json.decode(row["config"]))
                if secret:
                    sealed = None if row["over"] else self._sealing.seal(secret, f"{row['run']}/{row['id']}")
                    mine = update(PUSHES).where(PUSHES.c.run == row["run"], PUSHES.c.id == row["id"])
                    connection.execute(mine.values(config=msgspec.json.encode(told).decode(), sealed=sealed))

        await self._records.write(write)

    async def list(self, run: str) -> list[dict[str, Any]]:
        """The configurations of a task, without what only their receivers need to know."""
        asked = select(PUSHES.c.config).where(PUSHES.c.run == run).order_by(PUSHES.c.created_at, PUSHES.c.id)
        rows = await self._records.read(lambda connection: connection.execute(asked).scalars().all())
        return [_shown(msgspec.json.decode(row)) for row in rows]

    async def drop(self, run: str, id: str) -> None:
        """Tell it no more."""
        self._end(run, id)
        await self._records.write(lambda connection: connection.execute(delete(PUSHES).where(PUSHES.c.run == run, PUSHES.c.id == id)))

    def metrics(self) -> Iterable[Metric]:
        """Deliveries that were given up."""
        name = "penstock_a2a_pushes_failed_total"
        yield Metric(
            name=name, kind="counter", help="Events of A2A tasks that a client's URL did not take.", samples=(({}, float(self.failed)),)
        )

    def _begin(self, run: str, id: str) -> None:
        task = asyncio.create_task(self._tell(run, id), name=f"push {run}")
        self._telling[run, id] = task
        task.add_done_callback(lambda done: self._telling.pop((run, id), None) if self._telling.get((run, id)) is done else None)

    def _end(self, run: str, id: str) -> None:
        task = self._telling.pop((run, id), None)
        if task is not None:
            task.cancel()

    async def _tell(self, run: str, id: str) -> None:
        while True:
            try:
                if await self._told(run, id):
                    return
            except Unavailable:  # the journal is not open yet, or held by another process, which tells it then
                pass
            except SettingsError as fault:  # of this process: another one, or the next, may have the right secret
                _log.warning("a push of A2A cannot be told here", extra={"run": run, "push": id, "fault": fault.message})
                return
            except PenstockError as fault:  # the run has left, or its key was revoked: nobody may be told any more
                _log.warning("a push of A2A ended", extra={"run": run, "push": id, "code": fault.code})
                await self._note(run, id, told=0, over=True)
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _told(self, run: str, id: str) -> bool:
        """Tell what is not told yet; whether that was all. A run that is paused is looked at again."""
        row = await self._records.read(lambda connection: _one(connection, run, id))
        if row is None:
            return True
        principal, told = self._holders().holder_of(row.key), row.told
        runs, place = self._runs(), 0
        async with contextlib.aclosing(cast("AsyncGenerator[AgentEvent]", runs.watch(principal, run))) as events:
            async for event in events:
                place += 1
                if place <= told:
                    continue
                # Anew for each: its person may have been erased, its key revoked, or another process told to tell it no more.
                row = await self._records.read(lambda connection: _one(connection, run, id))
                if row is None:
                    return True
                principal = self._holders().holder_of(row.key)
                config = self._opened(row, run, id)
                words = updates(event, row.kept)
                if event.kind == "asked":
                    standing = await runs.look(principal, run)
                    words = [asked(standing, row.kept)] if standing.state == "waiting" else []
                for part, word in enumerate(words):
                    if not await self._deliver(f"{run}-{id}-{event.number}-{part}", config, word):
                        self.failed += 1
                        _log.warning("a push of A2A was given up", extra={"run": run, "push": id})
                        break
                await self._note(run, id, told=place, over=event.kind == "ended")
                if event.kind == "ended":
                    return True
        return False

    def _opened(self, row: _Row, run: str, id: str) -> PushConfig:
        try:
            secret: dict[str, Any] = msgspec.json.decode(self._sealing.open(row.sealed, f"{run}/{id}")) if row.sealed else {}
        except Unsealable as fault:
            raise SettingsError(f"{fault}: interop.secret_env, or the file {FILE}, is not what it was") from fault
        authentication: dict[str, Any] = {**row.config.get("authentication", {}), **secret.get("authentication", {})}
        return msgspec.convert({**row.config, **secret, "authentication": authentication}, PushConfig)

    async def _deliver(self, id: str, config: PushConfig, word: dict[str, Any]) -> bool:
        """Send one event until it is taken; an event that is sent again has the same id."""
        if self._session is None:
            import aiohttp  # a fifth of a second: only once something is to be sent

            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))
        body = msgspec.json.encode(word)
        for attempt in range(ATTEMPTS):
            sent = await post(self._session, config.url, body, _signed(id, config, body), ANSWER_SECONDS)
            if sent.ok or sent.gone:
                return sent.ok
            if attempt + 1 < ATTEMPTS:
                await asyncio.sleep(min(LONGEST_SECONDS, FIRST_SECONDS * 4**attempt))
        return False

    async def _note(self, run: str, id: str, *, told: int, over: bool) -> None:
        values: dict[str, Any] = {"over": over} | ({"told": told} if told else {}) | ({"sealed": None} if over else {})
        await self._records.write(lambda c: c.execute(update(PUSHES).where(PUSHES.c.run == run, PUSHES.c.id == id).values(values)))


def _host(url: str) -> str:
    """The host of an address of the web; empty for what is none, or holds a password."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and not parts.username and parts.port != 0  # the port is read, and may be none
    except ValueError:
        return ""
    return (parts.hostname or "").lower() if good else ""


def _fits(value: Any) -> bool:
    """Whether a header can hold it."""
    return value is None or (isinstance(value, str) and value.isprintable())


def _signed(id: str, config: PushConfig, body: bytes) -> dict[str, str]:
    """The headers of a delivery: the token as A2A says, and, made with it, a signature as of Standard Webhooks."""
    headers = {"content-type": MEDIA, "webhook-id": id, "webhook-timestamp": str(int(time.time()))}
    if config.token:
        headers["x-a2a-notification-token"] = config.token
        signed = f"{id}.{headers['webhook-timestamp']}.".encode() + body
        # hexadecimal: what holds the token need not know Base64
        headers["webhook-signature"] = "v1," + hmac.new(config.token.encode(), signed, hashlib.sha256).hexdigest()
    given = config.authentication or {}
    if given.get("scheme") and given.get("credentials"):
        headers["authorization"] = f"{given['scheme']} {given['credentials']}"
    return headers


def _shown(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration as it is told: whoever reads the task may not be whoever set it."""
    told = {name: config[name] for name in ("id", "taskId", "url") if config.get(name)}
    authentication: dict[str, Any] = config.get("authentication") or {}
    return told | ({"authentication": {"scheme": authentication["scheme"]}} if authentication.get("scheme") else {})


def _open(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.execute(select(PUSHES.c.run, PUSHES.c.id).where(PUSHES.c.over.is_(False))).all()
    return [(run, id) for run, id in rows]


class _Row(NamedTuple):
    kept: Kept
    config: dict[str, Any]
    sealed: str | None
    key: str
    told: int


def _one(connection: Connection, run: str, id: str) -> _Row | None:
    row = connection.execute(select(PUSHES).where(PUSHES.c.run == run, PUSHES.c.id == id)).mappings().first()
    task = connection.execute(select(TASKS).where(TASKS.c.run == run)).mappings().first()
    if row is None or task is None:
        return None
    return _Row(kept_of(task), msgspec.json.decode(row["config"]), row["sealed"], row["key"], row["told"])


def _parted(config: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A configuration without what only its receiver may know, and that as JSON; empty where there is nothing of it."""
    given: dict[str, Any] = config.get("authentication") or {}
    secret: dict[str, Any] = {"token": config["token"]} if config.get("token") else {}
    if given.get("credentials"):
        secret["authentication"] = {"credentials": given["credentials"]}
    told = {name: value for name, value in config.items() if name not in ("token", "authentication")}
    if given.get("scheme"):
        told["authentication"] = {"scheme": given["scheme"]}
    return told, msgspec.json.encode(secret).decode() if secret else ""


__all__ = ["Pushing"]

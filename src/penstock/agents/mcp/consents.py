"""Who consented to what: people's tokens for MCP servers, sealed, renewed by one process at a time, and taken back."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select, update

from penstock.agents.faults import Permanent
from penstock.agents.inbox import store
from penstock.agents.mcp.tables import BEGUN, CLIENTS, CONSENTS
from penstock.agents.toolbox.mcp_client import McpServer
from penstock.agents.toolbox.mcp_tools import Who
from penstock.kernel.errors import Conflict, Forbidden, NotFound, RequestError, Unavailable, UpstreamUnreachable
from penstock.kernel.principal import Principal
from penstock.storage.records import Records
from penstock.storage.sealing import Sealing, Unsealable

EARLY_SECONDS = 60.0
"""How long before it ends a token is renewed."""
BEGUN_SECONDS = 600.0
RENEW_SECONDS = 45.0
"""How long one process may be at renewing a token before another one tries."""
LOOK_SECONDS = 0.2
CALLBACK = "/console/agents/mcp/callback"


class ConsentTerms(Struct, frozen=True, kw_only=True):
    """How people consent to a server; what is empty is found out."""

    issuer: str = ""
    client_id: str = ""
    client_secret: str = ""
    scope: str = ""


class ConsentView(Struct, frozen=True, kw_only=True):
    """Whether a person consented to a server. ``url`` is the path of the console where they do; ``expires_at`` is that of the token in use,
    which is renewed by itself where that can be."""

    server: str
    person: str
    consented: bool
    url: str
    scope: str = ""
    at: float | None = None
    expires_at: float | None = None


class Consents:
    """The consents of all people to all servers."""

    name = "consents to MCP servers"

    def __init__(self, records: Records, seals: Sealing) -> None:
        self._records = records
        self._seals = seals
        self._servers: dict[str, tuple[McpServer, ConsentTerms]] = {}
        self._renewing: set[asyncio.Task[str]] = set()

    def add(self, name: str, server: McpServer, terms: ConsentTerms) -> Signing:
        """Make a server known that people consent to."""
        self._servers[name] = server, terms
        return Signing(self, name)

    async def begin(self, principal: Principal, name: str, base: str) -> str:
        """Where the browser of a person is sent to consent; it comes back to ``base``. Raises `PenstockError`."""
        from penstock.agents.mcp import oauth  # brings the SDK

        server, terms = self._found(name)
        person, redirect = _person(principal), f"{base.rstrip('/')}{CALLBACK}"
        found = await oauth.discover(server, terms.issuer, terms.scope)
        if terms.client_id:
            client = oauth.known(terms.client_id, terms.client_secret, redirect, found)
        else:
            client = await self._client(name, found.issuer, redirect, lambda: oauth.register(server, found, redirect))
        url, state, begun = oauth.authorization(server, found, client, redirect)
        row = {"server": name, "organisation": principal.organisation, "person": person, "state": _hash(state), "at": time.time()}
        sealed = self._sealed(begun, f"begun/{row['state']}")

        def write(connection: Connection) -> None:
            connection.execute(delete(BEGUN).where(BEGUN.c.at < time.time() - BEGUN_SECONDS))
            connection.execute(insert(BEGUN).values(**row, sealed=sealed))

        await self._records.write(write)
        return url

    async def finish(self, principal: Principal, state: str, code: str, iss: str | None, error: str) -> str:
        """Take what the authorization server answered; the name of the server. Once for each consent that was begun, and only by whoever
        began it. Raises `PenstockError`."""
        from penstock.agents.mcp import oauth

        hashed = _hash(state)
        row = await self._records.read(lambda c: c.execute(select(BEGUN).where(BEGUN.c.state == hashed)).mappings().first())
        if row is None or row["at"] < time.time() - BEGUN_SECONDS:
            raise NotFound("this consent was not begun here, is over, or took too long: begin again", param="state")
        if (row["organisation"], row["person"]) != (principal.organisation, _person(principal)):
            raise Forbidden("somebody else began this consent")
        name: str = row["server"]
        server, _ = self._found(name)
        gone = await self._records.write(lambda c: c.execute(delete(BEGUN).where(BEGUN.c.state == hashed)).rowcount)
        if gone != 1:
            raise Conflict("this consent is over: begin again", param="state")
        if error or not code:
            raise RequestError(f"{name} was not consented to: {error[:100] or 'no code came back'}", param="code")
        begun = msgspec.convert(self._opened(row["sealed"], f"begun/{hashed}"), oauth.Begun)
        if begun.url != server.url:
            raise Conflict(f"the address of {name} is another one by now: begin again", param="state")
        given = await oauth.exchange(server, begun, code, iss)
        who = (principal.organisation, _person(principal))
        now = time.time()
        values = self._row(name, who, given) | {"at": now, "busy_until": None}

        def write(connection: Connection) -> None:
            where = _where(name, who)
            number = connection.execute(select(CONSENTS.c.number).where(*where)).scalar() or 0
            connection.execute(delete(CONSENTS).where(*where))
            keys = {"server": name, "organisation": who[0], "person": who[1], "number": number + 1}
            connection.execute(insert(CONSENTS).values(**values, **keys))
            _note(connection, principal, name, "consented", now, scope=given.scope)

        await self._records.write(write)
        return name

    async def view(self, principal: Principal, name: str) -> ConsentView:
        """Whether the principal's person consented. Raises `NotFound` and `Forbidden`."""
        self._found(name)
        person = _person(principal)
        row = await self._kept(name, (principal.organisation, person))
        view = ConsentView(server=name, person=person, consented=row is not None, url=place(name))
        if row is None:
            return view
        return msgspec.structs.replace(view, scope=row["scope"], at=row["at"], expires_at=row["expires_at"])

    async def revoke(self, principal: Principal, name: str) -> ConsentView:
        """Take the consent of the principal's person back, here at once and at the authorization server where that can be."""
        from penstock.agents.mcp import oauth

        server, _ = self._found(name)
        who = (principal.organisation, _person(principal))
        row = await self._kept(name, who)
        if row is None:
            raise NotFound(f"you have not consented to {name}", param="name")

        def write(connection: Connection) -> None:
            connection.execute(delete(CONSENTS).where(*_where(name, who)))
            _note(connection, principal, name, "consent taken back", time.time())

        await self._records.write(write)
        try:
            given = msgspec.convert(self._opened(row["sealed"], _place(name, who)), oauth.Given)
        except Unavailable:  # sealed with a key that is gone: nobody can tell the authorization server
            return await self.view(principal, name)
        if given.url == server.url:
            await oauth.revoke(server, given)
        return await self.view(principal, name)

    async def erase(self, organisation: str, person: str) -> int:
        """See `penstock.kernel.ports.PersonalRecords`: tokens of the person; how many consents there were."""

        def write(connection: Connection) -> int:
            connection.execute(delete(BEGUN).where(BEGUN.c.organisation == organisation, BEGUN.c.person == person))
            c = CONSENTS.c
            return connection.execute(delete(CONSENTS).where(c.organisation == organisation, c.person == person)).rowcount

        return await self._records.write(write)

    async def token(self, name: str, who: Who, stale: str = "") -> str:
        """Somebody's token, renewed where it ends soon, or is the ``stale`` one. Raises `Permanent` where they have to consent, and
        `PenstockError` where it cannot be renewed now."""
        from penstock.agents.mcp import oauth

        server, _ = self._found(name)
        end = time.monotonic() + RENEW_SECONDS
        while True:
            row = await self._kept(name, who)
            if row is None:
                raise needed(name)
            try:
                given = msgspec.convert(self._opened(row["sealed"], _place(name, who)), oauth.Given)
            except Unavailable:
                raise needed(name) from None
            if given.url != server.url:  # it was given for another server of that name
                raise needed(name)
            soon = given.expires_at is not None and given.expires_at - EARLY_SECONDS < time.time()
            if given.access != stale and not (soon and given.refresh):
                return given.access
            if await self._mine(name, who, row["number"]):
                # Old tokens may be void once it is asked: whoever gives up meanwhile must not keep the new ones from being written.
                renewing = asyncio.create_task(self._renewed(name, who, server, given, row["number"]), name=f"renew {name}")
                self._renewing.add(renewing)
                renewing.add_done_callback(self._renewing.discard)
                return await asyncio.shield(renewing)
            if time.monotonic() > end:
                raise Unavailable(f"the sign-in to {name} is being renewed, and that takes too long")
            await asyncio.sleep(LOOK_SECONDS)  # another process is at it

    async def _renewed(self, name: str, who: Who, server: McpServer, given: Any, number: int) -> str:
        from penstock.agents.mcp import oauth

        mine = (*_where(name, who), CONSENTS.c.number == number)
        try:
            new = await oauth.renew(server, given)
        except oauth.NotRenewed:
            await self._records.write(lambda c: c.execute(delete(CONSENTS).where(*mine)))
            raise needed(name) from None
        except UpstreamUnreachable:
            await self._records.write(lambda c: c.execute(update(CONSENTS).where(*mine).values(busy_until=None)))
            raise
        values = self._row(name, who, new) | {"number": number + 1, "busy_until": None}
        await self._records.write(lambda c: c.execute(update(CONSENTS).where(*mine).values(values)))
        return new.access

    async def _mine(self, name: str, who: Who, number: int) -> bool:
        """Whether this process is the one that renews."""
        c, now = CONSENTS.c, time.time()
        free = c.busy_until.is_(None) | (c.busy_until < now)
        asked = update(CONSENTS).where(*_where(name, who), c.number == number, free).values(busy_until=now + RENEW_SECONDS)
        return await self._records.write(lambda connection: connection.execute(asked).rowcount) == 1

    async def _client(self, name: str, issuer: str, redirect: str, register: Callable[[], Any]) -> dict[str, Any]:
        """The client that was registered with an issuer for browsers that come back there; the first time it is."""
        where = (CLIENTS.c.server == name, CLIENTS.c.issuer == issuer, CLIENTS.c.redirect == redirect)
        sealed = await self._records.read(lambda c: c.execute(select(CLIENTS.c.sealed).where(*where)).scalar())
        spot = f"client/{name}/{issuer}"
        if sealed is not None:
            try:
                return self._opened(sealed, spot)
            except Unavailable:  # sealed with another key: another one is registered
                sealed = None
        made = await register()
        kept = self._sealed(made, spot)

        def write(connection: Connection) -> None:
            connection.execute(delete(CLIENTS).where(*where))
            connection.execute(insert(CLIENTS).values(server=name, issuer=issuer, redirect=redirect, sealed=kept, at=time.time()))

        await self._records.write(write)
        return made

    async def _kept(self, name: str, who: Who) -> Any:
        return await self._records.read(lambda c: c.execute(select(CONSENTS).where(*_where(name, who))).mappings().first())

    def _row(self, name: str, who: Who, given: Any) -> dict[str, Any]:
        sealed = self._sealed(given, _place(name, who))
        return {"sealed": sealed, "scope": given.scope, "expires_at": given.expires_at}

    def _sealed(self, value: Any, place: str) -> str:
        return self._seals.seal(msgspec.json.encode(value).decode(), place)

    def _opened(self, sealed: str, place: str) -> Any:
        try:
            return msgspec.json.decode(self._seals.open(sealed, place))
        except Unsealable as fault:
            raise Unavailable(f"{fault}: see agents.tokens_key") from fault

    def _found(self, name: str) -> tuple[McpServer, ConsentTerms]:
        if name not in self._servers:
            raise NotFound(f"there is no MCP server {name[:100]!r} that people consent to", param="name")
        return self._servers[name]


class Signing:
    """Calls of one server, signed in as whoever they are made for: `penstock.agents.toolbox.mcp_tools.Consented`."""

    def __init__(self, consents: Consents, name: str) -> None:
        self._consents = consents
        self._name = name

    async def ready(self, who: Who) -> None:
        """Raise `Permanent`, with where to consent, for who has not."""
        if not who[1]:
            raise Permanent(f"mcp_person_needed: {self._name} is called with a person's consent, and this run works for nobody")
        await self._consents.token(self._name, who)

    def auth(self, who: Who) -> Any:
        """What signs their requests in."""
        from penstock.agents.mcp.oauth import PersonAuth

        current = partial(self._consents.token, self._name, who)
        return PersonAuth(current, current)


def needed(name: str) -> Permanent:
    """What a call fails with for which somebody has to consent first."""
    return Permanent(f"mcp_consent_needed: nobody is signed in to {name} for this person; they do that in the console, at {place(name)}")


def place(name: str) -> str:
    """Where people consent."""
    return f"/console/agents/mcp/{name}/consent"


def _person(principal: Principal) -> str:
    if not principal.person:
        raise Forbidden("people consent, and this key belongs to none", code="person_needed")
    return principal.person


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _place(name: str, who: Who) -> str:
    return f"{name}/{who[0]}/{who[1]}"


def _where(name: str, who: Who) -> tuple[Any, ...]:
    c = CONSENTS.c
    return c.server == name, c.organisation == who[0], c.person == who[1]


def _note(connection: Connection, principal: Principal, server: str, action: str, now: float, **details: Any) -> None:
    person = principal.person or ""
    store.note(connection, principal.organisation, f"mcp/{server}", action, now, by=principal.key_id, person=person, **details)

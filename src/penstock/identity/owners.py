"""The service of organisations, teams, projects and people: decides what may be made, changed and removed.

``actor`` is whoever asks, None for a command on this machine; see `penstock.identity.reach`. Whether the actor holds the scope that a
change needs is judged before, by the route.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from msgspec import UnsetType, structs
from sqlalchemy import Connection

from penstock.identity import check, store
from penstock.identity.model import Listing, Organisation, Person, Project, Team
from penstock.identity.reach import NOUNS, home_only, named, organisation_for, reach, wanted
from penstock.identity.store import Owner
from penstock.kernel.errors import Conflict
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal
from penstock.storage.records import Records

T = TypeVar("T")
Values = Mapping[str, str | UnsetType | None]


async def nobody() -> None:
    """For a process that keeps nothing in memory."""


class Owners:
    """``changed`` is awaited after each change, so that this process acts on it when the call returns."""

    def __init__(self, records: Records, changed: Callable[[], Awaitable[None]] = nobody, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._changed = changed
        self._clock = clock

    async def find(self, kind: type[Owner], actor: Principal | None, id: str) -> Owner:
        """The owner with this id. Raises `NotFound`."""
        return await self._records.read(lambda connection: wanted(connection, kind, id, actor))

    async def list(
        self,
        kind: type[Owner],
        actor: Principal | None,
        *,
        organisation: str | None = None,
        team: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Listing[Owner]:
        """One page, newest first, of one organisation or team when asked. Raises `RequestError` for a cursor or limit that cannot be."""
        size, before = check.page_size(limit), check.cursor(cursor)

        def work(connection: Connection) -> Listing[Owner]:
            where: dict[str, str] = {}
            column = "id" if kind is Organisation else "organisation"
            bound = reach(actor)
            if bound is not None:
                where[column] = bound
            if organisation is not None:
                where[column] = wanted(connection, Organisation, organisation, actor).id
            if team is not None:
                where["team"] = wanted(connection, Team, team, actor).id
            rows = store.listed(connection, kind, where, before, size + 1)
            return Listing(data=rows[:size], next_cursor=rows[size - 1].id if len(rows) > size else None)

        return await self._records.read(work)

    async def add_organisation(self, actor: Principal | None, name: str) -> Organisation:
        """A new organisation. Raises `Forbidden` outside the home organisation, `Conflict` for a name that is taken."""
        home_only(actor)
        wished = check.name(name)

        def work(connection: Connection) -> Organisation:
            _refuse_taken(connection, Organisation, wished, None)
            made = Organisation(id=new_id("org"), name=wished, home=store.home(connection) is None, created_at=self._clock())
            store.add(connection, made, store.bump(connection))
            return made

        return await self._write(work)

    async def add_team(self, actor: Principal | None, name: str, organisation: str | None = None) -> Team:
        """A new team in an organisation, the actor's own when not given. Raises `Conflict` for a name that is taken there."""
        wished = check.name(name)

        def work(connection: Connection) -> Team:
            where = organisation_for(connection, actor, organisation)
            _refuse_taken(connection, Team, wished, where)
            made = Team(id=new_id("team"), organisation=where, name=wished, created_at=self._clock())
            store.add(connection, made, store.bump(connection))
            return made

        return await self._write(work)

    async def add_project(self, actor: Principal | None, name: str, organisation: str | None = None, team: str | None = None) -> Project:
        """A new project. Without ``organisation`` it lies in the team's, else in the actor's. Raises `Conflict`, `RequestError`."""
        wished = check.name(name)

        def work(connection: Connection) -> Project:
            where = organisation_for(connection, actor, organisation, _team(connection, team, actor))
            _refuse_taken(connection, Project, wished, where)
            made = Project(id=new_id("proj"), organisation=where, team=team, name=wished, created_at=self._clock())
            store.add(connection, made, store.bump(connection))
            return made

        return await self._write(work)

    async def add_person(
        self,
        actor: Principal | None,
        name: str,
        email: str | None = None,
        organisation: str | None = None,
        team: str | None = None,
    ) -> Person:
        """A new person. Names may repeat, addresses not. Raises `Conflict`, `RequestError`."""
        wished, address = check.name(name), check.email(email)

        def work(connection: Connection) -> Person:
            where = organisation_for(connection, actor, organisation, _team(connection, team, actor))
            _refuse_address(connection, where, address, None)
            made = Person(id=new_id("person"), organisation=where, team=team, name=wished, email=address, created_at=self._clock())
            store.add(connection, made, store.bump(connection))
            return made

        return await self._write(work)

    async def change(self, kind: type[Owner], actor: Principal | None, id: str, values: Values) -> Owner:
        """Change ``name``, ``team`` or ``email``; what is UNSET stays, None takes a team or address away. Raises as adding does.

        Keys of a project that moves to a team move with it.
        """

        def work(connection: Connection) -> Owner:
            old = wanted(connection, kind, id, actor)
            new = _changes(connection, actor, old, values)
            if not new:
                return old
            changed = structs.replace(old, **new)
            version = store.bump(connection)
            store.put(connection, changed, version)
            if isinstance(changed, Project) and isinstance(old, Project) and changed.team != old.team:
                store.move_keys(connection, changed.id, changed.team, version)
            return changed

        return await self._write(work)

    async def remove(self, kind: type[Owner], actor: Principal | None, id: str) -> None:
        """Remove an owner that nothing refers to. Raises `NotFound`, and `Conflict` while it has teams, projects, people or keys.

        Keys, revoked ones too, stay for ever, since the ledger names them; so does whatever they belong to.
        """
        if kind is Organisation:
            home_only(actor)

        def work(connection: Connection) -> None:
            old = wanted(connection, kind, id, actor)
            if isinstance(old, Organisation) and old.home:
                raise Conflict(f"{old.name!r} runs this installation and cannot be removed")
            if store.is_used(connection, old):
                raise Conflict(f"this {NOUNS[kind]} still has teams, projects, people or keys, revoked keys among them")
            store.bump(connection)
            store.remove(connection, kind, old.id)

        await self._write(work)

    async def ensure_home(self) -> None:
        """Make the home organisation and a project in it when there is no organisation; of processes that do so at once, one does."""
        if await self._records.read(store.home) is not None:
            return
        now = self._clock()

        def work(connection: Connection) -> None:
            # Counted before it is looked again: whoever starts at the same moment waits here, and then finds what this one made.
            version = store.bump(connection)
            if store.home(connection) is None:
                home = Organisation(id=new_id("org"), name="Default", home=True, created_at=now)
                store.add(connection, home, version)
                project = Project(id=new_id("proj"), organisation=home.id, team=None, name="default", created_at=now)
                store.add(connection, project, version)

        await self._write(work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        done = await self._records.write(work)
        await self._changed()
        return done


def _changes(
    connection: Connection, actor: Principal | None, old: Organisation | Team | Project | Person, values: Values
) -> dict[str, str | None]:
    new: dict[str, str | None] = {}
    for field, value in values.items():
        if isinstance(value, UnsetType):
            continue
        if field == "name":
            new["name"] = check.name(value or "")
            if new["name"] != old.name and not isinstance(old, Person):
                _refuse_taken(connection, type(old), new["name"], None if isinstance(old, Organisation) else old.organisation)
        elif field == "email" and isinstance(old, Person):
            new["email"] = check.email(value)
            _refuse_address(connection, old.organisation, new["email"], old.id)
        elif field == "team" and isinstance(old, (Project, Person)):
            organisation_for(connection, actor, old.organisation, _team(connection, value, actor))
            new["team"] = value
    return new


def _team(connection: Connection, id: str | None, actor: Principal | None) -> Team | None:
    return named(connection, Team, id, actor) if id is not None else None


def _refuse_taken(connection: Connection, kind: type[Organisation | Team | Project], name: str, organisation: str | None) -> None:
    if store.is_taken(connection, kind, name, organisation):
        raise Conflict(f"there is a {NOUNS[kind]} called {name!r} already", param="name")


def _refuse_address(connection: Connection, organisation: str, email: str | None, but: str | None) -> None:
    if email is None:
        return
    found = store.find_person(connection, organisation, email)
    if found is not None and found.id != but:
        raise Conflict(f"{found.name!r} has the address {email} already", param="email")

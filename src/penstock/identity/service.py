"""Decides about organisations, teams, projects, people and keys; makes every id, secret and timestamp."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from penstock.identity import store
from penstock.identity.model import Key, KeyWithSecret, Listing, Organisation, Person, Project, Team
from penstock.identity.secret import digest, new_secret
from penstock.identity.store import Owner, SecretRow
from penstock.kernel.errors import Conflict, NotFound, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Limits, Scope
from penstock.storage.records import Records

NAME_LENGTH = 100
LONGEST_LIST = 100
NOUNS: dict[type[Any], str] = {Organisation: "organisation", Team: "team", Project: "project", Person: "person"}
T = TypeVar("T")


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a key when it is made. ``expires_at`` is Unix seconds; empty allow-lists allow everything."""

    name: str
    organisation: str | None = None
    team: str | None = None
    project: str | None = None
    person: str | None = None
    scopes: tuple[Scope, ...] = (Scope.CALL,)
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    limits: Limits = Limits()
    expires_at: float | None = None


class KeyChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may change on a key; fields that are absent stay."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    scopes: tuple[Scope, ...] | msgspec.UnsetType = msgspec.UNSET
    models: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    tasks: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    limits: Limits | msgspec.UnsetType = msgspec.UNSET
    expires_at: float | msgspec.UnsetType | None = msgspec.UNSET


class People:
    """The service of identity. ``changed`` is awaited after every change, so that this process acts on it before the caller is told."""

    def __init__(
        self,
        records: Records,
        *,
        grace_seconds: float,
        changed: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._grace = grace_seconds
        self._changed = changed
        self._clock = clock

    async def add_organisation(self, name: str) -> Organisation:
        """A new organisation. Raises `RequestError` for a name that is none, `Conflict` for one that is taken."""
        return await self._add(
            name, lambda c: Organisation(id=new_id("org"), name=name, home=store.home(c) is None, created_at=self._clock()), None
        )

    async def add_team(self, name: str, organisation: str | None = None) -> Team:
        """A new team of an organisation (the home one by default)."""

        def make(connection: store.Connection) -> Team:
            owner = _organisation(connection, organisation)
            return Team(id=new_id("team"), organisation=owner.id, name=name, created_at=self._clock())

        return await self._add(name, make, organisation)

    async def add_project(self, name: str, organisation: str | None = None, team: str | None = None) -> Project:
        """A new project of an organisation, of one of its teams or none."""

        def make(connection: store.Connection) -> Project:
            owner = _organisation(connection, organisation)
            _within(connection, Team, team, owner.id)
            return Project(id=new_id("proj"), organisation=owner.id, team=team, name=name, created_at=self._clock())

        return await self._add(name, make, organisation)

    async def add_person(self, name: str, organisation: str | None = None, team: str | None = None, email: str | None = None) -> Person:
        """A new person of an organisation. Raises `Conflict` when the address is known there."""
        if email is not None and (len(email) > 254 or email.count("@") != 1):
            raise RequestError(f"{email[:80]!r} is not an e-mail address", param="email")

        def make(connection: store.Connection) -> Person:
            owner = _organisation(connection, organisation)
            _within(connection, Team, team, owner.id)
            if email is not None and store.find_person(connection, owner.id, email) is not None:
                raise Conflict(f"a person with the address {email!r} exists already", param="email")
            return Person(id=new_id("person"), organisation=owner.id, team=team, name=name, email=email, created_at=self._clock())

        return await self._add(name, make, organisation, unique=False)

    async def listed(self, kind: type[Owner], where: dict[str, str], cursor: str | None, limit: int) -> Listing[Owner]:
        """A page of owners, newest first."""
        found = await self._records.read(lambda c: store.listed(c, kind, where, cursor, limit + 1))
        return Listing(data=found[:limit], next_cursor=found[limit - 1].id if len(found) > limit else None)

    async def get(self, kind: type[Owner], id: str) -> Owner:
        """One owner. Raises `NotFound`."""
        found = await self._records.read(lambda c: store.find(c, kind, id))
        if found is None:
            raise NotFound(f"no {NOUNS[kind]} {id[:100]!r}")
        return found

    async def create_key(self, wanted: NewKey, *, created_by: str | None = None, first: bool = False) -> KeyWithSecret:
        """A new key and its secret, which nobody can read again. Raises `RequestError`, `NotFound`."""
        now = self._clock()
        _check_name(wanted.name)
        _check_terms(wanted.scopes, wanted.models, wanted.tasks, wanted.limits, wanted.expires_at, now)
        secret = new_secret()

        def work(connection: store.Connection) -> Key:
            project = _within(connection, Project, wanted.project, None)
            organisation = _organisation(connection, wanted.organisation or (project.organisation if project else None))
            if project is not None and project.organisation != organisation.id:
                raise RequestError(f"project {project.name!r} is of another organisation", param="project")
            team = wanted.team or (project.team if project else None)
            _within(connection, Team, team, organisation.id)
            _within(connection, Person, wanted.person, organisation.id)
            key = Key(
                id=new_id("key"),
                name=wanted.name.strip(),
                organisation=organisation.id,
                team=team,
                project=wanted.project,
                person=wanted.person,
                scopes=tuple(dict.fromkeys(wanted.scopes)),
                models=wanted.models,
                tasks=wanted.tasks,
                limits=wanted.limits,
                last4=secret[-4:],
                state="live",
                created_at=now,
                created_by=created_by,
                expires_at=wanted.expires_at,
                revoked_at=None,
                previous_until=None,
            )
            version = store.bump(connection)
            store.add_key(connection, key, first=first, version=version)
            store.add_secret(connection, SecretRow(digest(secret), key.id, secret[-4:], now, None))
            return key

        return KeyWithSecret(key=await self._write(work), secret=secret)

    async def keys(self, *, state: str | None, search: str, where: dict[str, str], cursor: str | None, limit: int) -> Listing[Key]:
        """A page of keys, newest first."""
        now = self._clock()
        found = await self._records.read(
            lambda c: store.list_keys(c, where, state=state, search=search, before=cursor, limit=limit + 1, now=now)
        )
        return Listing(data=found[:limit], next_cursor=found[limit - 1].id if len(found) > limit else None)

    async def key(self, id: str) -> Key:
        """One key. Raises `NotFound`."""
        now = self._clock()
        return _known(await self._records.read(lambda c: store.find_key(c, id, now)), id)

    async def change_key(self, id: str, change: KeyChange) -> Key:
        """Change a key's terms. Raises `NotFound`, `RequestError`, or `Conflict` when it is revoked."""
        now = self._clock()
        given = {f: v for f in KeyChange.__struct_fields__ if (v := getattr(change, f)) is not msgspec.UNSET}

        def work(connection: store.Connection) -> Key:
            old = _live(_known(store.find_key(connection, id, now), id))
            key: Key = msgspec.structs.replace(old, **given)
            _check_name(key.name)
            _check_terms(key.scopes, key.models, key.tasks, key.limits, key.expires_at if "expires_at" in given else None, now)
            store.put_key(connection, key, store.bump(connection))
            return key

        return await self._write(work)

    async def rotate_key(self, id: str, grace_seconds: float | None = None) -> KeyWithSecret:
        """A new secret; the old ones work for ``grace_seconds`` more. Raises `NotFound`, `RequestError`, `Conflict` when it is revoked."""
        now = self._clock()
        grace = self._grace if grace_seconds is None else grace_seconds
        if not 0 <= grace <= 30 * 86_400:
            raise RequestError("grace_seconds is 0 to 2592000 (30 days)", param="grace_seconds")
        secret = new_secret()

        def work(connection: store.Connection) -> Key:
            _live(_known(store.find_key(connection, id, now), id))
            store.end_secrets(connection, id, now + grace)
            store.add_secret(connection, SecretRow(digest(secret), id, secret[-4:], now, None))
            key = _known(store.find_key(connection, id, now), id)
            store.put_key(connection, key, store.bump(connection))
            return _known(store.find_key(connection, id, now), id)

        return KeyWithSecret(key=await self._write(work), secret=secret)

    async def revoke_key(self, id: str) -> Key:
        """End a key for good, here before this returns and elsewhere within the refresh time; a second time changes nothing."""
        now = self._clock()

        def work(connection: store.Connection) -> Key:
            old = _known(store.find_key(connection, id, now), id)
            if old.revoked_at is not None:
                return old
            key = msgspec.structs.replace(old, revoked_at=now, state="revoked")
            store.put_key(connection, key, store.bump(connection))
            return key

        return await self._write(work)

    async def configured(self) -> bool:
        """Whether a live key exists that somebody made on purpose."""
        now = self._clock()
        return await self._records.read(lambda c: store.count_keys(c, now=now, state="live", first=False)) > 0

    async def ensure(self) -> str | None:
        """Make an admin key when there is no key at all; its secret, or None."""
        now = self._clock()
        if await self._records.read(lambda c: store.count_keys(c, now=now)) > 0:
            return None
        await self.ensure_home()
        made = await self.create_key(NewKey(name="first admin key", scopes=(Scope.ADMIN,)), first=True)
        return made.secret

    async def ensure_home(self) -> None:
        """Make the home organisation and a project when there is no organisation."""
        if await self._records.read(store.home) is None:
            organisation = await self.add_organisation("Default")
            await self.add_project("default", organisation.id)

    async def _add(self, name: str, make: Callable[[store.Connection], Owner], organisation: str | None, *, unique: bool = True) -> Owner:
        _check_name(name)

        def work(connection: store.Connection) -> Owner:
            made = make(connection)
            within = getattr(made, "organisation", None)
            if unique and store.find_by_name(connection, type(made), name, within) is not None:
                raise Conflict(f"a {NOUNS[type(made)]} named {name!r} exists already", param="name")
            store.add(connection, made, store.bump(connection))
            return made

        return await self._write(work)

    async def _write(self, work: Callable[[store.Connection], T]) -> T:
        done = await self._records.write(work)
        if self._changed is not None:
            await self._changed()
        return done


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > NAME_LENGTH or not name.isprintable():
        raise RequestError(f"a name has 1 to {NAME_LENGTH} printable characters", param="name")


def _check_terms(
    scopes: tuple[Scope, ...], models: tuple[str, ...], tasks: tuple[str, ...], limits: Limits, expires_at: float | None, now: float
) -> None:
    if not scopes:
        raise RequestError("a key holds at least one scope: call, read or admin", param="scopes")
    for param, names in (("models", models), ("tasks", tasks)):
        if len(names) > LONGEST_LIST or any(not 0 < len(n) <= 200 or not n.isprintable() for n in names):
            raise RequestError(f"{param} lists at most {LONGEST_LIST} names of 1 to 200 printable characters", param=param)
    for field in Limits.__struct_fields__:
        value: int | None = getattr(limits, field)
        if value is not None and not 1 <= value <= 10**12:
            raise RequestError(f"{field} is at least 1, or left out for no limit", param=f"limits.{field}")
    if expires_at is not None and not now < expires_at < 10**11:
        raise RequestError("expires_at is a moment in the future, in Unix seconds", param="expires_at")


def _organisation(connection: store.Connection, id: str | None) -> Organisation:
    found = store.find(connection, Organisation, id) if id is not None else store.home(connection)
    if found is None:
        raise NotFound(f"no organisation {(id or 'yet')[:100]!r}", param="organisation")
    return found


def _within(connection: store.Connection, kind: type[Owner], id: str | None, organisation: str | None) -> Owner | None:
    if id is None:
        return None
    found = store.find(connection, kind, id)
    if found is None or (organisation is not None and found.organisation != organisation):  # type: ignore[union-attr]
        raise NotFound(f"no {NOUNS[kind]} {id[:100]!r} in this organisation", param=NOUNS[kind])
    return found


def _known(key: Key | None, id: str) -> Key:
    if key is None:
        raise NotFound(f"no key {id[:100]!r}")
    return key


def _live(key: Key) -> Key:
    if key.revoked_at is not None:
        raise Conflict(f"key {key.name!r} is revoked; make a new one")
    return key

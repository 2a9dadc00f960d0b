"""The service of keys: decides what a key may be, and makes every secret. ``actor`` is whoever asks; see `penstock.identity.reach`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypedDict, TypeVar

import msgspec
from sqlalchemy import Connection

from penstock.identity import check, store
from penstock.identity.model import Key, KeyWithSecret, Listing, Organisation, Person, Project, Team
from penstock.identity.owners import nobody
from penstock.identity.reach import named, organisation_for, reach, wanted
from penstock.identity.secret import digest, new_secret
from penstock.identity.store import SecretRow
from penstock.kernel.errors import Conflict, Forbidden, NotFound, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Limits, Principal, Scope, allows
from penstock.storage.records import Records

LONGEST_GRACE = 30 * 86_400
"""Seconds for which a replaced secret may go on working."""

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


class Keys:
    """``changed`` is awaited after every change, so that this process acts on it before the caller is told.

    ``used`` are the last uses that are not written down yet, by key.
    """

    def __init__(
        self,
        records: Records,
        *,
        grace_seconds: float,
        changed: Callable[[], Awaitable[None]] = nobody,
        used: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._grace = grace_seconds
        self._changed = changed
        self._used: Mapping[str, float] = used if used is not None else {}
        self._clock = clock

    async def create(self, actor: Principal | None, asked: NewKey) -> KeyWithSecret:
        """A new key and its secret, which nobody can read again. Raises `RequestError`, `Forbidden` for more than the actor may do itself.

        Without ``organisation`` it belongs to its project's, team's or person's organisation, else to the actor's.
        """
        now, secret = self._clock(), new_secret()
        name, terms = check.name(asked.name), _terms(asked.scopes, asked.models, asked.tasks, asked.limits, asked.expires_at, now)

        def work(connection: Connection) -> Key:
            project = named(connection, Project, asked.project, actor) if asked.project is not None else None
            team = asked.team if asked.team is not None else (project.team if project is not None else None)
            of_team = named(connection, Team, team, actor) if team is not None else None
            person = named(connection, Person, asked.person, actor) if asked.person is not None else None
            organisation = organisation_for(connection, actor, asked.organisation, of_team, project, person)
            by = actor.key_id if actor is not None else None
            key = _new(secret, name, organisation, terms, now, team=team, project=asked.project, person=asked.person, by=by)
            _grant(actor, key)
            _add(connection, key, secret, first=False, version=store.bump(connection))
            return key

        return KeyWithSecret(key=await self._write(work), secret=secret)

    async def list(
        self,
        actor: Principal | None,
        *,
        state: str | None = None,
        search: str = "",
        organisation: str | None = None,
        where: dict[str, str] | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Listing[Key]:
        """A page of keys, newest first; ``where`` restricts team, project or person. Raises `RequestError`, `NotFound`."""
        size, before, now = check.page_size(limit), check.cursor(cursor), self._clock()

        def work(connection: Connection) -> Listing[Key]:
            bound = wanted(connection, Organisation, organisation, actor).id if organisation is not None else reach(actor)
            owners = {**(where or {}), **({"organisation": bound} if bound is not None else {})}
            found = store.list_keys(connection, owners, state=state, search=search, before=before, limit=size + 1, now=now)
            return Listing(data=found[:size], next_cursor=found[size - 1].id if len(found) > size else None)

        page = await self._records.read(work)
        return Listing(data=[self._seen(key) for key in page.data], next_cursor=page.next_cursor)

    async def find(self, actor: Principal | None, id: str) -> Key:
        """One key. Raises `NotFound`."""
        now = self._clock()
        return self._seen(await self._records.read(lambda connection: _known(connection, actor, id, now)))

    async def change(self, actor: Principal | None, id: str, change: KeyChange) -> Key:
        """Change a key's terms. Raises `NotFound`, `RequestError`, or `Conflict` when it is revoked."""
        now = self._clock()
        given = {f: v for f in KeyChange.__struct_fields__ if (v := getattr(change, f)) is not msgspec.UNSET}

        def work(connection: Connection) -> Key:
            key: Key = msgspec.structs.replace(_live(_known(connection, actor, id, now)), **given)
            # An end that was set before and has come is no fault of this change.
            ends = key.expires_at if "expires_at" in given else None
            terms = _terms(key.scopes, key.models, key.tasks, key.limits, ends, now)
            key = msgspec.structs.replace(key, **{**terms, "name": check.name(key.name), "expires_at": key.expires_at})
            _grant(actor, key)
            store.put_key(connection, key, store.bump(connection))
            return _known(connection, actor, id, now)

        return self._seen(await self._write(work))

    async def rotate(self, actor: Principal | None, id: str, grace_seconds: float | None = None) -> KeyWithSecret:
        """A new secret; the old ones work for ``grace_seconds`` more. Raises `NotFound`, `RequestError`, `Conflict` when it is revoked."""
        now = self._clock()
        grace = self._grace if grace_seconds is None else grace_seconds
        if not 0 <= grace <= LONGEST_GRACE:
            raise RequestError(f"grace_seconds: must be 0 to {LONGEST_GRACE} (30 days)", param="grace_seconds")
        secret = new_secret()

        def work(connection: Connection) -> Key:
            # Whoever gets the new secret can do what the key can.
            _grant(actor, _live(_known(connection, actor, id, now)))
            store.end_secrets(connection, id, now + grace)
            store.add_secret(connection, SecretRow(digest(secret), id, secret[-4:], now, None))
            store.put_key(connection, _known(connection, actor, id, now), store.bump(connection))
            return _known(connection, actor, id, now)

        return KeyWithSecret(key=self._seen(await self._write(work)), secret=secret)

    async def revoke(self, actor: Principal | None, id: str) -> Key:
        """End a key for good, here before this returns and elsewhere within the refresh time; a second time changes nothing.

        Raises `NotFound`, and `Conflict` for the key that asks: whoever cuts off their own hand cannot undo it.
        """
        now = self._clock()

        def work(connection: Connection) -> Key:
            old = _known(connection, actor, id, now)
            if actor is not None and actor.key_id == id:
                raise Conflict("a key cannot revoke itself; use another key, or `penstock keys revoke`")
            if old.revoked_at is not None:
                return old
            key = msgspec.structs.replace(old, revoked_at=now, state="revoked")
            store.put_key(connection, key, store.bump(connection))
            return key

        return self._seen(await self._write(work))

    async def configured(self) -> bool:
        """Whether a live key exists that somebody made on purpose."""
        now = self._clock()
        return await self._records.read(lambda c: store.count_keys(c, now=now, state="live", first=False)) > 0

    async def ensure(self) -> str | None:
        """Make an admin key of the home organisation when there is no key at all; its secret, or None.

        Of processes that do so at once, one makes it. Raises `RequestError` when there is no organisation.
        """
        now, secret = self._clock(), new_secret()
        if await self._records.read(lambda c: store.count_keys(c, now=now)) > 0:
            return None
        terms = _terms((Scope.ADMIN,), (), (), Limits(), None, now)

        def work(connection: Connection) -> bool:
            # Counted before it is looked again: whoever starts at the same moment waits here, and then finds what this one made.
            version = store.bump(connection)
            if store.count_keys(connection, now=now) > 0:
                return False
            key = _new(secret, "first admin key", organisation_for(connection, None, None), terms, now)
            _add(connection, key, secret, first=True, version=version)
            return True

        return secret if await self._write(work) else None

    async def untried(self) -> Key | None:
        """The key of the first start while it is live and was never used; perhaps nobody ever saw it."""
        now = self._clock()
        found = await self._records.read(lambda connection: store.first_key(connection, now))
        return found if found is not None and self._seen(found).last_used_at is None else None

    async def _write(self, work: Callable[[Connection], T]) -> T:
        done = await self._records.write(work)
        await self._changed()
        return done

    def _seen(self, key: Key) -> Key:
        noted = self._used.get(key.id)
        if noted is None or noted <= (key.last_used_at or 0.0):
            return key
        return msgspec.structs.replace(key, last_used_at=noted)


class _Terms(TypedDict):
    scopes: tuple[Scope, ...]
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    limits: Limits
    expires_at: float | None


def _new(
    secret: str,
    name: str,
    organisation: str,
    terms: _Terms,
    now: float,
    *,
    team: str | None = None,
    project: str | None = None,
    person: str | None = None,
    by: str | None = None,
) -> Key:
    return Key(
        id=new_id("key"),
        name=name,
        organisation=organisation,
        team=team,
        project=project,
        person=person,
        last4=secret[-4:],
        state="live",
        created_at=now,
        created_by=by,
        revoked_at=None,
        last_used_at=None,
        previous_until=None,
        **terms,
    )


def _add(connection: Connection, key: Key, secret: str, *, first: bool, version: int) -> None:
    store.add_key(connection, key, first=first, version=version)
    store.add_secret(connection, SecretRow(digest(secret), key.id, secret[-4:], key.created_at, None))


def _terms(
    scopes: tuple[Scope, ...], models: tuple[str, ...], tasks: tuple[str, ...], limits: Limits, expires_at: float | None, now: float
) -> _Terms:
    return _Terms(
        scopes=check.scopes(scopes),
        models=check.patterns(models, "models"),
        tasks=check.patterns(tasks, "tasks"),
        limits=check.limits(limits),
        expires_at=check.expiry(expires_at, now),
    )


def _grant(actor: Principal | None, key: Key) -> None:
    """Raise `Forbidden` unless ``actor`` may do itself all that ``key`` can: nobody hands out more than they hold."""
    if actor is None:
        return
    for field, own, asked in (("models", actor.models, key.models), ("tasks", actor.tasks, key.tasks)):
        if own and not (asked and all(allows(own, pattern) for pattern in asked)):
            raise Forbidden(f"{field}: the key that asks is restricted to {', '.join(own)}, and so must be this one", param=field)
    for field in Limits.__struct_fields__:
        most: int | None = getattr(actor.limits, field)
        asked_for: int | None = getattr(key.limits, field)
        if most is not None and (asked_for is None or asked_for > most):
            raise Forbidden(f"limits.{field}: at most {most}, as the key that asks has", param=f"limits.{field}")
    if actor.expires_at is not None and (key.expires_at is None or key.expires_at > actor.expires_at):
        raise Forbidden("expires_at: must not be later than the end of the key that asks", param="expires_at")


def _known(connection: Connection, actor: Principal | None, id: str, now: float) -> Key:
    found = store.find_key(connection, id, now) if check.is_id(id) else None
    bound = reach(actor)
    if found is None or bound not in (None, found.organisation):
        raise NotFound(f"there is no key {id[:60]!r}")
    return found


def _live(key: Key) -> Key:
    if key.revoked_at is not None:
        raise Conflict(f"the key {key.name!r} is revoked; make a new one")
    return key

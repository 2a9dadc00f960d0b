"""Identity's SQL. Writes what it is given, and reads it back; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BindParameter, Connection, Row, Table, and_, bindparam, func, or_, select

from penstock.identity.model import Key, Organisation, Person, Project, Team
from penstock.identity.tables import CHANGES, KEYS, ORGANISATIONS, PEOPLE, PROJECTS, SECRETS, SESSIONS, TEAMS
from penstock.kernel.principal import Limits, Scope
from penstock.storage.changes import ChangeCount

Owner = TypeVar("Owner", Organisation, Team, Project, Person)

TABLES: Mapping[type[Any], Table] = {Organisation: ORGANISATIONS, Team: TEAMS, Project: PROJECTS, Person: PEOPLE}


class SecretRow(msgspec.Struct, frozen=True):
    """One secret of a key, as stored."""

    digest: bytes
    key: str
    last4: str
    created_at: float
    expires_at: float | None


class SessionRow(msgspec.Struct, frozen=True):
    """One browser session, as stored."""

    digest: bytes
    secret: bytes
    created_at: float
    expires_at: float


class Changes(msgspec.Struct, frozen=True):
    """What changed since a version: names by id, keys, all secrets of those keys, and sessions; ``whole`` when it is all there is.

    ``home`` is the id of the organisation that runs the installation, None before there is one.
    """

    version: int
    whole: bool
    home: str | None
    names: dict[str, str]
    keys: list[Key]
    secrets: list[SecretRow]
    sessions: list[SessionRow]


# ---- the change counter; its value goes into the rows that a change touches ----

_COUNTED = ChangeCount(CHANGES)
bump = _COUNTED.bump


def changes_since(connection: Connection, version: int, now: float) -> Changes | None:
    """What changed after ``version`` (-1: everything); None when nothing did.

    Everything too when the database counts less than ``version``: an older state of it was restored.
    """
    current = _COUNTED.counted(connection)
    if current == version:
        return None
    since = version if current > version else -1
    names: dict[str, str] = {}
    for table in (ORGANISATIONS, TEAMS, PROJECTS, PEOPLE, KEYS):
        names.update((row[0], row[1]) for row in connection.execute(select(table.c.id, table.c.name).where(table.c.version > since)))
    rows = connection.execute(select(KEYS).where(KEYS.c.version > since)).all()
    secrets = connection.execute(select(SECRETS).join(KEYS, KEYS.c.id == SECRETS.c.key).where(KEYS.c.version > since)).all()
    # All sessions that changed, the ended too, since a process that knows one must hear of its end; on a first look only the live.
    query = select(SESSIONS.c.digest, SESSIONS.c.secret, SESSIONS.c.created_at, SESSIONS.c.expires_at).where(SESSIONS.c.version > since)
    if since < 0:
        query = query.where(SESSIONS.c.expires_at > now)
    sessions = connection.execute(query).all()
    runs = home(connection)
    return Changes(
        version=current,
        whole=since < 0,
        home=runs.id if runs is not None else None,
        names=names,
        keys=_keys(rows, [SecretRow(*row) for row in secrets], now),
        secrets=[SecretRow(*row) for row in secrets],
        sessions=[SessionRow(*row) for row in sessions],
    )


# ---- organisations, teams, projects, people ----


def add(connection: Connection, record: Organisation | Team | Project | Person, version: int) -> None:
    """Write a new owner. Raises `Conflict` through the engine when its name is taken."""
    connection.execute(TABLES[type(record)].insert().values(**msgspec.structs.asdict(record), version=version))


def put(connection: Connection, record: Organisation | Team | Project | Person, version: int) -> None:
    """Write an owner over the stored one with the same id."""
    table = TABLES[type(record)]
    connection.execute(table.update().where(table.c.id == record.id).values(**msgspec.structs.asdict(record), version=version))


def remove(connection: Connection, kind: type[Any], id: str) -> None:
    """Delete an owner. Raises `Conflict` through the engine while something refers to it."""
    table = TABLES[kind]
    connection.execute(table.delete().where(table.c.id == id))


def is_used(connection: Connection, record: Organisation | Team | Project | Person) -> bool:
    """Whether another owner or a key refers to this one."""
    column = {Organisation: "organisation", Team: "team", Project: "project", Person: "person"}[type(record)]
    tables = [table for table in (TEAMS, PROJECTS, PEOPLE, KEYS) if column in table.c]
    return any(connection.execute(select(table.c.id).where(table.c[column] == record.id).limit(1)).first() for table in tables)


def find(connection: Connection, kind: type[Owner], id: str) -> Owner | None:
    """The owner with this id, or None."""
    table = TABLES[kind]
    row = connection.execute(table.select().where(table.c.id == id)).first()
    return _owner(kind, row) if row is not None else None


def is_taken(connection: Connection, kind: type[Organisation | Team | Project], name: str, organisation: str | None) -> bool:
    """Whether an owner of this kind (of this organisation, when given) has the name."""
    table = TABLES[kind]
    query = select(table.c.id).where(table.c.name == name).limit(1)
    if organisation is not None:
        query = query.where(table.c.organisation == organisation)
    return connection.execute(query).first() is not None


def find_person(connection: Connection, organisation: str, email: str) -> Person | None:
    """The person with this address in the organisation, or None."""
    row = connection.execute(PEOPLE.select().where(PEOPLE.c.organisation == organisation, PEOPLE.c.email == email)).first()
    return _owner(Person, row) if row is not None else None


def home(connection: Connection) -> Organisation | None:
    """The organisation that runs the installation, or None before the first start."""
    row = connection.execute(ORGANISATIONS.select().where(ORGANISATIONS.c.home).order_by(ORGANISATIONS.c.id).limit(1)).first()
    return _owner(Organisation, row) if row is not None else None


def listed(connection: Connection, kind: type[Owner], where: Mapping[str, str], before: str | None, limit: int) -> list[Owner]:
    """Up to ``limit`` owners, newest first, older than the id ``before``, whose columns equal ``where``."""
    table = TABLES[kind]
    query = table.select().where(*(table.c[column] == value for column, value in where.items()))
    if before is not None:
        query = query.where(table.c.id < before)
    return [_owner(kind, row) for row in connection.execute(query.order_by(table.c.id.desc()).limit(limit))]


def move_keys(connection: Connection, project: str, team: str | None, version: int) -> None:
    """Put every key of a project under a team, or under none."""
    connection.execute(KEYS.update().where(KEYS.c.project == project).values(team=team, version=version))


def _owner(kind: type[Owner], row: Row[Any]) -> Owner:
    values = row._mapping  # pyright: ignore[reportPrivateUsage] - SQLAlchemy's documented name
    return kind(**{field: values[field] for field in kind.__struct_fields__})


# ---- keys ----


def add_key(connection: Connection, key: Key, *, first: bool, version: int) -> None:
    """Write a new key, without a secret."""
    connection.execute(KEYS.insert().values(**_key_values(key), id=key.id, first=first, version=version))


def put_key(connection: Connection, key: Key, version: int) -> None:
    """Write a key over the stored one with the same id; its secrets stay."""
    connection.execute(KEYS.update().where(KEYS.c.id == key.id).values(**_key_values(key), version=version))


def add_secret(connection: Connection, secret: SecretRow) -> None:
    """Write a new secret of a key."""
    connection.execute(SECRETS.insert().values(**msgspec.structs.asdict(secret)))


def end_secrets(connection: Connection, key: str, at: float) -> None:
    """Let every secret of a key end at ``at``, unless it ends earlier."""
    connection.execute(
        SECRETS.update().where(SECRETS.c.key == key, or_(SECRETS.c.expires_at.is_(None), SECRETS.c.expires_at > at)).values(expires_at=at)
    )


def put_uses(connection: Connection, uses: Sequence[tuple[str, float]]) -> None:
    """Note for each key (by id, at least one) when it was used, unless a later use is noted already."""
    named: BindParameter[str] = bindparam("key")
    at: BindParameter[float] = bindparam("at")
    later = or_(KEYS.c.last_used_at.is_(None), KEYS.c.last_used_at < at)
    query = KEYS.update().where(KEYS.c.id == named, later).values(last_used_at=at)
    connection.execute(query, [{"key": key, "at": moment} for key, moment in uses])


def find_key(connection: Connection, id: str, now: float) -> Key | None:
    """The key with this id, its state as of ``now``, or None."""
    rows = connection.execute(KEYS.select().where(KEYS.c.id == id)).all()
    found = _keys(rows, _secrets(connection, [id]), now)
    return found[0] if found else None


def first_key(connection: Connection, now: float) -> Key | None:
    """The key that the first start made, while it is live, or None."""
    rows = connection.execute(KEYS.select().where(KEYS.c.first, _in_state("live", now)).order_by(KEYS.c.id).limit(1)).all()
    found = _keys(rows, _secrets(connection, [row.id for row in rows]), now)
    return found[0] if found else None


def list_keys(
    connection: Connection,
    where: Mapping[str, str],
    *,
    state: str | None = None,
    search: str = "",
    before: str | None = None,
    limit: int,
    now: float,
) -> list[Key]:
    """Up to ``limit`` keys, newest first, older than the id ``before``; ``search`` is part of the name or the last four characters."""
    query = KEYS.select().where(*(KEYS.c[column] == value for column, value in where.items()))
    if state is not None:
        query = query.where(_in_state(state, now))
    if search:
        ending = select(SECRETS.c.key).where(SECRETS.c.last4 == search)
        query = query.where(or_(func.lower(KEYS.c.name).contains(search.lower(), autoescape=True), KEYS.c.id.in_(ending)))
    if before is not None:
        query = query.where(KEYS.c.id < before)
    rows = connection.execute(query.order_by(KEYS.c.id.desc()).limit(limit)).all()
    return _keys(rows, _secrets(connection, [row.id for row in rows]), now)


def count_keys(
    connection: Connection,
    *,
    now: float,
    state: str | None = None,
    first: bool | None = None,
    where: Mapping[str, str] | None = None,
) -> int:
    """How many keys there are, in a state or in any."""
    query = select(func.count()).select_from(KEYS).where(*(KEYS.c[column] == value for column, value in (where or {}).items()))
    if state is not None:
        query = query.where(_in_state(state, now))
    if first is not None:
        query = query.where(KEYS.c.first == first)
    return connection.execute(query).scalar_one()


def _in_state(state: str, now: float) -> Any:
    revoked, over = KEYS.c.revoked_at.is_not(None), KEYS.c.expires_at <= now
    if state == "revoked":
        return revoked
    if state == "expired":
        return and_(~revoked, over)
    return and_(~revoked, or_(KEYS.c.expires_at.is_(None), KEYS.c.expires_at > now))


def _secrets(connection: Connection, keys: Sequence[str]) -> list[SecretRow]:
    return [SecretRow(*row) for row in connection.execute(SECRETS.select().where(SECRETS.c.key.in_(keys)))]


def _key_values(key: Key) -> dict[str, Any]:
    return {
        "name": key.name,
        "organisation": key.organisation,
        "team": key.team,
        "project": key.project,
        "person": key.person,
        "scopes": list(key.scopes),
        "models": list(key.models),
        "tasks": list(key.tasks),
        "requests_per_minute": key.limits.requests_per_minute,
        "tokens_per_minute": key.limits.tokens_per_minute,
        "concurrency": key.limits.concurrency,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def _keys(rows: Sequence[Row[Any]], secrets: Sequence[SecretRow], now: float) -> list[Key]:
    current: dict[str, SecretRow] = {}
    previous: dict[str, float] = {}
    for secret in secrets:
        if secret.expires_at is not None:
            previous[secret.key] = max(previous.get(secret.key, 0.0), secret.expires_at)
        else:
            current[secret.key] = secret
    found: list[Key] = []
    for row in rows:
        until = previous.get(row.id, 0.0)
        found.append(
            Key(
                id=row.id,
                name=row.name,
                organisation=row.organisation,
                team=row.team,
                project=row.project,
                person=row.person,
                scopes=tuple(Scope(scope) for scope in row.scopes),
                models=tuple(row.models),
                tasks=tuple(row.tasks),
                limits=Limits(
                    requests_per_minute=row.requests_per_minute,
                    tokens_per_minute=row.tokens_per_minute,
                    concurrency=row.concurrency,
                ),
                last4=current[row.id].last4,
                state="revoked" if row.revoked_at is not None else "expired" if (row.expires_at or now + 1) <= now else "live",
                created_at=row.created_at,
                created_by=row.created_by,
                expires_at=row.expires_at,
                revoked_at=row.revoked_at,
                last_used_at=row.last_used_at,
                previous_until=until if until > now else None,
            )
        )
    return found


# ---- sessions ----


def add_session(connection: Connection, session: SessionRow, version: int) -> None:
    """Write a new session, and forget those that ended more than a day before it began."""
    connection.execute(SESSIONS.delete().where(SESSIONS.c.expires_at < session.created_at - 86_400))
    connection.execute(SESSIONS.insert().values(**msgspec.structs.asdict(session), version=version))


def find_session(connection: Connection, digest: bytes, now: float) -> SessionRow | None:
    """The session with this digest unless it is over at ``now``, or None."""
    query = select(SESSIONS.c.digest, SESSIONS.c.secret, SESSIONS.c.created_at, SESSIONS.c.expires_at)
    row = connection.execute(query.where(SESSIONS.c.digest == digest, SESSIONS.c.expires_at > now)).first()
    return SessionRow(*row) if row is not None else None


def put_session_end(connection: Connection, digest: bytes, at: float, *, now: float, version: int) -> None:
    """Let a session end at ``at``, unless it has ended already."""
    query = SESSIONS.update().where(SESSIONS.c.digest == digest, SESSIONS.c.expires_at > now)
    connection.execute(query.values(expires_at=at, version=version))

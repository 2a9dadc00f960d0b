"""The SQL of responses that are worked on, and of what was told of them; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from penstock.responses.job import LIVE, Job, Status
from penstock.responses.tables import EVENTS, JOBS

_COLUMNS = tuple(column.name for column in JOBS.columns)
_LIVE = JOBS.c.status.in_(LIVE)


def add(connection: Connection, job: Job) -> None:
    """Insert a job."""
    connection.execute(insert(JOBS).values({name: getattr(job, name) for name in _COLUMNS}))


def get(connection: Connection, reach: str | None, id: str, now: float) -> Job | None:
    """One job that has not expired."""
    wanted = [JOBS.c.id == id, JOBS.c.expires_at > now]
    if reach is not None:
        wanted.append(JOBS.c.organisation == reach)
    row = connection.execute(select(JOBS).where(*wanted)).mappings().first()
    return None if row is None else _job(row)


def status(connection: Connection, id: str, now: float) -> Status | None:
    """Where a job stands; None where there is none, or it has expired. For who looks often: a job holds its whole request."""
    asked = select(JOBS.c.status).where(JOBS.c.id == id, JOBS.c.expires_at > now)
    return connection.execute(asked).scalar()


def change(connection: Connection, id: str, values: dict[str, Any]) -> bool:
    """Change a job that is worked on; whether it was."""
    return connection.execute(update(JOBS).where(JOBS.c.id == id, _LIVE).values(values)).rowcount > 0


def live(connection: Connection, before: float, *, begun: bool, most: int) -> list[Job]:
    """Jobs that are worked on, or have yet to begin, and have not changed since ``before``; the oldest first."""
    started = JOBS.c.run.is_not(None) if begun else JOBS.c.run.is_(None)
    asked = select(JOBS).where(_LIVE, started, JOBS.c.updated_at < before).order_by(JOBS.c.updated_at).limit(most)
    return [_job(row) for row in connection.execute(asked).mappings()]


def remove(connection: Connection, id: str) -> None:
    """Delete a job and what was told of it."""
    connection.execute(delete(EVENTS).where(EVENTS.c.response == id))
    connection.execute(delete(JOBS).where(JOBS.c.id == id))


def remove_expired(connection: Connection, now: float, events_before: float) -> int:
    """Delete jobs whose time is over, and events that were kept long enough of those that have ended; how many rows."""
    over = select(JOBS.c.id).where(JOBS.c.expires_at <= now)
    gone = connection.execute(delete(EVENTS).where(EVENTS.c.response.in_(over))).rowcount
    gone += connection.execute(delete(JOBS).where(JOBS.c.expires_at <= now)).rowcount
    going_on = select(JOBS.c.id).where(_LIVE)
    return gone + connection.execute(delete(EVENTS).where(EVENTS.c.at < events_before, EVENTS.c.response.not_in(going_on))).rowcount


def count(connection: Connection) -> int:
    """How many are worked on."""
    return int(connection.execute(select(func.count()).select_from(JOBS).where(_LIVE)).scalar_one())


def tell(connection: Connection, id: str, first: int, events: Sequence[bytes], at: float) -> None:
    """Add events, numbered from ``first`` on."""
    if events:
        rows = [{"response": id, "number": first + place, "at": at, "data": data} for place, data in enumerate(events)]
        connection.execute(insert(EVENTS), rows)


def told(connection: Connection, id: str, after: int, most: int | None = None) -> list[tuple[int, bytes]]:
    """Events behind a number, in order."""
    wanted: list[ColumnElement[bool]] = [EVENTS.c.response == id, EVENTS.c.number > after]
    asked = select(EVENTS.c.number, EVENTS.c.data).where(*wanted).order_by(EVENTS.c.number)
    return [(number, bytes(data)) for number, data in connection.execute(asked if most is None else asked.limit(most))]


def _job(row: Any) -> Job:
    values: dict[str, Any] = {name: row[name] for name in _COLUMNS}
    values["asked"] = bytes(values["asked"])
    values["response"] = None if values["response"] is None else bytes(values["response"])
    return Job(**values)

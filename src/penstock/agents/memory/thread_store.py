"""The SQL of threads; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, tuple_, update

from penstock.agents.memory.tables import MESSAGES, THREADS
from penstock.agents.recollection import Thread, ThreadMessage

_THREAD = tuple(THREADS.c[name] for name in Thread.__struct_fields__)
_MESSAGE = tuple(MESSAGES.c[name] for name in ThreadMessage.__struct_fields__)


def add(connection: Connection, thread: Thread) -> None:
    """Insert one."""
    connection.execute(insert(THREADS).values({name: getattr(thread, name) for name in Thread.__struct_fields__}))


def get(connection: Connection, organisation: str, id: str) -> Thread | None:
    """One thread."""
    row = connection.execute(select(*_THREAD).where(THREADS.c.organisation == organisation, THREADS.c.id == id)).mappings().first()
    return None if row is None else Thread(**row)


def find(connection: Connection, reach: str | None, id: str, person: str | None) -> Thread | None:
    """One thread within a reach; of one person alone, where one is given."""
    asked = select(*_THREAD).where(*_within(reach, person=person), THREADS.c.id == id).order_by(THREADS.c.updated_at.desc()).limit(1)
    row = connection.execute(asked).mappings().first()
    return None if row is None else Thread(**row)


def listed(
    connection: Connection, reach: str | None, *, person: str | None, agent: str | None, before: float | None, most: int
) -> list[Thread]:
    """The last ones first, that were gone on with before a moment."""
    wanted = _within(reach, person=person)
    if agent is not None:
        wanted.append(THREADS.c.agent == agent)
    if before is not None:
        wanted.append(THREADS.c.updated_at < before)
    asked = select(*_THREAD).where(*wanted).order_by(THREADS.c.updated_at.desc(), THREADS.c.id).limit(most)
    return [Thread(**row) for row in connection.execute(asked).mappings()]


def last(connection: Connection, organisation: str, thread: str) -> int:
    """The number of its last message, 0 where there is none."""
    found = select(func.max(MESSAGES.c.number)).where(MESSAGES.c.organisation == organisation, MESSAGES.c.thread == thread)
    return int(connection.execute(found).scalar() or 0)


def said(
    connection: Connection, organisation: str, thread: str, *, until: int | None = None, most: int | None = None
) -> list[ThreadMessage]:
    """Its messages, the newest first, up to a number."""
    wanted: list[ColumnElement[bool]] = [MESSAGES.c.organisation == organisation, MESSAGES.c.thread == thread]
    if until is not None:
        wanted.append(MESSAGES.c.number <= until)
    asked = select(*_MESSAGE).where(*wanted).order_by(MESSAGES.c.number.desc())
    return [ThreadMessage(**row) for row in connection.execute(asked if most is None else asked.limit(most)).mappings()]


def say(connection: Connection, organisation: str, thread: str, run: str, said: Sequence[tuple[str, str]], now: float) -> None:
    """Add what was said in a run, once; nothing where the thread is gone."""
    touched = update(THREADS).where(THREADS.c.organisation == organisation, THREADS.c.id == thread).values(updated_at=now)
    if connection.execute(touched).rowcount == 0:
        return
    mine = (MESSAGES.c.organisation == organisation, MESSAGES.c.thread == thread, MESSAGES.c.run == run)
    if connection.execute(select(MESSAGES.c.number).where(*mine).limit(1)).first() is not None:
        return
    first = last(connection, organisation, thread) + 1
    rows: list[dict[str, Any]] = [
        {"organisation": organisation, "thread": thread, "number": first + place, "run": run, "role": role, "text": text, "at": now}
        for place, (role, text) in enumerate(said)
    ]
    connection.execute(insert(MESSAGES), rows)


def remove(connection: Connection, organisation: str, id: str) -> bool:
    """Delete one with its messages; whether there was one."""
    connection.execute(delete(MESSAGES).where(MESSAGES.c.organisation == organisation, MESSAGES.c.thread == id))
    return connection.execute(delete(THREADS).where(THREADS.c.organisation == organisation, THREADS.c.id == id)).rowcount > 0


def remove_where(connection: Connection, *wanted: ColumnElement[bool]) -> int:
    """Delete threads with their messages; how many threads."""
    pairs = select(THREADS.c.organisation, THREADS.c.id).where(*wanted)
    connection.execute(delete(MESSAGES).where(tuple_(MESSAGES.c.organisation, MESSAGES.c.thread).in_(pairs)))
    return connection.execute(delete(THREADS).where(*wanted)).rowcount


def remove_unused(connection: Connection, before: float) -> int:
    """Delete those that nobody has gone on with since then."""
    return remove_where(connection, THREADS.c.updated_at < before)


def remove_person(connection: Connection, organisation: str, person: str) -> int:
    """Delete those with a person."""
    return remove_where(connection, THREADS.c.organisation == organisation, THREADS.c.person == person)


def _within(reach: str | None, *, person: str | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if reach is not None:
        found.append(THREADS.c.organisation == reach)
    if person is not None:
        found.append(THREADS.c.person == person)
    return found

"""What is kept of A2A beside the runs: which of them are tasks, of which context, and what the client said."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from penstock.interop.tables import PUSHES, TASKS
from penstock.kernel.errors import NotFound
from penstock.storage.records import Records

MOST_MESSAGES = 200
"""Messages of a task that are kept; of more, the latest."""


class Kept(Struct, frozen=True, kw_only=True):
    """A run that was begun over A2A. Times are Unix seconds."""

    run: str
    organisation: str
    agent: str
    context: str
    messages: list[dict[str, Any]]
    created_at: float
    person: str | None = None


class A2aStore:
    """The tasks, in the records. ``reach`` is `Principal.reach`."""

    name = "a2a"

    def __init__(self, records: Records) -> None:
        self._records = records

    async def add(self, kept: Kept) -> Kept:
        """Keep a task; one that is kept already stays as it is, and is given back."""

        def write(connection: Connection) -> Kept:
            row = msgspec.structs.asdict(kept) | {"messages": msgspec.json.encode(kept.messages).decode()}
            try:
                with connection.begin_nested():
                    connection.execute(insert(TASKS).values(row))
                return kept
            except IntegrityError:  # the same message again
                found = connection.execute(select(TASKS).where(TASKS.c.run == kept.run)).mappings().one()
                return kept_of(found)

        return await self._records.write(write)

    async def get(self, reach: str | None, agent: str, run: str) -> Kept:
        """One task. Raises `NotFound`."""
        asked = select(TASKS).where(TASKS.c.run == run, TASKS.c.agent == agent)
        row = await self._records.read(lambda connection: connection.execute(asked).mappings().first())
        if row is None or reach not in (None, row["organisation"]):
            raise NotFound(f"there is no task {run[:100]!r}", param="id")
        return kept_of(row)

    async def say(self, run: str, message: dict[str, Any]) -> None:
        """Add what the client said to its task."""

        def write(connection: Connection) -> None:
            row = connection.execute(select(TASKS).where(TASKS.c.run == run)).mappings().first()
            if row is None:
                return  # its person was erased meanwhile
            messages = [*kept_of(row).messages, message][-MOST_MESSAGES:]
            connection.execute(update(TASKS).where(TASKS.c.run == run).values(messages=msgspec.json.encode(messages).decode()))

        await self._records.write(write)

    async def list(self, reach: str | None, agent: str, *, context: str, before: str, limit: int) -> tuple[Sequence[Kept], int]:
        """Tasks, newest first, after the one named ``before``; and how many there are in all. Raises `NotFound` for such a name."""
        wanted = [TASKS.c.agent == agent]
        if reach is not None:
            wanted.append(TASKS.c.organisation == reach)
        if context:
            wanted.append(TASKS.c.context == context)

        def read(connection: Connection) -> tuple[Sequence[RowMapping], int] | None:
            total = connection.execute(select(func.count()).select_from(TASKS).where(*wanted)).scalar_one()
            asked = select(TASKS).where(*wanted).order_by(TASKS.c.created_at.desc(), TASKS.c.run.desc()).limit(limit)
            if before:
                last = connection.execute(select(TASKS.c.created_at).where(TASKS.c.run == before, *wanted)).scalar()
                if last is None:
                    return None
                same = and_(TASKS.c.created_at == last, TASKS.c.run < before)
                asked = asked.where(or_(TASKS.c.created_at < last, same))
            return connection.execute(asked).mappings().all(), total

        found = await self._records.read(read)
        if found is None:
            raise NotFound("pageToken is none of this list", param="pageToken")
        return [kept_of(row) for row in found[0]], found[1]

    async def erase(self, organisation: str, person: str) -> int:
        """See `penstock.kernel.ports.PersonalRecords`: the tasks that the person's keys began, and who is told of them, or of others at
        the word of their keys. What ran stays."""
        mine = (TASKS.c.organisation == organisation, TASKS.c.person == person)
        ours = select(TASKS.c.run).where(TASKS.c.organisation == organisation)

        def write(connection: Connection) -> int:
            connection.execute(delete(PUSHES).where(PUSHES.c.run.in_(select(TASKS.c.run).where(*mine))))
            told = connection.execute(delete(PUSHES).where(PUSHES.c.person == person, PUSHES.c.run.in_(ours))).rowcount
            return told + connection.execute(delete(TASKS).where(*mine)).rowcount

        return await self._records.write(write)

    async def begun_before(self, moment: float, after: tuple[float, str], most: int) -> Sequence[tuple[float, str]]:
        """Tasks that began before a moment, the oldest first: when, and their runs; those behind ``after``."""
        at, run = TASKS.c.created_at, TASKS.c.run
        behind = or_(at > after[0], and_(at == after[0], run > after[1]))
        asked = select(at, run).where(at < moment, behind).order_by(at, run).limit(most)
        return [(at, run) for at, run in await self._records.read(lambda connection: connection.execute(asked).all())]

    async def remove(self, runs: Sequence[str]) -> None:
        """Take tasks away, and who is told of them."""

        def write(connection: Connection) -> None:
            for table in (PUSHES, TASKS):
                connection.execute(delete(table).where(table.c.run.in_(runs)))

        await self._records.write(write)


def made(run: str, organisation: str, agent: str, context: str, message: dict[str, Any], person: str | None = None) -> Kept:
    """A task that begins now."""
    at = time.time()
    return Kept(run=run, organisation=organisation, agent=agent, context=context, messages=[message], created_at=at, person=person)


def kept_of(row: RowMapping) -> Kept:
    """A row of the table."""
    return Kept(
        run=row["run"],
        organisation=row["organisation"],
        agent=row["agent"],
        context=row["context"],
        messages=msgspec.json.decode(row["messages"]),
        created_at=row["created_at"],
        person=row["person"],
    )


__all__ = ["A2aStore", "Kept", "kept_of", "made"]

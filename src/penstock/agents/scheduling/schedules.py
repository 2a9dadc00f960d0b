"""Agents and workflows that are started later, once or again and again. A schedule is a row; each start has a key that follows from the
schedule and the moment, so however many processes see that it is due, and whenever they die, it is one start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from hashlib import sha256
from typing import Any, Literal
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from penstock.agents.scheduling.times import Missed, due, known_zone, next_after
from penstock.agents.tables import SCHEDULES
from penstock.kernel.agents import AgentRuns
from penstock.kernel.errors import Conflict, Forbidden, NotFound, RequestError, Unauthenticated
from penstock.kernel.ids import new_id
from penstock.kernel.ports import Holders, Metric
from penstock.kernel.principal import Principal
from penstock.kernel.rounds import Rounds, Step, each
from penstock.storage.records import Records

LOOK_SECONDS = 1.0
KEEP_DAYS = 90.0
MOST = 1000
"""Active schedules of one organisation."""


class Schedule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule. With ``cron`` it is started at each moment that the line names in ``zone``, else once. Times are Unix seconds.

    ``state``: ``active``; ``ended`` when all its moments have passed; ``cancelled``; ``stopped`` where it could not be started, for what
    ``fault`` says.
    """

    id: str
    organisation: str
    agent: str
    input: Any
    cron: str
    zone: str
    missed: Missed
    person: str
    state: Literal["active", "ended", "cancelled", "stopped"]
    next_at: float | None
    last_at: float | None = None
    last_run: str = ""
    starts: int = 0
    fault: str = ""
    created_by: str
    created_at: float


class Schedules:
    """The schedules, in the records."""

    def __init__(
        self, records: Records, runs: Callable[[], AgentRuns], holders: Callable[[], Holders], clock: Callable[[], float] = time.time
    ) -> None:
        self._records = records
        self._runs = runs
        self._holders = holders
        self._clock = clock

    async def create(
        self,
        principal: Principal,
        agent: str,
        input: Any,
        *,
        at: float | None = None,
        cron: str = "",
        zone: str = "UTC",
        missed: Missed = "once",
        person: str = "",
        key: str | None = None,
    ) -> Schedule:
        """Make one; a second one with the same ``key`` is the first. The key that makes it pays for the runs, and has to live as long.

        Raises `NotFound` for an agent that the principal may not start, and `RequestError` for moments that make no sense.
        """
        if agent not in {one.name for one in self._runs().cards(principal)}:
            raise NotFound(f"there is no agent {agent[:100]!r}", param="agent")
        if person and principal.person and person != principal.person:
            raise Forbidden("this key belongs to a person, and starts runs for that person alone", param="person")
        now = self._clock()
        known_zone(zone)
        if bool(cron) == (at is not None):
            raise RequestError("give the moment with at, or cron for several; one of both", param="cron")
        first = next_after(cron, zone, now) if cron else at
        if first is None:
            raise RequestError(f"cron: {cron[:100]!r} names no moment in fifty years", param="cron")
        organisation = principal.organisation
        id = new_id("schedule") if key is None else "schedule_" + sha256(f"{organisation}/{key}".encode()).hexdigest()[:32]
        row = {
            "id": id,
            "organisation": organisation,
            "agent": agent,
            "input": msgspec.json.encode(input).decode(),
            "cron": cron,
            "zone": zone,
            "missed": missed,
            "person": person or principal.person or "",
            "state": "active",
            "next_at": first,
            "last_run": "",
            "starts": 0,
            "fault": "",
            "created_by": principal.key_id,
            "created_at": now,
        }

        def write(connection: Connection) -> RowMapping:
            if (made := connection.execute(select(SCHEDULES).where(SCHEDULES.c.id == id)).mappings().first()) is not None:
                return made  # made before, under the same key; also where there is no place for another one
            of_mine = select(SCHEDULES.c.id).where(SCHEDULES.c.organisation == organisation, SCHEDULES.c.state == "active").limit(MOST)
            if len(connection.execute(of_mine).all()) >= MOST:
                raise Conflict(f"there are {MOST} active schedules already; cancel some", param="agent")
            try:
                with connection.begin_nested():
                    connection.execute(insert(SCHEDULES).values(row))
            except IntegrityError:  # made before, under the same key
                pass
            return connection.execute(select(SCHEDULES).where(SCHEDULES.c.id == id)).mappings().one()

        return _schedule(await self._records.write(write))

    async def list(self, principal: Principal, limit: int = 200) -> list[Schedule]:
        """Those within the principal's reach: what comes next first, then what has ended."""
        asked = select(SCHEDULES).order_by(SCHEDULES.c.next_at.is_(None), SCHEDULES.c.next_at, SCHEDULES.c.created_at.desc()).limit(limit)
        if principal.reach is not None:
            asked = asked.where(SCHEDULES.c.organisation == principal.reach)
        return [_schedule(row) for row in await self._records.read(lambda connection: connection.execute(asked).mappings().all())]

    async def of(self, principal: Principal, agents: Collection[str], person: str, limit: int = 200) -> list[Schedule]:
        """Those of the principal's own organisation that start these agents for this person (empty for nobody): what comes next first."""
        mine = (SCHEDULES.c.organisation == principal.organisation, SCHEDULES.c.person == person, SCHEDULES.c.agent.in_(list(agents)))
        order = (SCHEDULES.c.next_at.is_(None), SCHEDULES.c.next_at, SCHEDULES.c.created_at.desc())
        asked = select(SCHEDULES).where(*mine).order_by(*order).limit(limit)
        return [_schedule(row) for row in await self._records.read(lambda connection: connection.execute(asked).mappings().all())]

    async def cancel(self, principal: Principal, id: str) -> Schedule:
        """Start it no more; what runs goes on. Raises `NotFound`, and `Conflict` for one that is over."""

        def write(connection: Connection) -> Schedule:
            row = connection.execute(select(SCHEDULES).where(SCHEDULES.c.id == id)).mappings().first()
            if row is None or principal.reach not in (None, row["organisation"]):
                raise NotFound(f"there is no schedule {id[:100]!r}", param="id")
            if row["state"] != "active":
                raise Conflict(f"the schedule is {row['state']} already", param="id")
            connection.execute(update(SCHEDULES).where(SCHEDULES.c.id == id).values(state="cancelled", next_at=None))
            return _schedule(connection.execute(select(SCHEDULES).where(SCHEDULES.c.id == id)).mappings().one())

        return await self._records.write(write)

    async def start_due(self) -> None:
        """Start what is due. What a process that died left half done is done again under the same keys."""
        now = self._clock()
        asked = select(SCHEDULES).where(SCHEDULES.c.state == "active", SCHEDULES.c.next_at <= now).order_by(SCHEDULES.c.next_at).limit(100)
        found = await self._records.read(lambda connection: connection.execute(asked).mappings().all())
        await each([_schedule(row) for row in found], self._start, lambda one: f"schedule {one.id}")

    async def _start(self, one: Schedule) -> None:
        now = self._clock()
        assert one.next_at is not None
        moments, following = due(one.cron, one.zone, one.next_at, now, one.missed)
        values: dict[str, Any] = {"next_at": following, "state": "active" if following is not None else "ended"}
        try:
            principal = self._holders().holder_of(one.created_by)
            for moment in moments:
                key = f"schedule/{one.id}/{moment:.0f}"
                values["last_run"] = await self._runs().begin(principal, one.agent, one.input, key=key, person=one.person)
        except (Unauthenticated, NotFound, Forbidden, RequestError) as fault:
            # Nothing of this mends itself; whoever looks at the list sees why.
            values = {"state": "stopped", "next_at": None, "fault": fault.message[:500]}
        else:
            values |= {"starts": one.starts + len(moments)} | ({"last_at": now} if moments else {})
        same = (SCHEDULES.c.id == one.id, SCHEDULES.c.state == "active", SCHEDULES.c.next_at == one.next_at)
        await self._records.write(lambda connection: connection.execute(update(SCHEDULES).where(*same).values(values)))

    async def forget(self) -> None:
        """Take away those that were over long ago."""
        before = self._clock() - KEEP_DAYS * 86_400
        old = (SCHEDULES.c.state != "active", func.coalesce(SCHEDULES.c.last_at, SCHEDULES.c.created_at) < before)
        await self._records.write(lambda connection: connection.execute(delete(SCHEDULES).where(*old)))

    def payer(self, key: str) -> Principal:
        """Who is behind a key. Raises `Unauthenticated`."""
        return self._holders().holder_of(key)


AT_HAND: WeakKeyDictionary[Any, Schedules] = WeakKeyDictionary()
"""The schedules of the house that runs on an event loop: tools are declared before there is a house, and called on its loop."""


class ScheduleLife:
    """Looks for what is due, while the house stands."""

    name = "schedules"

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules
        self._rounds = Rounds(
            self.name, (Step("start", schedules.start_due), Step("forget", schedules.forget, 3600.0)), seconds=LOOK_SECONDS
        )

    async def start(self) -> None:
        """Begin to look."""
        AT_HAND[asyncio.get_running_loop()] = self._schedules
        self._rounds.begin()

    async def stop(self) -> None:
        """Look no more."""
        await self._rounds.stop()

    def metrics(self) -> Iterable[Metric]:
        """Rounds that failed."""
        yield from self._rounds.metrics()


def _schedule(row: RowMapping) -> Schedule:
    # The keys are a kind of text that msgspec does not take for one.
    return msgspec.convert({str(key): value for key, value in row.items()} | {"input": msgspec.json.decode(row["input"])}, Schedule)

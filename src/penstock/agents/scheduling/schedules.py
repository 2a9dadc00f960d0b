"""Agents and workflows that are started later, once or again and again. A schedule is a row; each start has a key that follows from the
schedule and the moment, so however many processes see that it is due, and whenever they die, it is one start.

What it starts is whoever asked for it at work: their key pays, with the rights that it has at that moment, it is for the same person, and
it carries the labels of the run that asked, so that a policy does not take for clean what was written by one that had read otherwise.
Each may use what that run was given to use.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal, Protocol
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct, structs
from sqlalchemy import Connection, RowMapping, case, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from penstock.agents.limits import Limits
from penstock.agents.running import Start
from penstock.agents.scheduling.times import Missed, due, known_zone, missed_by, next_after
from penstock.agents.startable import NOBODY, Asker
from penstock.agents.tables import SCHEDULES
from penstock.kernel.agents import AgentCard
from penstock.kernel.errors import Conflict, Forbidden, NotFound, RequestError, Unauthenticated
from penstock.kernel.ids import new_id
from penstock.kernel.journal import Journal, forkers
from penstock.kernel.ports import Holders, Membership, Metric
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.rounds import Rounds, Step, each
from penstock.storage.records import Records

LOOK_SECONDS = 1.0
KEEP_DAYS = 90.0
MOST = 1000
"""Schedules of one organisation that are active or paused."""
GOING = ("active", "paused")
HELD = ("paused", "stopped")


State = Literal["active", "paused", "ended", "cancelled", "stopped"]


class Schedule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule. With ``cron`` it is started at each moment that the line names in ``zone``, else once. Times are Unix seconds.

    ``state``: ``active``; ``paused`` until it is resumed; ``ended`` when all its moments have passed; ``cancelled``; ``stopped`` where it
    could not be started, for what ``fault`` says. Of one that is paused or stopped ``next_at`` is the first moment that was not started, or
    is not yet, and ``passed`` how many have passed by now (100 stands for more): what a resumption does with those is ``missed``.

    What is started carries ``labels``, and ``read``, those of what the run had read that asked for it, and each time may use what its
    ``limits`` were. Beside the key ``created_by`` and
    the ``person`` it is that of ``asked_by``, none of whom may approve what it does.
    """

    id: str
    organisation: str
    agent: str
    input: Any
    cron: str
    zone: str
    missed: Missed
    person: str
    state: State
    next_at: float | None
    last_at: float | None = None
    last_run: str = ""
    starts: int = 0
    fault: str = ""
    created_by: str
    created_at: float
    labels: dict[str, str] = {}
    read: tuple[str, ...] = ()
    asked_by: tuple[str, ...] = ()
    paused_at: float | None = None
    limits: Limits = Limits()
    passed: int = 0


REFUSED = (Unauthenticated, NotFound, Forbidden, RequestError)
"""Why a schedule is stopped."""
LABEL = "schedule"
"""Of the runs that a schedule begins; its value is the schedule's id."""

_ORDER = (
    case({"active": 0, "paused": 1}, value=SCHEDULES.c.state, else_=2),
    SCHEDULES.c.next_at.is_(None),
    SCHEDULES.c.next_at,
    SCHEDULES.c.created_at.desc(),
)


class Starting(Protocol):
    """Begins runs; `penstock.agents.runs.Runs` does."""

    def cards(self, principal: Principal) -> Sequence[AgentCard]:
        """What a principal may start."""
        ...

    async def begin(self, principal: Principal, name: str, input: Any, *, key: str | None, person: str, asker: Asker) -> str:
        """Start a run; its id. See `penstock.kernel.agents.AgentRuns.begin`; ``asker`` is the run that asked for it."""
        ...


class Schedules:
    """The schedules, in the records."""

    name = "schedules"

    def __init__(
        self,
        records: Records,
        runs: Callable[[], Starting],
        holders: Callable[[], Holders],
        clock: Callable[[], float] = time.time,
        *,
        journal: Callable[[], Journal] | None = None,
        members: Callable[[], Membership | None] = lambda: None,
    ) -> None:
        """``journal`` is where the runs are that ask for schedules; without ``members`` nobody knows who has left."""
        self._records = records
        self._runs = runs
        self._holders = holders
        self._journal = journal
        self._members = members
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
        asker: Asker = NOBODY,
    ) -> Schedule:
        """Make one; a second one with the same ``key`` is the first. The key that makes it pays for the runs, and has to live as long.
        ``asker`` is the run that asks for it.

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
            "labels": msgspec.json.encode(asker.labels).decode(),
            "read": msgspec.json.encode(asker.read).decode(),
            "asked_by": msgspec.json.encode(asker.by).decode(),
            "limits": msgspec.json.encode(asker.limits).decode(),
        }

        def write(connection: Connection) -> RowMapping:
            if (made := connection.execute(select(SCHEDULES).where(SCHEDULES.c.id == id)).mappings().first()) is not None:
                return made  # made before, under the same key; also where there is no place for another one
            of_mine = select(SCHEDULES.c.id).where(SCHEDULES.c.organisation == organisation, SCHEDULES.c.state.in_(GOING)).limit(MOST)
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
        """Those within the principal's reach: what comes next first, then what is paused, then what is over."""
        asked = select(SCHEDULES).order_by(*_ORDER).limit(limit)
        if principal.reach is not None:
            asked = asked.where(SCHEDULES.c.organisation == principal.reach)
        return self._told(await self._records.read(lambda connection: connection.execute(asked).mappings().all()))

    async def of(self, principal: Principal, agents: Collection[str], person: str, limit: int = 200) -> list[Schedule]:
        """Those of the principal's own organisation that start these agents for this person (empty for nobody), in the same order."""
        mine = (SCHEDULES.c.organisation == principal.organisation, SCHEDULES.c.person == person, SCHEDULES.c.agent.in_(list(agents)))
        asked = select(SCHEDULES).where(*mine).order_by(*_ORDER).limit(limit)
        return self._told(await self._records.read(lambda connection: connection.execute(asked).mappings().all()))

    async def cancel(self, principal: Principal, id: str) -> Schedule:
        """Start it no more; what runs goes on. Raises `NotFound`, and `Conflict` for one that is over."""
        return await self._change(principal, id, (*GOING, "stopped"), lambda _: {"state": "cancelled", "next_at": None})

    async def pause(self, principal: Principal, id: str) -> Schedule:
        """Start it no more until it is resumed; what runs goes on. One that is paused stays so. Raises `NotFound`, and `Conflict` for one
        that is over."""

        def paused(one: Schedule) -> dict[str, Any]:
            return {} if one.state == "paused" else {"state": "paused", "paused_at": self._clock()}

        return await self._change(principal, id, GOING, paused)

    async def resume(self, principal: Principal, id: str, *, skip: bool = False) -> Schedule:
        """Go on with one that is paused, or was stopped by what is mended since. What is done with the moments that have passed says its
        ``missed``; with ``skip`` none of them is started. Raises `NotFound`, and `Conflict` for one that is over, or could not be started.
        """
        row = await self._records.read(
            lambda connection: connection.execute(select(SCHEDULES).where(SCHEDULES.c.id == id)).mappings().first()
        )
        if row is not None and row["state"] in HELD:
            try:
                self._starter(_schedule(row))
            except REFUSED as fault:
                raise Conflict(f"the schedule cannot go on: {fault.message}", param="id") from fault

        def resumed(one: Schedule) -> dict[str, Any]:
            now, following = self._clock(), one.next_at
            # None: stopped by a version that did not keep which moment that was.
            if following is None or (following <= now and (skip or one.missed == "skip")):
                following = next_after(one.cron, one.zone, now) if one.cron else None
            state = "active" if following is not None else "ended"
            return {"state": state, "next_at": following, "paused_at": None, "fault": ""}

        return await self._change(principal, id, HELD, resumed)

    async def asker(self, run: str, read: Sequence[str]) -> Asker:
        """What a schedule carries of the run that asks for it, which has ``read`` what has these labels."""
        labels: Mapping[str, str] = {}
        by: frozenset[str] = frozenset()
        limits = Limits()
        if run and self._journal is not None:
            with contextlib.suppress(NotFound):  # called outside of a run
                labels = (await self._journal().get(None, run)).labels
                by = await forkers(self._journal(), run)
                with contextlib.suppress(msgspec.ValidationError):  # called in a run of something else
                    limits = msgspec.convert(await self._journal().given(None, run), Start).limits
        return Asker(labels=labels, read=tuple(read), by=tuple(sorted(by)), limits=limits)

    async def _change(self, principal: Principal, id: str, states: Sequence[str], change: Callable[[Schedule], dict[str, Any]]) -> Schedule:
        def write(connection: Connection) -> RowMapping:
            # A lock, or the beginning of a transaction that writes: it is decided by what stands there then.
            connection.execute(update(SCHEDULES).where(SCHEDULES.c.id == id).values(id=id))
            row = connection.execute(select(SCHEDULES).where(SCHEDULES.c.id == id)).mappings().first()
            if row is None or principal.reach not in (None, row["organisation"]):
                raise NotFound(f"there is no schedule {id[:100]!r}", param="id")
            if row["state"] not in states:
                raise Conflict(f"the schedule is {row['state']} already", param="id")
            if values := change(_schedule(row)):
                connection.execute(update(SCHEDULES).where(SCHEDULES.c.id == id).values(values))
            return connection.execute(select(SCHEDULES).where(SCHEDULES.c.id == id)).mappings().one()

        return self._told([await self._records.write(write)])[0]

    def _told(self, rows: Sequence[RowMapping]) -> list[Schedule]:
        now, found = self._clock(), [_schedule(row) for row in rows]
        return [
            structs.replace(one, passed=missed_by(one.cron, one.zone, one.next_at, now))
            if one.state in HELD and one.next_at is not None
            else one
            for one in found
        ]

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
            principal = self._starter(one)
            asker = Asker(labels={**one.labels, LABEL: one.id}, read=one.read, by=one.asked_by, limits=one.limits)
            for moment in moments:
                key = f"schedule/{one.id}/{moment:.0f}"
                values["last_run"] = await self._runs().begin(principal, one.agent, one.input, key=key, person=one.person, asker=asker)
        except REFUSED as fault:
            # Nothing of this mends itself; whoever looks at the list sees why, and resumes it once it is mended.
            values = {"state": "stopped", "fault": fault.message[:500]}
        else:
            values |= {"starts": one.starts + len(moments)} | ({"last_at": now} if moments else {})
        same = (SCHEDULES.c.id == one.id, SCHEDULES.c.state == "active", SCHEDULES.c.next_at == one.next_at)
        await self._records.write(lambda connection: connection.execute(update(SCHEDULES).where(*same).values(values)))

    def _starter(self, one: Schedule) -> Principal:
        """Whose right it is to start it, as it is now. Raises what is in `REFUSED`, in words for whoever reads them in the list."""
        principal = self._holders().holder_of(one.created_by)
        if principal.organisation != one.organisation:
            raise Forbidden(f"the API key {principal.name!r} that made it belongs to another organisation now")
        if not principal.may(Scope.CALL):
            raise Forbidden(f"the API key {principal.name!r} that made it may not start agents any more: that needs the scope call")
        if principal.person and one.person != principal.person:
            raise Forbidden(f"the API key {principal.name!r} that made it belongs to a person now, and starts runs for that person alone")
        members = self._members()
        if one.person and members is not None and members.has_left(one.organisation, one.person):
            raise Forbidden(f"{one.person}, whom its runs work for, has left: none of their API keys is live")
        if one.agent not in {card.name for card in self._runs().cards(principal)}:
            raise NotFound(f"the API key {principal.name!r} that made it may start no agent {one.agent!r}, or there is none any more")
        return principal

    async def forget(self) -> None:
        """Take away those that were over long ago."""
        before = self._clock() - KEEP_DAYS * 86_400
        old = (SCHEDULES.c.state.not_in(GOING), func.coalesce(SCHEDULES.c.last_at, SCHEDULES.c.created_at) < before)
        await self._records.write(lambda connection: connection.execute(delete(SCHEDULES).where(*old)))

    async def erase(self, organisation: str, person: str) -> int:
        """See `penstock.kernel.ports.PersonalRecords`: those whose runs work for the person. What ran stays."""
        mine = (SCHEDULES.c.organisation == organisation, SCHEDULES.c.person == person)
        return await self._records.write(lambda connection: connection.execute(delete(SCHEDULES).where(*mine)).rowcount)

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


_JSON = ("input", "labels", "read", "asked_by", "limits")


def _schedule(row: RowMapping) -> Schedule:
    # The keys are a kind of text that msgspec does not take for one.
    kept = {str(key): value for key, value in row.items()}
    return msgspec.convert(kept | {name: msgspec.json.decode(row[name]) for name in _JSON}, Schedule)

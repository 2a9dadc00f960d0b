"""Events that runs wait for: kept for a while, so that one that is sent before its run listens is heard all the same.

An event is kept before the waits are looked at, and a wait before the events are: so that at least one of both sees the other, also where
they come at the same moment in two processes. What both see is heard once, for each wait has a topic of its own.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from penstock.agents.flow import Heard
from penstock.agents.tables import SENT, WAITS
from penstock.kernel.errors import Conflict, NotFound
from penstock.kernel.ids import new_id
from penstock.kernel.journal import ENDED, Journal, Run
from penstock.storage.records import Records

LOOKED_THROUGH = 1000
"""Events that a run looks through for one that was sent before it listened, the oldest first."""


class KeptOccasions:
    """Implements `penstock.agents.flow.Occasions` and `penstock.kernel.agents.EventSender`."""

    def __init__(self, records: Records, journal: Callable[[], Journal]) -> None:
        self._records = records
        self._journal = journal

    async def send(self, organisation: str, name: str, data: Any, *, run: str = "", key: str | None = None) -> tuple[str, int]:
        at = time.time()
        id = new_id("event") if key is None else "event_" + hashlib.sha256(f"{organisation}/{key}".encode()).hexdigest()[:32]
        row = {"id": id, "organisation": organisation, "name": name, "run": run, "data": msgspec.json.encode(data).decode(), "at": at}
        if not await self._records.write(lambda connection: _kept(connection, row)):
            # Sent before: those who were not told then, because the process died, are told now.
            row = await self._one(id)
            at, data, name, run = row["at"], msgspec.json.decode(row["data"]), row["name"], row["run"]
        asked = select(WAITS).where(WAITS.c.organisation == organisation, WAITS.c.name == name)
        if run:
            asked = asked.where(WAITS.c.run == run)
        waits = await self._records.read(lambda connection: connection.execute(asked).mappings().all())
        heard = msgspec.to_builtins(Heard(id=id, data=data, at=at))
        told = 0
        for wait in waits:
            if not fits(data, msgspec.json.decode(wait["where"])):
                continue
            try:
                await self._journal().signal(None, wait["run"], wait["topic"], heard, key=id)
                told += 1
            except (Conflict, NotFound):  # it has ended meanwhile
                pass
            await self.leave(wait["id"])
        return id, told

    async def listen(
        self, wait: str, run: Run, topic: str, name: str, where: Mapping[str, Any], after: float, but: Sequence[str]
    ) -> Heard | None:
        row = {"id": wait, "organisation": run.organisation, "run": run.id, "topic": topic, "name": name, "at": time.time()}
        whole = {**row, "where": msgspec.json.encode(where).decode()}
        await self._records.write(lambda connection: _listened(connection, whole))
        asked = (
            select(SENT)
            .where(SENT.c.organisation == run.organisation, SENT.c.name == name, SENT.c.at >= after, SENT.c.run.in_(("", run.id)))
            .order_by(SENT.c.at, SENT.c.id)
            .limit(LOOKED_THROUGH)
        )
        for sent in await self._records.read(lambda connection: connection.execute(asked).mappings().all()):
            data = msgspec.json.decode(sent["data"])
            if sent["id"] not in but and fits(data, where):
                await self.leave(wait)
                return Heard(id=sent["id"], data=data, at=sent["at"])
        return None

    async def leave(self, wait: str) -> None:
        await self._records.write(lambda connection: connection.execute(delete(WAITS).where(WAITS.c.id == wait)))

    async def forget(self, before: float, limit: int = 500) -> int:
        """Take away events that were sent before, and waits of runs that have ended, in small pieces; how many there were."""
        old = select(SENT.c.id).where(SENT.c.at < before).limit(limit)
        gone = await self._records.write(lambda connection: connection.execute(delete(SENT).where(SENT.c.id.in_(old))).rowcount)
        waiting = select(WAITS.c.id, WAITS.c.run).where(WAITS.c.at < before).order_by(WAITS.c.at).limit(limit)
        for wait, run in await self._records.read(lambda connection: connection.execute(waiting).all()):
            try:
                over = (await self._journal().get(None, run)).state in ENDED
            except NotFound:
                over = True
            if over:
                await self.leave(wait)
                gone += 1
        return gone

    async def _one(self, id: str) -> Any:
        return await self._records.read(lambda connection: connection.execute(select(SENT).where(SENT.c.id == id)).mappings().one())


def fits(data: Any, where: Mapping[str, Any]) -> bool:
    """Whether the data of an event has these values; a dot in a name goes into what is within."""
    for path, wanted in where.items():
        value: Any = data
        for part in path.split("."):
            if not isinstance(value, dict) or part not in value:
                return False
            value = cast("dict[str, Any]", value)[part]
        if value != wanted or isinstance(value, bool) is not isinstance(wanted, bool):
            return False
    return True


def _kept(connection: Connection, row: Mapping[str, Any]) -> bool:
    """Whether it was new."""
    try:
        with connection.begin_nested():
            connection.execute(insert(SENT).values(**row))
    except IntegrityError:
        return False
    return True


def _listened(connection: Connection, row: Mapping[str, Any]) -> None:
    """Once, also where the step that listens is done again."""
    connection.execute(delete(WAITS).where(WAITS.c.id == row["id"]))
    connection.execute(insert(WAITS).values(**row))

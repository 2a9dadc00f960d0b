"""What runs of agents wait for: people, by the inbox, and events. `penstock.kernel.waits.WaitTeller`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select

from penstock.agents.tables import REQUESTS, WAITS
from penstock.kernel.waits import Wait
from penstock.storage.records import Records


class _Call(Struct):
    tool: str = ""


class KnownWaits:
    """Reads the requests that are open, and the waits for events."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def waits(self, runs: Sequence[str]) -> Mapping[str, Sequence[Wait]]:
        open = (REQUESTS.c.state == "open", REQUESTS.c.run.in_(runs))
        columns = (REQUESTS.c.run, REQUESTS.c.proposal, REQUESTS.c.opened_at, REQUESTS.c.expires_at)
        requests = select(*columns).where(*open).order_by(REQUESTS.c.opened_at)
        events = select(WAITS.c.run, WAITS.c.name, WAITS.c.at).where(WAITS.c.run.in_(runs)).order_by(WAITS.c.at)

        def read(connection: Connection) -> Mapping[str, Sequence[Wait]]:
            found: dict[str, list[Wait]] = {}
            for run, proposal, since, until in connection.execute(requests):
                tool = msgspec.json.decode(proposal, type=_Call).tool if proposal else ""
                found.setdefault(run, []).append(Wait(kind="people", name=tool, since=since, until=until))
            for run, name, since in connection.execute(events):
                found.setdefault(run, []).append(Wait(kind="event", name=name, since=since))
            return found

        return await self._records.read(read)

    async def waiting(self, reach: str | None, kind: Literal["people", "event"], most: int) -> Sequence[str]:
        table, at = (REQUESTS, REQUESTS.c.opened_at) if kind == "people" else (WAITS, WAITS.c.at)
        asked = select(table.c.run).group_by(table.c.run).order_by(func.max(at).desc()).limit(most)
        if kind == "people":
            asked = asked.where(REQUESTS.c.state == "open")
        if reach is not None:
            asked = asked.where(table.c.organisation == reach)
        return await self._records.read(lambda connection: connection.execute(asked).scalars().all())

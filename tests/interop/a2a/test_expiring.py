"""Tasks of A2A go when their runs ended long ago, or have left the journal; never one that lasts."""

from __future__ import annotations

from pathlib import Path

import msgspec
from sqlalchemy import insert, select

from penstock.interop.a2a import expiring
from penstock.interop.a2a.expiring import Expiring
from penstock.interop.a2a.store import A2aStore, made
from penstock.interop.tables import PUSHES, TASKS
from penstock.kernel.errors import NotFound
from penstock.kernel.journal import Journal, RunInfo, RunState
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records

DAY = 86_400.0


class Ends:
    """What the journal says of runs, by their ids."""

    def __init__(self, now: float) -> None:
        self.told: dict[str, tuple[RunState, float | None]] = {
            "long": (RunState.DONE, now - 11 * DAY),
            "lately": (RunState.FAILED, now - 9 * DAY),
            "lasts": (RunState.RUNNING, None),
            "paused": (RunState.PAUSED, None),
            "cancelled": (RunState.CANCELLED, now - 11 * DAY),
        }
        self.asked = 0

    async def get(self, reach: str | None, run: str) -> RunInfo:
        self.asked += 1
        if run not in self.told:
            raise NotFound(f"there is no run {run!r}")
        state, ended = self.told[run]
        whole = dict.fromkeys(RunInfo.__struct_fields__) | {"labels": {}, "forked_by": (), "waits": (), "error": None}
        times = {"created_at": 0.0, "updated_at": ended or 0.0, "ended_at": ended}
        whole |= {"id": run, "name": "agent/desk", "version": 1, "organisation": "org", "priority": 0, "executions": 1, "trace_id": ""}
        return msgspec.convert(whole | times | {"state": state}, RunInfo)


async def test_what_ended_long_ago_goes(database: str, tmp_path: Path) -> None:
    records = open_records(database, tmp_path)
    migrate(records, ("penstock.interop.migrations",))
    store, now = A2aStore(records), 1_000_000_000.0
    ends = Ends(now)
    ages = {"long": 30, "lately": 30, "lasts": 400, "paused": 30, "cancelled": 30, "gone": 30, "young": 5, "new": 0}
    for run, days in ages.items():
        kept = msgspec.structs.replace(made(run, "org", "desk", "c", {"parts": []}), created_at=now - days * DAY)
        await store.add(kept)
        push = {"run": run, "id": "p", "key": "k", "config": "{}", "told": 0, "over": True, "created_at": 0.0}
        await records.write(lambda c, push=push: c.execute(insert(PUSHES).values(push)))
    journal: Journal = ends  # type: ignore[assignment]
    await Expiring(store, lambda: journal, 0.0, lambda: now).expire()
    assert ends.asked == 0
    expiring.PAGE, before = 2, expiring.PAGE
    try:
        await Expiring(store, lambda: journal, 10.0, lambda: now).expire()
    finally:
        expiring.PAGE = before
    left = {"lately", "lasts", "paused", "young", "new"}
    for table in (TASKS, PUSHES):
        assert set(await records.read(lambda c, table=table: c.execute(select(table.c.run)).scalars().all())) == left
    assert ends.asked == 6, "those that are younger cannot have ended so long ago"
    records.close()

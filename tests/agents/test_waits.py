"""What runs of agents wait for: questions, approvals, events; while they do, and of the own organisation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, update

from penstock.agents.inbox.model import Proposal
from penstock.agents.tables import REQUESTS, WAITS
from penstock.agents.waits import KnownWaits
from penstock.kernel.waits import Wait
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, ("penstock.agents.migrations",))
    yield opened
    opened.close()


def request(run: str, opened_at: float, *, tool: str = "", **terms: Any) -> dict[str, Any]:
    told = {"run": run, "organisation": "org", "call": "c", "agent": "desk", "tool": tool, "effect": "write", "arguments": {"secret": 1}}
    proposal = msgspec.json.encode(msgspec.convert(told | {"owner": "", "key": "k", "person": ""}, Proposal)).decode() if tool else None
    row: dict[str, Any] = dict.fromkeys((column.name for column in REQUESTS.columns), "")
    row |= {"id": f"{run}/{opened_at}", "organisation": "org", "run": run, "state": "open", "proposal": proposal, "need": "{}", "to": "[]"}
    row |= {"opened_at": opened_at, "expires_at": 99.0, "escalates_at": None, "ended_at": None, "valid_until": None, "told": False}
    return row | {"schema": None, "answer": None} | terms


async def test_what_they_wait_for(records: Records) -> None:
    waits = KnownWaits(records)
    rows = [
        request("r1", 2.0, tool="refund"),
        request("r1", 1.0),
        request("r2", 3.0, organisation="other"),
        request("r3", 4.0, state="answered"),
    ]
    await records.write(lambda c: c.execute(insert(REQUESTS), rows))
    events = [{"id": f"e{n}", "organisation": "org", "run": "r4", "topic": "t", "name": n, "where": "{}", "at": 5.0} for n in ("a", "b")]
    await records.write(lambda c: c.execute(insert(WAITS), events))
    told = await waits.waits(["r1", "r2", "r3", "r4", "r5"])
    assert told["r1"] == [Wait(kind="people", since=1.0, until=99.0), Wait(kind="people", name="refund", since=2.0, until=99.0)]
    assert [wait.name for wait in told["r4"]] == ["a", "b"]
    assert set(told) == {"r1", "r2", "r4"}
    assert await waits.waiting(None, "people", 10) == ["r2", "r1"]
    assert await waits.waiting("org", "people", 10) == ["r1"]
    assert await waits.waiting(None, "people", 1) == ["r2"]
    assert (await waits.waiting("org", "event", 10), await waits.waiting("other", "event", 10)) == (["r4"], [])
    await records.write(lambda c: c.execute(update(REQUESTS).values(state="expired")))
    assert await waits.waiting(None, "people", 10) == []

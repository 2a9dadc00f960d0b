"""Who leads, on each engine of the records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData
from tests.conftest import drop_database, fresh_database

from penstock.kernel.errors import Conflict
from penstock.storage.lead import Lead, lead_table
from penstock.storage.records import Records, open_records

METADATA = MetaData()
TABLE = lead_table("some_leases", METADATA)
LEAD = Lead(TABLE, "the work")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
        return
    server = request.getfixturevalue("postgres_server")
    url = fresh_database(server)
    yield url
    drop_database(server, url)


@pytest.fixture
def records(url: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(url, tmp_path)
    yield opened
    opened.close()


async def test_one_of_many_leads_until_it_leaves_or_stands_still(records: Records) -> None:
    await records.write(lambda c: METADATA.create_all(c))
    names = [f"process {n}" for n in range(6)]
    told = await asyncio.gather(*(records.write(lambda c, name=name: LEAD.take(c, name, 60)) for name in names))
    assert sum(told) == 1
    first = names[told.index(True)]
    other = next(name for name in names if name != first)
    await records.write(lambda c: LEAD.hold(c, first))
    with pytest.raises(Conflict, match="the work"):
        await records.write(lambda c: LEAD.hold(c, other))
    assert await records.write(lambda c: LEAD.take(c, first, 60))
    await records.write(lambda c: LEAD.leave(c, other))
    assert not await records.write(lambda c: LEAD.take(c, other, 60))
    assert await records.write(lambda c: LEAD.take(c, other, -1)), "who gave no sign of life for that long has lost it"
    with pytest.raises(Conflict):
        await records.write(lambda c: LEAD.hold(c, first))
    await records.write(lambda c: LEAD.leave(c, other))
    assert await records.write(lambda c: LEAD.take(c, first, 60))


async def test_one_piece_of_work_is_not_anothers(records: Records) -> None:
    await records.write(lambda c: METADATA.create_all(c))
    assert await records.write(lambda c: LEAD.take(c, "one", 60))
    assert await records.write(lambda c: Lead(TABLE, "more work").take(c, "two", 60))
    await records.write(lambda c: LEAD.hold(c, "one"))


async def test_a_clock_that_was_set_back_leaves_the_work_to_nobody_for_no_longer_than_a_lease(records: Records) -> None:
    await records.write(lambda c: METADATA.create_all(c))
    assert await records.write(lambda c: LEAD.take(c, "dead", 60, now=1_000_000.0))
    assert not await records.write(lambda c: LEAD.take(c, "next", 60, now=1_000_000.0 - 60))
    assert await records.write(lambda c: LEAD.take(c, "next", 60, now=1_000_000.0 - 86_400))
    with pytest.raises(Conflict):
        await records.write(lambda c: LEAD.hold(c, "dead"))

"""What is kept of A2A's tasks on SQLite and PostgreSQL: kept once, said to, and gone with the person whose key began them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from penstock.interop.a2a.store import A2aStore, made
from penstock.interop.tables import PUSHES
from penstock.kernel.errors import NotFound
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, ("penstock.interop.migrations",))
    yield opened
    opened.close()


async def test_what_a_person_said_goes_with_the_person(records: Records) -> None:
    store = A2aStore(records)
    for run, organisation, person in (("r1", "org", "ann"), ("r2", "org", None), ("r3", "other", "ann")):
        kept = made(run, organisation, "desk", "c", {"parts": [{"text": "my address"}]}, person)
        assert await store.add(kept) == kept
        assert await store.add(made(run, organisation, "desk", "c", {"parts": []}, person)) == kept
        push = {"run": run, "id": "p", "key": "k", "config": "{}", "told": 0, "over": False, "created_at": 0.0}
        await records.write(lambda c, push=push: c.execute(insert(PUSHES).values(push)))
    assert (await store.get("org", "desk", "r1")).person == "ann"
    assert await store.erase("org", "ann") == 1
    assert await store.erase("org", "ann") == 0
    with pytest.raises(NotFound):
        await store.get("org", "desk", "r1")
    await store.say("r1", {"parts": []})  # comes too late, and is dropped
    assert [(await store.get(None, "desk", run)).run for run in ("r2", "r3")] == ["r2", "r3"]
    assert set(await records.read(lambda c: c.execute(select(PUSHES.c.run)).scalars().all())) == {"r2", "r3"}

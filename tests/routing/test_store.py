"""Policies, watches and what exploration has spent, on both engines."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.kernel.errors import Conflict
from penstock.routing import store
from penstock.routing.policy import Policy
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def records(database: str, tmp_path: Path) -> Any:
    opened = open_records(database, tmp_path)
    migrate(opened, ("penstock.routing.migrations",))
    yield opened
    opened.close()


def policy(number: int, state: Any, task: str = "t") -> Policy:
    return Policy(id=f"{task}{number}", organisation="o", task=task, number=number, state=state, created_at=float(number), by="k")


async def test_the_current_policy_is_the_one_that_serves_or_the_last_word(records: Records) -> None:
    for one in (policy(1, "superseded"), policy(2, "suspended"), policy(3, "refused"), policy(4, "fitting")):
        await records.write(lambda c, one=one: store.add(c, one))
    for one in (policy(1, "refused", "u"), policy(2, "failed", "u"), policy(1, "active", "v"), policy(2, "refused", "v")):
        await records.write(lambda c, one=one: store.add(c, one))
    found = {one.id for one in await records.read(store.current)}
    assert found == {"t2", "u2", "v1"}
    assert await records.read(lambda c: store.next_number(c, "o", "t")) == 5
    assert [one.number for one in await records.read(lambda c: store.of_task(c, "o", "t"))] == [4, 3, 2, 1]
    assert [one.id for one in await records.read(lambda c: store.serving(c, "o", "v"))] == ["v1"]
    with pytest.raises(Conflict):
        await records.write(lambda c: store.add(c, msgspec.structs.replace(policy(4, "active"), id="another")))


async def test_arrays_and_changes_are_kept(records: Records) -> None:
    await records.write(lambda c: store.add(c, policy(1, "active")))
    before = await records.read(store.counted)
    await records.write(lambda c: store.put(c, policy(1, "suspended"), b"arrays"))
    await records.write(store.bump)
    assert await records.read(lambda c: store.arrays(c, "t1")) == b"arrays"
    await records.write(lambda c: store.put(c, policy(1, "active")))
    assert await records.read(lambda c: store.arrays(c, "t1")) == b"arrays"
    assert await records.read(store.counted) == before + 1


async def test_a_budget_is_never_exceeded_by_many_at_once(records: Records) -> None:
    async def one() -> bool:
        return await records.write(lambda c: store.explore(c, "o", "t", "2026-11", 30, 100, 1))

    await one()  # the row is there; two that would make it at once are a clash that the engine repeats
    taken = await asyncio.gather(*(one() for _ in range(8)))
    assert sum(taken) == 2
    assert await records.read(lambda c: store.explored(c, "o", "t", "2026-11")) == (90, 3)
    assert await records.write(lambda c: store.explore(c, "o", "t", "2026-11", -500, 10**9, 0))
    assert await records.read(lambda c: store.explored(c, "o", "t", "2026-11")) == (0, 3)
    assert await records.read(lambda c: store.explored(c, "o", "t", "2026-12")) == (0, 0)


async def test_a_watch_is_written_over_and_read_back(records: Records) -> None:
    watched = store.Watched(policy="t1", watcher="0", evidence=1.0, calls=1, labels=0, changed_at=1.0, state=b"a")
    for one in (
        watched,
        msgspec.structs.replace(watched, evidence=2.5, calls=9, state=b"b"),
        msgspec.structs.replace(watched, watcher="1"),
    ):
        await records.write(lambda c, one=one: store.keep_watch(c, one))
    found = {one.watcher: one for one in await records.read(lambda c: store.watches(c, "t1"))}
    assert (found["0"].evidence, found["0"].calls, found["0"].state) == (2.5, 9, b"b")
    assert set(found) == {"0", "1"}


async def test_arrays_of_what_serves_no_more_are_dropped_in_time(records: Records) -> None:
    """Those of the last attempt stay: the next one may go on with them."""
    states = (("superseded", 10.0), ("superseded", 200.0), ("active", 10.0), ("refused", 10.0), ("refused", 10.0), ("failed", 10.0))
    for number, (state, at) in enumerate(states, 1):
        await records.write(lambda c, n=number, s=state: store.add(c, policy(n, s)))
        changed = msgspec.structs.replace(policy(number, state), changed_at=at)
        await records.write(lambda c, changed=changed: store.put(c, changed, b"arrays"))
        row = store.Watched(policy=changed.id, watcher="0", evidence=1.0, calls=1, labels=0, changed_at=at, state=b"", unspent=0.5)
        await records.write(lambda c, row=row: store.keep_watch(c, row))
    await records.write(lambda c: store.add(c, policy(1, "refused", "alone")))
    await records.write(lambda c: store.put(c, policy(1, "refused", "alone"), b"arrays"))
    assert await records.write(lambda c: store.forget_fits(c, 100.0, 1)) == 1
    assert await records.write(lambda c: store.forget_fits(c, 100.0)) == 1
    assert await records.write(lambda c: store.forget_fits(c, 100.0)) == 0
    held = [await records.read(lambda c, n=n: store.arrays(c, f"t{n}")) for n in range(1, 7)]
    assert [one is not None for one in held] == [False, True, True, False, True, True]
    assert await records.read(lambda c: store.arrays(c, "alone1")) == b"arrays"
    watched = [await records.read(lambda c, n=n: store.watches(c, f"t{n}")) for n in range(1, 7)]
    assert [bool(one) for one in watched] == [False, False, True, False, False, False]
    assert watched[2][0].unspent == 0.5
    assert (await records.read(lambda c: store.one(c, "t1"))) is not None

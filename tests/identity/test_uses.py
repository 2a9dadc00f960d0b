"""When a key was last used: noted at once, written later, and never backwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.house import open_house
from tests.identity.process import Process

from penstock.identity import store, uses
from penstock.identity.keys import KeyChange, Keys, NewKey
from penstock.identity.secret import digest
from penstock.identity.uses import Uses
from penstock.kernel.errors import StorageError, Unauthenticated
from penstock.kernel.principal import Scope


async def stored(process: Process, id: str) -> float | None:
    """What the database says, whatever the process has noted."""
    return (await Keys(process.records, grace_seconds=0).find(None, id)).last_used_at


async def test_a_use_shows_here_at_once_and_is_written_by_the_flush(one: Process) -> None:
    made = await one.keys.create(None, NewKey(name="used"))
    idle = await one.keys.create(None, NewKey(name="idle"))
    assert made.key.last_used_at is None
    one.clock.now += 5
    one.keyring.authenticate(made.secret)
    assert (await one.keys.find(None, made.key.id)).last_used_at == one.clock.now
    assert {key.name: key.last_used_at for key in (await one.keys.list(None)).data} == {"used": one.clock.now, "idle": None}
    assert await stored(one, made.key.id) is None
    await one.refresh.flush()
    assert one.keyring.used == {}
    assert await stored(one, made.key.id) == one.clock.now
    assert await stored(one, idle.key.id) is None
    changed = await one.keys.change(None, made.key.id, KeyChange(name="renamed"))
    assert changed.last_used_at == one.clock.now
    one.clock.now += 5
    one.keyring.authenticate(made.secret)
    assert (await one.keys.rotate(None, made.key.id)).key.last_used_at == one.clock.now
    assert (await one.keys.revoke(None, made.key.id)).last_used_at == one.clock.now


async def test_a_refusal_is_no_use_and_a_browsers_request_is_one(one: Process) -> None:
    made = await one.keys.create(None, NewKey(name="person", scopes=(Scope.READ,), expires_at=one.clock.now + 100))
    token, _ = await one.sessions.open(made.secret)
    await one.refresh.flush()
    one.clock.now += 50
    assert one.sessions.principal(token) is not None
    await one.refresh.flush()
    assert await stored(one, made.key.id) == one.clock.now
    one.clock.now += 50
    with pytest.raises(Unauthenticated):
        one.keyring.authenticate(made.secret)
    assert one.sessions.principal(token) is None
    assert one.keyring.holder(digest(made.secret)) is None
    assert one.keyring.used == {}


async def test_a_flush_is_no_change_of_the_key_and_makes_nobody_look_again(one: Process) -> None:
    made = await one.keys.create(None, NewKey(name="quiet"))
    before = await one.records.read(lambda c: store.changes_since(c, -1, one.clock.now))
    assert before is not None
    one.keyring.authenticate(made.secret)
    await one.refresh.flush()
    assert await one.records.read(lambda c: store.changes_since(c, before.version, one.clock.now)) is None


async def test_processes_never_move_a_use_backwards(one: Process, other: Process) -> None:
    made = await one.keys.create(None, NewKey(name="shared"))
    await other.refresh.now()
    one.clock.now += 60
    other.clock.now += 30
    late, early = one.clock.now, other.clock.now
    one.keyring.authenticate(made.secret)
    other.keyring.authenticate(made.secret)
    await asyncio.gather(one.refresh.flush(), other.refresh.flush())
    assert await stored(other, made.key.id) == late > early
    one.clock.now = early
    one.keyring.authenticate(made.secret)
    assert (await one.keys.find(None, made.key.id)).last_used_at == late


async def test_what_is_used_while_it_is_written_is_written_next(one: Process) -> None:
    made = await one.keys.create(None, NewKey(name="busy"))
    one.keyring.authenticate(made.secret)
    first = one.clock.now
    flushing = asyncio.create_task(one.refresh.flush())
    await asyncio.sleep(0)  # handed over to a thread, and not back yet
    one.clock.now += 1
    one.keyring.authenticate(made.secret)
    await flushing
    assert await stored(one, made.key.id) == first
    await one.refresh.flush()
    assert await stored(one, made.key.id) == one.clock.now
    assert one.keyring.used == {}


async def test_more_keys_than_a_batch_are_written_in_several(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "BATCH", 3)
    made = [await one.keys.create(None, NewKey(name=f"key {n}")) for n in range(7)]
    for key in made:
        one.clock.now += 1
        one.keyring.authenticate(key.secret)
    await one.refresh.flush()
    assert [(await stored(one, key.key.id) or 0) - one.clock.now for key in made] == [-6, -5, -4, -3, -2, -1, 0]


async def test_a_database_that_does_not_answer_costs_no_use(one: Process, other: Process) -> None:
    made = await one.keys.create(None, NewKey(name="kept"))
    await other.refresh.now()
    other.keyring.authenticate(made.secret)
    other.records.close()
    with pytest.raises(StorageError):
        await other.refresh.flush()
    await Uses(one.records, other.keyring.used).flush()
    assert await stored(one, made.key.id) == other.clock.now
    assert other.keyring.used == {}


async def test_a_key_that_is_gone_from_the_database_is_passed_over(one: Process) -> None:
    await Uses(one.records, noted := {"key_" + "0" * 32: 5.0}).flush()
    assert noted == {}


@pytest.mark.timeout(60)
async def test_the_page_the_api_and_the_next_start_tell_when_a_key_was_used(database: str, tmp_path: Path) -> None:
    async with open_house(tmp_path, database=database) as house:
        secret, id = await house.key(name="support bot")

        async def told() -> Any:
            return (await house.ask("GET", f"/v1/keys/{id}")).json["last_used_at"]

        page = (await house.ask("GET", "/console/keys?q=support", accept="text/html")).text
        assert await told() is None
        assert ">never<" in page
        assert (await house.ask("GET", "/v1/models", key=secret)).status == 200
        used = await told()
        assert isinstance(used, float)
        page = (await house.ask("GET", "/console/keys?q=support", accept="text/html")).text
        assert ">never<" not in page
        assert 'data-time="ago"' in page
        listed = (await house.ask("GET", "/v1/keys?search=support")).json["data"]
        assert [key["last_used_at"] for key in listed] == [used]
        admin = house.admin
    async with open_house(tmp_path, database=database) as house:
        again = (await house.ask("GET", f"/v1/keys/{id}", key=admin)).json
        assert again["last_used_at"] == used

"""When a key was last used: noted at once, written later, and never backwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.house import open_house

from penstock.identity import store, uses
from penstock.identity.keyring import Keyring
from penstock.identity.keys import KeyChange, Keys, NewKey
from penstock.identity.owners import Owners
from penstock.identity.refresh import Refresh
from penstock.identity.secret import digest
from penstock.identity.sessions import BrowserSessions
from penstock.identity.settings import IdentitySettings
from penstock.identity.uses import Uses
from penstock.kernel.errors import StorageError, Unauthenticated
from penstock.kernel.events import Events
from penstock.kernel.principal import Scope
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records


class Process:
    """One process on a database, with the time it goes by."""

    def __init__(self, records: Records) -> None:
        self.now = 1_800_000_000.0
        self.records = records
        self.keyring = Keyring(Events(), lambda: self.now)
        self.sessions = BrowserSessions(records, self.keyring, IdentitySettings(), lambda: self.now)
        self.refresh = Refresh(records, self.keyring, self.sessions, 0.05, lambda: self.now)
        self.keys = Keys(records, grace_seconds=3600, changed=self.refresh.now, used=self.keyring.used, clock=lambda: self.now)

    async def stored(self, id: str) -> float | None:
        """What the database says, whatever this process has noted."""
        return (await Keys(self.records, grace_seconds=0).find(None, id)).last_used_at


@pytest.fixture
async def one(database: str, tmp_path: Path) -> AsyncIterator[Process]:
    records = open_records(database, tmp_path)
    migrate(records, ["penstock.identity.migrations"])
    await Owners(records).ensure_home()
    yield Process(records)
    records.close()


@pytest.fixture
async def two(one: Process, database: str, tmp_path: Path) -> AsyncIterator[Process]:
    records = open_records(database, tmp_path)
    yield Process(records)
    records.close()


async def test_a_use_shows_here_at_once_and_is_written_by_the_flush(one: Process) -> None:
    made = await one.keys.create(None, NewKey(name="used"))
    idle = await one.keys.create(None, NewKey(name="idle"))
    assert made.key.last_used_at is None
    one.now += 5
    one.keyring.authenticate(made.secret)
    assert (await one.keys.find(None, made.key.id)).last_used_at == one.now
    assert {key.name: key.last_used_at for key in (await one.keys.list(None)).data} == {"used": one.now, "idle": None}
    assert await one.stored(made.key.id) is None
    await one.refresh.flush()
    assert one.keyring.used == {}
    assert await one.stored(made.key.id) == one.now
    assert await one.stored(idle.key.id) is None
    changed = await one.keys.change(None, made.key.id, KeyChange(name="renamed"))
    assert changed.last_used_at == one.now
    one.now += 5
    one.keyring.authenticate(made.secret)
    assert (await one.keys.rotate(None, made.key.id)).key.last_used_at == one.now
    assert (await one.keys.revoke(None, made.key.id)).last_used_at == one.now


async def test_a_refusal_is_no_use_and_a_browsers_request_is_one(one: Process) -> None:
    made = await one.keys.create(None, NewKey(name="person", scopes=(Scope.READ,), expires_at=one.now + 100))
    token, _ = await one.sessions.open(made.secret)
    await one.refresh.flush()
    one.now += 50
    assert one.sessions.principal(token) is not None
    await one.refresh.flush()
    assert await one.stored(made.key.id) == one.now
    one.now += 50
    with pytest.raises(Unauthenticated):
        one.keyring.authenticate(made.secret)
    assert one.sessions.principal(token) is None
    assert one.keyring.holder(digest(made.secret)) is None
    assert one.keyring.used == {}


async def test_a_flush_is_no_change_of_the_key_and_makes_nobody_look_again(one: Process) -> None:
    made = await one.keys.create(None, NewKey(name="quiet"))
    before = await one.records.read(lambda c: store.changes_since(c, -1, one.now))
    assert before is not None
    one.keyring.authenticate(made.secret)
    await one.refresh.flush()
    assert await one.records.read(lambda c: store.changes_since(c, before.version, one.now)) is None


async def test_processes_never_move_a_use_backwards(one: Process, two: Process) -> None:
    made = await one.keys.create(None, NewKey(name="shared"))
    await two.refresh.now()
    one.now += 60
    two.now += 30
    late, early = one.now, two.now
    one.keyring.authenticate(made.secret)
    two.keyring.authenticate(made.secret)
    await asyncio.gather(one.refresh.flush(), two.refresh.flush())
    assert await two.stored(made.key.id) == late > early
    one.now = early
    one.keyring.authenticate(made.secret)
    assert (await one.keys.find(None, made.key.id)).last_used_at == late


async def test_what_is_used_while_it_is_written_is_written_next(one: Process) -> None:
    made = await one.keys.create(None, NewKey(name="busy"))
    one.keyring.authenticate(made.secret)
    first = one.now
    flushing = asyncio.create_task(one.refresh.flush())
    await asyncio.sleep(0)  # handed over to a thread, and not back yet
    one.now += 1
    one.keyring.authenticate(made.secret)
    await flushing
    assert await one.stored(made.key.id) == first
    await one.refresh.flush()
    assert await one.stored(made.key.id) == one.now
    assert one.keyring.used == {}


async def test_more_keys_than_a_batch_are_written_in_several(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "BATCH", 3)
    made = [await one.keys.create(None, NewKey(name=f"key {n}")) for n in range(7)]
    for key in made:
        one.now += 1
        one.keyring.authenticate(key.secret)
    await one.refresh.flush()
    assert [(await one.stored(key.key.id) or 0) - one.now for key in made] == [-6, -5, -4, -3, -2, -1, 0]


async def test_a_database_that_does_not_answer_costs_no_use(one: Process, two: Process) -> None:
    made = await one.keys.create(None, NewKey(name="kept"))
    await two.refresh.now()
    two.keyring.authenticate(made.secret)
    two.records.close()
    with pytest.raises(StorageError):
        await two.refresh.flush()
    await Uses(one.records, two.keyring.used).flush()
    assert await one.stored(made.key.id) == two.now
    assert two.keyring.used == {}


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

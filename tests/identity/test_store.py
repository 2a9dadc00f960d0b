"""Identity's SQL on both engines: what changed since when, and what a filter leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest
from sqlalchemy import Connection
from tests.identity.process import Process

from penstock.identity import store
from penstock.identity.keys import NewKey
from penstock.identity.model import Organisation, Project, Team
from penstock.identity.secret import digest
from penstock.identity.store import Changes, SecretRow, SessionRow
from penstock.kernel.errors import Conflict
from penstock.kernel.ids import new_id

T = TypeVar("T")


async def read(process: Process, work: Callable[[Connection], T]) -> T:
    return await process.records.read(work)


async def changes(process: Process, version: int) -> Changes | None:
    return await read(process, lambda c: store.changes_since(c, version, process.clock.now))


async def whole(process: Process) -> Changes:
    found = await changes(process, -1)
    assert found is not None
    assert found.whole
    return found


async def test_a_first_look_gives_everything_and_a_second_nothing(one: Process) -> None:
    made = await one.keys.create(None, NewKey(name="bot"))
    found = await whole(one)
    assert found.home == made.key.organisation
    assert found.names == {made.key.organisation: "Default", **{i: n for i, n in found.names.items() if n == "default"}, made.key.id: "bot"}
    assert [key.id for key in found.keys] == [made.key.id]
    assert [(s.key, s.digest, s.last4, s.expires_at) for s in found.secrets] == [(made.key.id, digest(made.secret), made.secret[-4:], None)]
    assert await changes(one, found.version) is None


async def test_later_looks_give_what_changed_with_all_secrets_of_a_changed_key(one: Process) -> None:
    still = await one.keys.create(None, NewKey(name="still"))
    moving = await one.keys.create(None, NewKey(name="moving"))
    version = (await whole(one)).version
    await one.keys.rotate(None, moving.key.id, 60)
    found = await changes(one, version)
    assert found is not None
    assert not found.whole
    assert found.version > version
    assert found.names == {moving.key.id: "moving"}
    assert [key.id for key in found.keys] == [moving.key.id]
    assert sorted(str(s.expires_at) for s in found.secrets) == [str(one.clock.now + 60), "None"]
    assert still.key.id not in found.names


async def test_a_count_that_went_back_means_an_older_state_and_gives_everything(one: Process) -> None:
    found = await whole(one)
    again = await changes(one, found.version + 10)
    assert again is not None
    assert again.whole
    assert again.names == found.names


async def test_sessions_that_ended_are_told_to_those_who_may_know_them_only(one: Process) -> None:
    made = await one.reader()
    version = (await whole(one)).version
    token, _ = await one.sessions.open(made.secret)
    await one.sessions.close(token)
    later = await changes(one, version)
    assert later is not None
    assert [(s.digest, s.expires_at) for s in later.sessions] == [(digest(token), one.clock.now)]
    assert (await whole(one)).sessions == []


async def test_a_session_that_ended_is_not_brought_back(one: Process) -> None:
    made = await one.reader()
    row = SessionRow(b"s" * 32, digest(made.secret), one.clock.now, one.clock.now + 100)

    def end(at: float, now: float) -> Callable[[Connection], None]:
        return lambda c: store.put_session_end(c, row.digest, at, now=now, version=store.bump(c))

    await one.records.write(lambda c: store.add_session(c, row, store.bump(c)))
    await one.records.write(end(one.clock.now + 50, one.clock.now))
    assert [s.expires_at for s in (await whole(one)).sessions] == [one.clock.now + 50]
    await one.records.write(end(one.clock.now, one.clock.now))
    await one.records.write(end(one.clock.now + 500, one.clock.now + 1))
    assert (await whole(one)).sessions == []


async def test_a_new_session_sweeps_those_that_ended_a_day_before(one: Process) -> None:
    made = await one.reader()
    begun = one.clock.now
    for number, end in enumerate((begun + 10, begun + 86_400)):
        row = SessionRow(bytes([number]) * 32, digest(made.secret), begun, end)
        await one.records.write(lambda c, row=row: store.add_session(c, row, store.bump(c)))
    late = SessionRow(b"l" * 32, digest(made.secret), begun + 86_400 + 11, begun + 2 * 86_400)
    await one.records.write(lambda c: store.add_session(c, late, store.bump(c)))
    left = await read(one, lambda c: {bytes(row[0])[:1] for row in c.exec_driver_sql("SELECT digest FROM sessions")})
    assert left == {b"\x01", b"l"}


async def test_changes_at_once_get_numbers_of_their_own(one: Process, other: Process) -> None:
    before = (await whole(one)).version
    numbers = await asyncio.gather(*(p.records.write(store.bump) for p in (one, other) * 5))
    assert sorted(numbers) == list(range(before + 1, before + 11))


async def test_a_list_of_keys_is_filtered_as_asked(one: Process) -> None:
    now = one.clock.now
    for name in ("Alpha", "alphabet", "100% sure", "under_score"):
        await one.keys.create(None, NewKey(name=name))
    ended = await one.keys.create(None, NewKey(name="ended", expires_at=now + 1))
    gone = await one.keys.create(None, NewKey(name="gone"))
    await one.keys.revoke(None, gone.key.id)

    async def names(state: str | None = None, search: str = "", limit: int = 100, before: str | None = None, **where: str) -> set[str]:
        return {
            key.name
            for key in await read(
                one, lambda c: store.list_keys(c, where, state=state, search=search, before=before, limit=limit, now=now + 1)
            )
        }

    assert await names("live") == {"Alpha", "alphabet", "100% sure", "under_score"}
    assert await names("expired") == {"ended"}
    assert await names("revoked") == {"gone"}
    assert await names(search="ALPHA") == {"Alpha", "alphabet"}
    assert await names(search="%") == {"100% sure"}
    assert await names(search="_") == {"under_score"}
    assert await names(search=ended.secret[-4:]) == {"ended"}
    assert await names(limit=1) == {"gone"}
    assert await names(limit=1, before=gone.key.id) == {"ended"}
    assert await names(organisation=new_id("org")) == set()

    async def count(**terms: str | bool | dict[str, str]) -> int:
        return await read(one, lambda c: store.count_keys(c, now=now + 1, **terms))  # type: ignore[arg-type]

    assert (await count(), await count(state="live"), await count(first=True)) == (6, 4, 0)
    assert await count(where={"organisation": new_id("org")}) == 0


async def test_names_that_are_taken_and_owners_in_use_clash_in_the_database_too(one: Process) -> None:
    home = await read(one, store.home)
    assert home is not None
    twice = Organisation(id=new_id("org"), name=home.name, home=False, created_at=1.0)
    with pytest.raises(Conflict):
        await one.records.write(lambda c: store.add(c, twice, store.bump(c)))
    assert await read(one, lambda c: store.is_used(c, home))
    with pytest.raises(Conflict):
        await one.records.write(lambda c: store.remove(c, Organisation, home.id))
    team = Team(id=new_id("team"), organisation=home.id, name="Unused", created_at=1.0)
    await one.records.write(lambda c: store.add(c, team, store.bump(c)))
    assert not await read(one, lambda c: store.is_used(c, team))
    await one.records.write(lambda c: store.remove(c, Team, team.id))
    assert await read(one, lambda c: store.find(c, Team, team.id)) is None


async def test_the_same_secret_never_belongs_to_two_keys(one: Process) -> None:
    a = await one.keys.create(None, NewKey(name="a"))
    b = await one.keys.create(None, NewKey(name="b"))
    row = SecretRow(digest(a.secret), b.key.id, "same", one.clock.now, None)
    with pytest.raises(Conflict):
        await one.records.write(lambda c: store.add_secret(c, row))


async def test_a_projects_keys_follow_it(one: Process) -> None:
    team = await one.owners.add_team(None, "Platform")
    project = await one.owners.add_project(None, "Bot")
    mine = await one.keys.create(None, NewKey(name="mine", project=project.id))
    not_mine = await one.keys.create(None, NewKey(name="not mine"))
    version = (await whole(one)).version
    await one.records.write(lambda c: store.move_keys(c, project.id, team.id, store.bump(c)))
    found = await changes(one, version)
    assert found is not None
    assert [(key.id, key.team) for key in found.keys] == [(mine.key.id, team.id)]
    unmoved = await read(one, lambda c: store.find_key(c, not_mine.key.id, one.clock.now))
    assert unmoved is not None
    assert unmoved.team is None
    assert await read(one, lambda c: store.is_taken(c, Project, "Bot", project.organisation))
    assert not await read(one, lambda c: store.is_taken(c, Project, "Bot", new_id("org")))

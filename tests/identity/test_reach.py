"""How far a hand reaches: home's admins everywhere, everyone else in their own organisation; what lies beyond is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from sqlalchemy import Connection
from tests.identity.process import Process

from penstock.identity import reach
from penstock.identity.model import Organisation, Person, Project, Team
from penstock.kernel.errors import Forbidden, NotFound, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal, Scope

T = TypeVar("T")


class Land:
    """Two organisations with a team each, and somebody of every kind."""

    def __init__(self, process: Process, home: Organisation, abroad: Organisation, ours: Team, theirs: Team) -> None:
        self.process = process
        self.home, self.abroad, self.ours, self.theirs = home, abroad, ours, theirs
        self.root = someone(home, Scope.ADMIN)
        self.reader = someone(home, Scope.READ)
        self.them = someone(abroad, Scope.ADMIN)

    async def ask(self, work: Callable[[Connection], T]) -> T:
        return await self.process.records.read(work)


def someone(organisation: Organisation, scope: Scope) -> Principal:
    return Principal(key_id="key_1", name="k", organisation=organisation.id, scopes=frozenset({scope}), home=organisation.home)


@pytest.fixture
async def land(alone: Process) -> Land:
    home = (await alone.owners.list(Organisation, None)).data[0]
    abroad = await alone.owners.add_organisation(None, "Abroad")
    return Land(alone, home, abroad, await alone.owners.add_team(None, "Ours"), await alone.owners.add_team(None, "Theirs", abroad.id))


async def test_only_homes_admins_and_commands_have_no_bounds(land: Land) -> None:
    assert reach.reach(None) is None
    assert reach.reach(land.root) is None
    assert reach.reach(land.reader) == land.home.id
    assert reach.reach(land.them) == land.abroad.id
    for allowed in (None, land.root):
        reach.home_only(allowed)
    for refused in (land.reader, land.them):
        with pytest.raises(Forbidden):
            reach.home_only(refused)


async def test_what_lies_beyond_looks_like_what_is_not_there(land: Land) -> None:
    def faults(id: str, actor: Principal) -> Callable[[Connection], list[str]]:
        def work(connection: Connection) -> list[str]:
            said: list[str] = []
            for ask in (reach.wanted, reach.named):
                with pytest.raises((NotFound, RequestError)) as fault:
                    ask(connection, Team, id, actor)
                said.append(fault.value.message.replace(id, "ID"))
            assert reach.within(connection, Team, id, actor) is None
            return said

        return work

    for actor, beyond in ((land.them, land.ours.id), (land.reader, land.theirs.id)):
        assert await land.ask(faults(beyond, actor)) == await land.ask(faults(new_id("team"), actor))
    for actor, there in ((None, land.ours), (land.root, land.theirs), (land.them, land.theirs), (land.reader, land.ours)):
        assert await land.ask(lambda c, actor=actor, there=there: reach.wanted(c, Team, there.id, actor)) == there


async def test_an_id_that_cannot_be_asks_the_database_nothing(land: Land) -> None:
    for wrong in ("", "nonsense", "x" * 1000, "team_'; DROP TABLE teams"):
        with pytest.raises(NotFound, match="there is no team"):
            await land.ask(lambda c, wrong=wrong: reach.wanted(c, Team, wrong, None))
        with pytest.raises(RequestError) as fault:
            await land.ask(lambda c, wrong=wrong: reach.named(c, Project, wrong, None))
        assert (fault.value.status, fault.value.param) == (400, "project")
        assert len(fault.value.message) < 120


async def test_something_new_lies_where_it_was_asked_for_where_its_parents_are_or_where_the_actor_is(land: Land) -> None:
    async def place(actor: Principal | None, asked: str | None = None, *parents: Team | Person | None) -> str:
        return await land.ask(lambda c: reach.organisation_for(c, actor, asked, *parents))

    assert await place(None) == land.home.id
    assert await place(land.them) == land.abroad.id
    assert await place(land.root, land.abroad.id) == land.abroad.id
    assert await place(land.root, None, land.theirs) == land.abroad.id
    assert await place(land.root, None, None, land.theirs) == land.abroad.id
    assert await place(land.root, land.abroad.id, land.theirs) == land.abroad.id
    with pytest.raises(RequestError, match="must lie in the same organisation"):
        await place(land.root, land.home.id, land.theirs)
    with pytest.raises(RequestError, match="must lie in the same organisation"):
        await place(land.root, None, land.ours, land.theirs)
    with pytest.raises(RequestError, match="there is none with the id"):
        await place(land.them, land.home.id)


async def test_before_there_is_an_organisation_nothing_has_a_place(land: Land) -> None:
    def emptied(connection: Connection) -> None:
        for table in ("projects", "teams", "organisations"):
            connection.exec_driver_sql(f"DELETE FROM {table}")

    await land.process.records.write(emptied)
    with pytest.raises(RequestError, match="start Penstock once, or make one first"):
        await land.ask(lambda c: reach.organisation_for(c, None, None))

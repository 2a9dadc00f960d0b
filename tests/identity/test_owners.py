"""Organisations, teams, projects and people: made, changed, removed, and out of reach of others."""

from __future__ import annotations

import pytest
from tests.identity.process import Process

from penstock.identity.keys import NewKey
from penstock.identity.model import Organisation, Person, Project, Team
from penstock.kernel.errors import Conflict, Forbidden, NotFound, RequestError
from penstock.kernel.principal import Principal, Scope


async def admin(process: Process, organisation: str | None = None) -> Principal:
    made = await process.keys.create(None, NewKey(name="admin", organisation=organisation, scopes=(Scope.ADMIN,)))
    return process.who(made.secret)


async def test_teams_projects_and_people_change_and_go(one: Process) -> None:
    team = await one.owners.add_team(None, "Platform")
    project = await one.owners.add_project(None, "Bot")
    key = await one.keys.create(None, NewKey(name="bot", project=project.id))
    moved = await one.owners.change(Project, None, project.id, {"team": team.id})
    assert moved.team == team.id
    assert one.who(key.secret).team == team.id
    assert (await one.owners.change(Team, None, team.id, {"name": "Platforms"})).name == "Platforms"
    assert one.keyring.name(team.id) == "Platforms"
    with pytest.raises(Conflict, match="called 'default' already"):
        await one.owners.change(Project, None, project.id, {"name": "default"})
    with pytest.raises(Conflict, match="still has"):
        await one.owners.remove(Team, None, team.id)
    person = await one.owners.add_person(None, "Ada", "Ada@Example.com")
    assert person.email == "ada@example.com"
    with pytest.raises(Conflict, match="has the address"):
        await one.owners.add_person(None, "Eve", "ada@example.com")
    with pytest.raises(RequestError) as fault:
        await one.owners.add_person(None, "Eve", "nonsense")
    assert fault.value.param == "email"
    await one.owners.remove(type(person), None, person.id)
    with pytest.raises(NotFound):
        await one.owners.find(type(person), None, person.id)
    home = (await one.owners.list(Organisation, None)).data[0]
    with pytest.raises(Conflict, match="runs this installation"):
        await one.owners.remove(Organisation, None, home.id)


async def test_a_project_that_leaves_its_team_takes_its_keys_along(one: Process) -> None:
    team = await one.owners.add_team(None, "Platform")
    project = await one.owners.add_project(None, "Bot", team=team.id)
    key = await one.keys.create(None, NewKey(name="bot", project=project.id))
    assert one.who(key.secret).team == team.id
    await one.owners.change(Project, None, project.id, {"team": None})
    assert one.who(key.secret).team is None


async def test_what_lies_in_another_organisation_is_not_there(alone: Process) -> None:
    elsewhere = await alone.owners.add_organisation(None, "Elsewhere")
    them = await admin(alone, elsewhere.id)
    ours = await alone.owners.add_team(None, "Ours")
    theirs = await alone.owners.add_team(them, "Theirs")
    assert theirs.organisation == elsewhere.id
    assert [team.name for team in (await alone.owners.list(Team, them)).data] == ["Theirs"]
    assert [team.name for team in (await alone.owners.list(Team, None, organisation=elsewhere.id)).data] == ["Theirs"]
    for hidden in (
        alone.owners.find(Team, them, ours.id),
        alone.owners.change(Team, them, ours.id, {"name": "Taken over"}),
        alone.owners.remove(Team, them, ours.id),
        alone.owners.list(Project, them, team=ours.id),
        alone.owners.list(Team, them, organisation=ours.organisation),
    ):
        with pytest.raises(NotFound):
            await hidden
    for refused in (
        alone.owners.add_project(them, "Sneaky", team=ours.id),
        alone.owners.add_team(them, "Sneaky", ours.organisation),
        alone.owners.change(Project, them, (await alone.owners.add_project(them, "Bot")).id, {"team": ours.id}),
    ):
        with pytest.raises(RequestError, match="there is none with the id"):
            await refused
    with pytest.raises(Forbidden):
        await alone.owners.remove(Organisation, them, elsewhere.id)
    # The same name in two organisations is two teams.
    assert (await alone.owners.add_team(them, "Ours")).id != ours.id
    assert (await alone.owners.find(Team, None, ours.id)).name == "Ours"


async def test_a_team_of_another_organisation_takes_nobody_in(alone: Process) -> None:
    elsewhere = await alone.owners.add_organisation(None, "Elsewhere")
    theirs = await alone.owners.add_team(None, "Theirs", elsewhere.id)
    person = await alone.owners.add_person(None, "Ada")
    with pytest.raises(RequestError, match="must lie in the same organisation"):
        await alone.owners.change(Person, None, person.id, {"team": theirs.id})
    with pytest.raises(RequestError, match="must lie in the same organisation"):
        await alone.owners.add_project(None, "Bot", person.organisation, theirs.id)


async def test_lists_go_on_where_they_ended_newest_first(alone: Process) -> None:
    made = [(await alone.owners.add_person(None, f"Person {n}")).id for n in range(5)]
    first = await alone.owners.list(Person, None, limit=2)
    rest = await alone.owners.list(Person, None, limit=3, cursor=first.next_cursor)
    assert [p.id for p in (*first.data, *rest.data)] == made[::-1]
    assert rest.next_cursor is None


async def test_a_change_of_nothing_is_none(alone: Process) -> None:
    team = await alone.owners.add_team(None, "Platform")
    assert await alone.owners.change(Team, None, team.id, {}) == team
    assert await alone.owners.change(Team, None, team.id, {"name": " Platform "}) == team


async def test_home_is_made_once(alone: Process) -> None:
    before = (await alone.owners.list(Organisation, None)).data
    await alone.owners.ensure_home()
    assert (await alone.owners.list(Organisation, None)).data == before
    assert [(o.name, o.home) for o in before] == [("Default", True)]
    assert [p.name for p in (await alone.owners.list(Project, None)).data] == ["default"]

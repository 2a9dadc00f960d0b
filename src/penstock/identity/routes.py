"""The JSON routes of identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from penstock.identity.model import Key, KeyWithSecret, Listing, Organisation, Person, Project, Team
from penstock.identity.service import KeyChange, NewKey, People
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route


class NewOrganisation(Struct, frozen=True, kw_only=True):
    """An organisation to be made."""

    name: str


class NewTeam(Struct, frozen=True, kw_only=True):
    """A team to be made; of the home organisation unless another is named."""

    name: str
    organisation: str | None = None


class NewProject(Struct, frozen=True, kw_only=True):
    """A project to be made, of a team or none."""

    name: str
    organisation: str | None = None
    team: str | None = None


class NewPerson(Struct, frozen=True, kw_only=True):
    """A person to be made known."""

    name: str
    organisation: str | None = None
    team: str | None = None
    email: str | None = None


class Rotation(Struct, frozen=True, kw_only=True):
    """How long the old secrets still work; the setting when left out."""

    grace_seconds: float | None = None


class PageQuery(Struct, frozen=True, kw_only=True):
    """A page of a list, of one organisation or of all."""

    organisation: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class OrganisationQuery(Struct, frozen=True, kw_only=True):
    """A page of a list."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class KeyQuery(PageQuery, frozen=True, kw_only=True):
    """Which keys are meant."""

    team: str | None = None
    project: str | None = None
    person: str | None = None
    state: Literal["live", "expired", "revoked"] | None = None
    search: str = ""


def routes(people: People) -> Sequence[Route]:
    """All routes of identity."""

    async def list_organisations(ask: Ask) -> Listing[Organisation]:
        query = ask.query(OrganisationQuery)
        return await people.listed(Organisation, {}, query.cursor, query.limit)

    async def list_teams(ask: Ask) -> Listing[Team]:
        query = ask.query(PageQuery)
        return await people.listed(Team, _of(query), query.cursor, query.limit)

    async def list_projects(ask: Ask) -> Listing[Project]:
        query = ask.query(PageQuery)
        return await people.listed(Project, _of(query), query.cursor, query.limit)

    async def list_people(ask: Ask) -> Listing[Person]:
        query = ask.query(PageQuery)
        return await people.listed(Person, _of(query), query.cursor, query.limit)

    async def add_organisation(ask: Ask) -> Organisation:
        return await people.add_organisation(ask.body(NewOrganisation).name)

    async def add_team(ask: Ask) -> Team:
        new = ask.body(NewTeam)
        return await people.add_team(new.name, new.organisation)

    async def add_project(ask: Ask) -> Project:
        new = ask.body(NewProject)
        return await people.add_project(new.name, new.organisation, new.team)

    async def add_person(ask: Ask) -> Person:
        new = ask.body(NewPerson)
        return await people.add_person(new.name, new.organisation, new.team, new.email)

    async def list_keys(ask: Ask) -> Listing[Key]:
        query = ask.query(KeyQuery)
        where = {n: v for n in ("organisation", "team", "project", "person") if (v := getattr(query, n)) is not None}
        return await people.keys(state=query.state, search=query.search, where=where, cursor=query.cursor, limit=query.limit)

    async def add_key(ask: Ask) -> KeyWithSecret:
        return await people.create_key(ask.body(NewKey), created_by=ask.principal.key_id)

    async def get_key(ask: Ask) -> Key:
        return await people.key(ask.path["id"])

    async def change_key(ask: Ask) -> Key:
        return await people.change_key(ask.path["id"], ask.body(KeyChange))

    async def rotate(ask: Ask) -> KeyWithSecret:
        return await people.rotate_key(ask.path["id"], ask.body(Rotation).grace_seconds)

    async def revoke(ask: Ask) -> Key:
        return await people.revoke_key(ask.path["id"])

    read, admin = Scope.READ, Scope.ADMIN
    made: list[Route] = []
    for noun, lister, adder, new, kind, query in (
        ("organisations", list_organisations, add_organisation, NewOrganisation, Organisation, OrganisationQuery),
        ("teams", list_teams, add_team, NewTeam, Team, PageQuery),
        ("projects", list_projects, add_project, NewProject, Project, PageQuery),
        ("people", list_people, add_person, NewPerson, Person, PageQuery),
    ):
        path = f"/v1/{noun}"
        many = Listing[kind]  # type: ignore[valid-type]
        made.append(Route(method="GET", path=path, handler=lister, summary=f"List {noun}.", scope=read, query=query, returns=many))
        made.append(
            Route(method="POST", path=path, handler=adder, summary=f"Add to the {noun}.", scope=admin, body=new, returns=kind, status=201)
        )
    made += [
        Route(
            method="GET",
            path="/v1/keys",
            handler=list_keys,
            summary="List keys, without secrets.",
            scope=read,
            query=KeyQuery,
            returns=Listing[Key],
        ),
        Route(
            method="POST",
            path="/v1/keys",
            handler=add_key,
            summary="Make a key; its secret is told this once.",
            scope=admin,
            body=NewKey,
            returns=KeyWithSecret,
            status=201,
        ),
        Route(method="GET", path="/v1/keys/{id}", handler=get_key, summary="Show a key.", scope=read, returns=Key),
        Route(
            method="PATCH",
            path="/v1/keys/{id}",
            handler=change_key,
            summary="Change a key's terms.",
            scope=admin,
            body=KeyChange,
            returns=Key,
        ),
        Route(
            method="POST",
            path="/v1/keys/{id}/rotate",
            handler=rotate,
            summary="Give a key a new secret.",
            scope=admin,
            body=Rotation,
            returns=KeyWithSecret,
        ),
        Route(method="POST", path="/v1/keys/{id}/revoke", handler=revoke, summary="End a key for good.", scope=admin, returns=Key),
    ]
    return made


def _of(query: PageQuery) -> dict[str, str]:
    return {"organisation": query.organisation} if query.organisation is not None else {}

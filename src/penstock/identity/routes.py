"""The JSON routes of identity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from penstock.identity.keys import KeyChange, Keys, NewKey
from penstock.identity.model import Key, KeyWithSecret, Listing, Organisation, Person, Project, Team
from penstock.identity.owners import Owners
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Nothing, Route


class NewOrganisation(Struct, frozen=True, kw_only=True):
    """An organisation to be made."""

    name: str


class NewTeam(Struct, frozen=True, kw_only=True):
    """A team to be made; of the asker's organisation unless another is named."""

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


class Renaming(Struct, frozen=True, kw_only=True):
    """Another name for an organisation or a team."""

    name: str


class ProjectChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may change on a project; fields that are absent stay. Its keys move with it to another team."""

    name: str | UnsetType = UNSET
    team: str | UnsetType | None = UNSET


class PersonChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may change about a person; fields that are absent stay."""

    name: str | UnsetType = UNSET
    team: str | UnsetType | None = UNSET
    email: str | UnsetType | None = UNSET


class Rotation(Struct, frozen=True, kw_only=True):
    """How long the old secrets still work, in seconds; the setting when left out."""

    grace_seconds: float | None = None


class OrganisationQuery(Struct, frozen=True, kw_only=True):
    """A page of a list."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class OwnerQuery(OrganisationQuery, frozen=True, kw_only=True):
    """A page of a list, of one organisation or of all that the asker may see."""

    organisation: str | None = None


class KeyQuery(OwnerQuery, frozen=True, kw_only=True):
    """Which keys are meant."""

    team: str | None = None
    project: str | None = None
    person: str | None = None
    state: Literal["live", "expired", "revoked"] | None = None
    search: str = ""


def routes(owners: Owners, keys: Keys) -> Sequence[Route]:
    """All routes of identity."""

    async def add_organisation(ask: Ask) -> Organisation:
        return await owners.add_organisation(ask.principal, ask.body(NewOrganisation).name)

    async def add_team(ask: Ask) -> Team:
        new = ask.body(NewTeam)
        return await owners.add_team(ask.principal, new.name, new.organisation)

    async def add_project(ask: Ask) -> Project:
        new = ask.body(NewProject)
        return await owners.add_project(ask.principal, new.name, new.organisation, new.team)

    async def add_person(ask: Ask) -> Person:
        new = ask.body(NewPerson)
        return await owners.add_person(ask.principal, new.name, new.email, new.organisation, new.team)

    return [
        *_owner_routes(owners, "organisations", Organisation, OrganisationQuery, NewOrganisation, Renaming, add_organisation),
        *_owner_routes(owners, "teams", Team, OwnerQuery, NewTeam, Renaming, add_team),
        *_owner_routes(owners, "projects", Project, OwnerQuery, NewProject, ProjectChange, add_project),
        *_owner_routes(owners, "people", Person, OwnerQuery, NewPerson, PersonChange, add_person),
        *_key_routes(keys),
    ]


def _owner_routes(
    owners: Owners,
    noun: str,
    kind: type[Any],
    query: type[Any],
    new: type[Struct],
    change: type[Struct],
    add: Callable[[Ask], Awaitable[Any]],
) -> Sequence[Route]:
    async def list_all(ask: Ask) -> Listing[Any]:
        asked: OwnerQuery | OrganisationQuery = ask.query(query)
        organisation = asked.organisation if isinstance(asked, OwnerQuery) else None
        return await owners.list(kind, ask.principal, organisation=organisation, cursor=asked.cursor, limit=asked.limit)

    async def get(ask: Ask) -> Any:
        return await owners.find(kind, ask.principal, ask.path["id"])

    async def put(ask: Ask) -> Any:
        return await owners.change(kind, ask.principal, ask.path["id"], msgspec.structs.asdict(ask.body(change)))

    async def remove(ask: Ask) -> None:
        await owners.remove(kind, ask.principal, ask.path["id"])

    one = {"organisations": "an organisation", "teams": "a team", "projects": "a project", "people": "a person"}[noun]
    many, path = Listing[kind], f"/v1/{noun}"  # type: ignore[valid-type]
    read, admin = Scope.READ, Scope.ADMIN
    return (
        Route(method="GET", path=path, handler=list_all, summary=f"List {noun}.", scope=read, query=query, returns=many),
        Route(method="POST", path=path, handler=add, summary=f"Add {one}.", scope=admin, body=new, returns=kind, status=201),
        Route(method="GET", path=f"{path}/{{id}}", handler=get, summary=f"Show {one}.", scope=read, returns=kind),
        Route(method="PATCH", path=f"{path}/{{id}}", handler=put, summary=f"Change {one}.", scope=admin, body=change, returns=kind),
        Route(
            method="DELETE",
            path=f"{path}/{{id}}",
            handler=remove,
            summary=f"Remove {one} that nothing refers to.",
            scope=admin,
            returns=Nothing,
        ),
    )


def _key_routes(keys: Keys) -> Sequence[Route]:
    async def list_keys(ask: Ask) -> Listing[Key]:
        query = ask.query(KeyQuery)
        where = {n: v for n in ("team", "project", "person") if (v := getattr(query, n)) is not None}
        return await keys.list(
            ask.principal,
            state=query.state,
            search=query.search,
            organisation=query.organisation,
            where=where,
            cursor=query.cursor,
            limit=query.limit,
        )

    async def add(ask: Ask) -> KeyWithSecret:
        return await keys.create(ask.principal, ask.body(NewKey))

    async def get(ask: Ask) -> Key:
        return await keys.find(ask.principal, ask.path["id"])

    async def change(ask: Ask) -> Key:
        return await keys.change(ask.principal, ask.path["id"], ask.body(KeyChange))

    async def rotate(ask: Ask) -> KeyWithSecret:
        return await keys.rotate(ask.principal, ask.path["id"], ask.body(Rotation).grace_seconds)

    async def revoke(ask: Ask) -> Key:
        return await keys.revoke(ask.principal, ask.path["id"])

    path, read, admin = "/v1/keys", Scope.READ, Scope.ADMIN
    one = f"{path}/{{id}}"
    secret = KeyWithSecret
    return (
        Route(
            method="GET",
            path=path,
            handler=list_keys,
            summary="List keys, without secrets.",
            scope=read,
            query=KeyQuery,
            returns=Listing[Key],
        ),
        Route(
            method="POST",
            path=path,
            handler=add,
            summary="Make a key; its secret is told this once.",
            scope=admin,
            body=NewKey,
            returns=secret,
            status=201,
        ),
        Route(method="GET", path=one, handler=get, summary="Show a key.", scope=read, returns=Key),
        Route(method="PATCH", path=one, handler=change, summary="Change a key's terms.", scope=admin, body=KeyChange, returns=Key),
        Route(
            method="POST",
            path=f"{one}/rotate",
            handler=rotate,
            summary="Give a key a new secret.",
            scope=admin,
            body=Rotation,
            returns=secret,
        ),
        Route(method="POST", path=f"{one}/revoke", handler=revoke, summary="End a key for good.", scope=admin, returns=Key),
    )

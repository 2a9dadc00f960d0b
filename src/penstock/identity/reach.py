"""How far somebody's hand reaches: who administers the installation everywhere, everyone else in their own organisation.

``actor`` is whoever asks, None for a command on this machine, which reaches everywhere. What lies out of reach does not exist.
"""

from __future__ import annotations

from sqlalchemy import Connection

from penstock.identity import check, store
from penstock.identity.model import Organisation, Person, Project, Team
from penstock.identity.store import Owner
from penstock.kernel.errors import Forbidden, NotFound, RequestError
from penstock.kernel.principal import Principal

NOUNS = {Organisation: "organisation", Team: "team", Project: "project", Person: "person"}


def reach(actor: Principal | None) -> str | None:
    """The organisation to which ``actor`` is confined; None for no bounds."""
    return None if actor is None else actor.reach


def wanted(connection: Connection, kind: type[Owner], id: str, actor: Principal | None) -> Owner:
    """The owner with this id. Raises `NotFound` for one that is not there or lies out of reach, which look the same."""
    found = within(connection, kind, check.id(id, NOUNS[kind]), actor)
    if found is None:
        raise NotFound(f"there is no {NOUNS[kind]} {id!r}")
    return found


def named(connection: Connection, kind: type[Owner], id: str, actor: Principal | None) -> Owner:
    """Like `wanted`, for what a body refers to: what is missing is then a fault of the request. Raises `RequestError`."""
    found = within(connection, kind, id, actor) if check.is_id(id) else None
    if found is None:
        raise RequestError(f"{NOUNS[kind]}: there is none with the id {id[:60]!r}", param=NOUNS[kind])
    return found


def within(connection: Connection, kind: type[Owner], id: str, actor: Principal | None) -> Owner | None:
    """The owner with this id, None when it is not there or lies out of reach."""
    found = store.find(connection, kind, id)
    bound = reach(actor)
    return found if found is not None and bound in (None, organisation_of(found)) else None


def organisation_of(owner: Organisation | Team | Project | Person) -> str:
    """The organisation that an owner is or lies in."""
    return owner.id if isinstance(owner, Organisation) else owner.organisation


def home_only(actor: Principal | None) -> None:
    """Raise `Forbidden` unless ``actor`` may act on organisations themselves."""
    if reach(actor) is not None:
        raise Forbidden("only administrators of the organisation that runs this installation may do this")


def organisation_for(
    connection: Connection, actor: Principal | None, organisation: str | None, *parents: Team | Project | Person | None
) -> str:
    """The organisation in which to make something: as asked, the one of its parents, the actor's, or home.

    Raises `RequestError` when these are not one and the same, or when there is no organisation yet.
    """
    places = {organisation_of(parent) for parent in parents if parent is not None}
    if organisation is not None:
        places.add(named(connection, Organisation, organisation, actor).id)
    if len(places) > 1:
        raise RequestError("organisation, team and project must lie in the same organisation", param="organisation")
    if places:
        return places.pop()
    if actor is not None:
        return actor.organisation
    home = store.home(connection)
    if home is None:
        raise RequestError("organisation: there is none yet; start Penstock once, or make one first", param="organisation")
    return home.id

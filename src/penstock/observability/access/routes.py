"""Who opened prompts and replies, and taking away everything of one person, as JSON routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from penstock.kernel.errors import Forbidden
from penstock.kernel.journal import JOURNAL
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Ask, Route
from penstock.observability.access.erasing import Erased, Erasing
from penstock.observability.access.service import PayloadAccess, told
from penstock.observability.access.trail import Access


class AccessQuery(Struct, frozen=True, kw_only=True):
    """Lines about one ``subject`` (a call's id, ``trace/span``) or about all, from below the line ``before``. ``check`` follows the whole
    trail from its beginning. ``organisation``: another one's, for who runs the installation."""

    subject: str | None = None
    before: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    check: bool = False
    organisation: str | None = None


class AccessList(Struct, frozen=True, kw_only=True):
    """Lines, newest first. ``broken_at`` is the first line that does not follow from the one before it, None when nothing was changed or
    taken out, or nobody asked (``checked``)."""

    data: list[Access]
    checked: bool
    broken_at: int | None = None


class WhoseQuery(Struct, frozen=True, kw_only=True):
    """Whose person; another organisation's, for who runs the installation."""

    organisation: str | None = None


def access_routes(access: PayloadAccess, erasing: Erasing) -> Sequence[Route]:
    """The routes of this folder."""

    async def lines(ask: Ask) -> AccessList:
        query = ask.query(AccessQuery)
        whose = _whose(ask.principal, query.organisation)
        found = await access.lines(whose, query.subject, query.before, query.limit)
        return AccessList(data=list(found), checked=query.check, broken_at=await access.broken(whose) if query.check else None)

    async def erase(ask: Ask) -> Erased:
        whose = _whose(ask.principal, ask.query(WhoseQuery).organisation)
        person = ask.path["person"]
        # First, so that nothing goes without a line; an erasure that fails half way is asked for again.
        await access.note(ask.principal, "erased", "person", told(person), whose, "api")
        return await erasing.erase(whose, person)

    return (
        Route(
            method="GET",
            path="/v1/payloads/access",
            handler=lines,
            summary="Who opened prompts and replies.",
            scope=Scope.ADMIN,
            query=AccessQuery,
            returns=AccessList,
        ),
        Route(
            method="DELETE",
            path="/v1/people/{person}/records",
            handler=erase,
            summary="Erase a person's spans, prompts and replies.",
            scope=Scope.ADMIN,
            query=WhoseQuery,
            returns=Erased,
            holding=JOURNAL,  # runs go too
        ),
    )


def _whose(reader: Principal, organisation: str | None) -> str:
    if organisation is None or organisation == reader.organisation:
        return reader.organisation
    if reader.reach is not None:
        raise Forbidden("only who runs the installation may ask for another organisation", param="organisation")
    return organisation

"""The JSON routes of observability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from penstock.kernel.ports import Ports
from penstock.kernel.principal import Scope
from penstock.kernel.recall import Prices
from penstock.kernel.web import Ask, Route
from penstock.observability.access.service import PayloadAccess
from penstock.observability.service import CallFilter, CallPage, CallRow, Group, Overview, Payload, Questions
from penstock.observability.why import Why, explain


class CallQuery(CallFilter, frozen=True, kw_only=True):
    """A filter, a page size, and where the last page ended."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class OverviewQuery(Struct, frozen=True, kw_only=True):
    """How far back, and what to group by."""

    seconds: Annotated[int, Meta(ge=60, le=400 * 86_400)] = 3600
    group: Group = "model"


def routes(questions: Questions, ports: Ports, access: PayloadAccess) -> Sequence[Route]:
    """All routes of observability."""

    async def list_calls(ask: Ask) -> CallPage:
        query = ask.query(CallQuery)
        return await questions.calls(ask.principal, query, query.cursor, query.limit)

    async def get_call(ask: Ask) -> CallRow:
        return await questions.call(ask.principal, ask.path["id"])

    async def get_why(ask: Ask) -> Why:
        return explain(await questions.call(ask.principal, ask.path["id"]), ports.find(Prices))

    async def get_payload(ask: Ask) -> Payload:
        access.require(ask.principal)
        found = await questions.payload(ask.principal, ask.path["id"])
        if found.kept:
            await access.note(ask.principal, "opened", "call", ask.path["id"], found.organisation, "api")
        return found

    async def overview(ask: Ask) -> Overview:
        query = ask.query(OverviewQuery)
        return await questions.overview(ask.principal, query.seconds, query.group)

    read = Scope.READ
    return (
        Route(method="GET", path="/v1/calls", handler=list_calls, summary="List calls.", scope=read, query=CallQuery, returns=CallPage),
        Route(method="GET", path="/v1/calls/{id}", handler=get_call, summary="Show a call.", scope=read, returns=CallRow),
        Route(method="GET", path="/v1/calls/{id}/why", handler=get_why, summary="Why this model?", scope=read, returns=Why),
        Route(
            method="GET",
            path="/v1/calls/{id}/payload",
            handler=get_payload,
            summary="Show a call's prompt and reply.",
            scope=read,
            returns=Payload,
        ),
        Route(
            method="GET", path="/v1/overview", handler=overview, summary="What happened.", scope=read, query=OverviewQuery, returns=Overview
        ),
    )

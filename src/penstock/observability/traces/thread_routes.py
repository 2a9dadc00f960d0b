"""Conversations over the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route
from penstock.observability.traces.routes import OFF, SearchQuery
from penstock.observability.traces.threads import Conversation, Conversations, ThreadPage


class ConversationQuery(Struct, frozen=True, kw_only=True):
    """Whose conversation, for who sees several organisations, and where the last page ended."""

    organisation: Annotated[str, Meta(max_length=200)] = ""
    cursor: Annotated[str, Meta(max_length=200)] = ""


def thread_routes(conversations: Conversations) -> Sequence[Route]:
    """The list, and one conversation."""

    async def threads(ask: Ask) -> ThreadPage:
        query = ask.query(SearchQuery)
        return await conversations.list(ask.principal, query, query.cursor, query.limit)

    async def one(ask: Ask) -> Conversation:
        query = ask.query(ConversationQuery)
        return await conversations.one(ask.principal, ask.path["session"], query.organisation, query.cursor)

    return (
        Route(
            method="GET",
            path="/v1/threads",
            handler=threads,
            summary="List conversations.",
            scope=Scope.READ,
            query=SearchQuery,
            returns=ThreadPage,
            failures=OFF,
        ),
        Route(
            method="GET",
            path="/v1/threads/{session:path}",
            handler=one,
            summary="Show a conversation.",
            scope=Scope.READ,
            query=ConversationQuery,
            returns=Conversation,
            failures=OFF,
        ),
    )

"""What agents remember, as everyone sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

Scope = Literal["person", "team", "agent"]
"""Whose memory it is: a person's, a team's, or the agent's own."""


class Owner(Struct, frozen=True):
    """Whose memory: ``id`` is the person's or team's, or the agent's name."""

    scope: Scope
    id: str


class Memory(Struct, frozen=True, kw_only=True):
    """One thing that is remembered. Times are Unix seconds. ``agent`` and ``run`` say where it comes from, empty where a person wrote it;
    ``person`` is for whom that run worked, or who wrote it."""

    id: str
    scope: Scope
    owner: str
    text: str
    labels: list[str]
    agent: str
    run: str
    person: str
    created_at: float
    used_at: float
    expires_at: float


class Thread(Struct, frozen=True, kw_only=True):
    """A conversation of an agent with a person; ``person`` is empty where it is with nobody in particular. Times are Unix seconds."""

    id: str
    organisation: str
    agent: str
    person: str
    title: str
    created_at: float
    updated_at: float


class ThreadMessage(Struct, frozen=True, kw_only=True):
    """Something said in a thread; ``number`` counts from 1, ``run`` is the one in which it was said."""

    number: int
    run: str
    role: Literal["user", "assistant"]
    text: str
    at: float


class Recollection(Protocol):
    """The long-term memory that one run of an agent may use."""

    async def remember(self, text: str, scope: Scope, *, labels: Sequence[str] = (), days: float | None = None, key: str = "") -> Memory:
        """Keep it for the owner of that scope; once under one ``key``. Raises `RequestError` where there is none, or it cannot be kept."""
        ...

    async def recall(self, query: str, scope: Scope | None = None, *, label: str = "", most: int = 10) -> list[Memory]:
        """What has to do with the query, the best first."""
        ...

    async def forget(self, id: str) -> None:
        """Delete one. Raises `NotFound`, also for what the run may not see."""
        ...

"""The nouns of identity as they are stored and shown: organisation, team, project, person, key. Times are Unix seconds."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from penstock.kernel.principal import Limits, Scope


class Organisation(msgspec.Struct, frozen=True, kw_only=True):
    """A customer of the installation; ``home`` is the one that runs it, whose admins may see and change all others."""

    id: str
    name: str
    home: bool
    created_at: float


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """People and projects of one organisation that belong together."""

    id: str
    organisation: str
    name: str
    created_at: float


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """What keys are made for: one application, in one organisation, of one team or none."""

    id: str
    organisation: str
    team: str | None
    name: str
    created_at: float


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody of one organisation, of one team or none."""

    id: str
    organisation: str
    team: str | None
    name: str
    email: str | None
    created_at: float


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret, of which only the last four characters are known.

    ``state`` is ``live``, ``expired`` or ``revoked`` at the moment of asking. ``previous_until`` is when the last of the secrets that a
    rotation replaced stops working, None when none works. ``created_by`` is the id of the key that asked for this one, None for a command.
    ``last_used_at`` is when it was last accepted, for a call, a request or a signed-in browser's, None for never; uses in other processes
    show up there within about a minute.
    """

    id: str
    name: str
    organisation: str
    team: str | None
    project: str | None
    person: str | None
    scopes: tuple[Scope, ...]
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    limits: Limits
    last4: str
    state: str
    created_at: float
    created_by: str | None
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None
    previous_until: float | None


class KeyWithSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was just made or rotated, with its secret: the only time it is shown."""

    key: Key
    secret: str

    def __repr__(self) -> str:
        # A repr ends up in logs.
        return f"KeyWithSecret(key={self.key.id!r})"


T = TypeVar("T")


class Listing(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list, newest first. ``next_cursor`` asks for the next page; None on the last."""

    data: list[T]
    next_cursor: str | None = None

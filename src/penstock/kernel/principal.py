"""Who is calling, as every room sees it: the owner chain of a key, what it may do, and its limits."""

from __future__ import annotations

import enum

import msgspec


class Scope(enum.StrEnum):
    """What a key may do. A key holds one or more; ``ADMIN`` implies the other two."""

    CALL = "call"
    READ = "read"
    ADMIN = "admin"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Rates and concurrency granted to one key; None means unlimited.

    ``requests_per_minute`` and ``tokens_per_minute`` are sustained rates with a burst of one minute's worth; tokens count input
    and output. ``concurrency`` is the number of calls in flight.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The owner chain of a key (organisation > team > project > person), by id, with what the key may do.

    ``models`` and ``tasks`` are allow-lists of names, where a trailing ``*`` stands for any rest; empty means all.
    ``expires_at`` is Unix seconds, None when the key does not expire. ``name`` is the key's label and safe to show. ``home`` says that the
    organisation is the one that runs the installation.
    """

    key_id: str
    name: str
    organisation: str
    team: str | None = None
    project: str | None = None
    person: str | None = None
    scopes: frozenset[Scope] = frozenset({Scope.CALL})
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    limits: Limits = Limits()
    expires_at: float | None = None
    home: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the key, and of the person that it belongs to."""
        return (self.key_id,) if self.person is None else (self.key_id, self.person)

    @property
    def reach(self) -> str | None:
        """The organisation to whose things this key is confined; None, for all, when it administers the installation."""
        return None if self.home and Scope.ADMIN in self.scopes else self.organisation

    def may(self, scope: Scope) -> bool:
        """Whether this key holds ``scope``, directly or through ``ADMIN``."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def may_use_model(self, model: str) -> bool:
        """Whether the allow-list lets this key call ``model``."""
        return allows(self.models, model)

    def may_use_task(self, task: str) -> bool:
        """Whether the allow-list lets this key call ``task``."""
        return allows(self.tasks, task)


def allows(patterns: tuple[str, ...], name: str) -> bool:
    """Whether ``name`` matches one of ``patterns`` (exact, or a prefix before a trailing ``*``); no patterns allow all."""
    if not patterns:
        return True
    return any(name == p or (p.endswith("*") and name.startswith(p[:-1])) for p in patterns)

"""The few protocols through which capabilities reach each other, and the registry in which `app.py` wires them.

A capability provides an implementation in its `Offer.ports` and asks for others with `Ports.get` once everything is open (in a service's
``start`` or later), so the order in which capabilities are listed does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar, cast

import msgspec

from penstock.kernel.journal import Journal
from penstock.kernel.principal import Principal

P = TypeVar("P")


class Ports:
    """Implementations by protocol. Storage seams (`Records`, `Counters`), the console and the ports below all live here."""

    def __init__(self) -> None:
        self._held: dict[type[Any], object] = {}

    def provide(self, kind: type[P], implementation: P) -> None:
        """Register the one implementation of ``kind``; a second one is a wiring mistake and raises RuntimeError."""
        if kind in self._held:
            raise RuntimeError(f"two capabilities provide {kind.__name__}")
        self._held[kind] = implementation

    def get(self, kind: type[P]) -> P:
        """The implementation of ``kind``; RuntimeError names what is missing."""
        found = self.find(kind)
        if found is None:
            raise RuntimeError(f"nothing provides {kind.__name__}: the capability that does is not in the house")
        return found

    def find(self, kind: type[P]) -> P | None:
        """The implementation of ``kind``, or None when no capability provides it."""
        return cast("P | None", self._held.get(kind))


class Authenticator(Protocol):
    """Turns a credential into a principal, from memory, in microseconds."""

    def authenticate(self, credential: str | None) -> Principal:
        """The principal of a live key. Raises `Unauthenticated` for none, an unknown, an expired or a revoked one."""
        ...


class Sessions(Protocol):
    """Browser sessions of people who signed in to the console with a key."""

    async def open(self, credential: str) -> tuple[str, float]:
        """Sign in: a new session token (a secret, for the cookie) and its expiry in Unix seconds. Raises `Unauthenticated`."""
        ...

    def principal(self, token: str) -> Principal | None:
        """Who the token belongs to, None when unknown, expired, or when the key behind it is gone."""
        ...

    async def close(self, token: str) -> None:
        """Sign out; an unknown token is ignored."""
        ...


class FirstKey(Protocol):
    """How a fresh installation gets its first key."""

    async def configured(self) -> bool:
        """Whether a live key exists that somebody made on purpose."""
        ...

    async def ensure(self) -> str | None:
        """Make an admin key when no key exists at all; its secret, which is told this once, or None."""
        ...


class Directory(Protocol):
    """Names of organisations, teams, projects, people and keys, for showing; from memory."""

    def name(self, id: str | None) -> str:
        """The name behind an id; the id itself when it is unknown, an em dash for None."""
        ...


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One measure in Prometheus terms: samples are pairs of labels and value; a counter only grows."""

    name: str
    help: str
    kind: str
    samples: tuple[tuple[Mapping[str, str], float], ...]


class MetricSource(Protocol):
    """Something that can be asked for its current measures; called on every scrape, must be quick."""

    def metrics(self) -> Iterable[Metric]: ...


class MetricSources(list[MetricSource]):
    """All sources that the capabilities offered; filled by `app.py` once everything is open."""


__all__ = [
    "Authenticator",
    "Directory",
    "FirstKey",
    "Journal",
    "Metric",
    "MetricSource",
    "MetricSources",
    "Ports",
    "Sessions",
]

"""All keys in memory: who a credential belongs to, in a microsecond, and the names behind ids."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from penstock.kernel.errors import Unauthenticated
from penstock.kernel.events import Events, KeyRevoked
from penstock.kernel.ports import Metric
from penstock.kernel.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.identity.model import Key
    from penstock.identity.store import Changes

ABSENT = "no API key: send it as 'Authorization: Bearer psk_...' or in the x-api-key header"


class _Entry:
    """What one secret stands for. ``ends_at`` is infinite when it never expires."""

    __slots__ = ("ends_at", "principal", "revoked")

    def __init__(self, principal: Principal, ends_at: float, revoked: bool) -> None:
        self.principal = principal
        self.ends_at = ends_at
        self.revoked = revoked


class Keyring:
    """`Authenticator`, `Directory`, `Holders`, `Membership` and `Standings`. Empty until the first `apply`; knows nothing of the database.

    Revoked and expired keys stay in it, so that their holders hear what is wrong. Expiry is judged at each use. Memory is about 1 kB
    a key.
    """

    def __init__(self, events: Events, clock: Callable[[], float] = time.time) -> None:
        self._events = events
        self._clock = clock
        self._entries: dict[bytes, _Entry] = {}
        self._digests: dict[str, set[bytes]] = {}
        self._names: dict[str, str] = {}
        self.home = ""
        """See `Directory.home`."""
        self.used: dict[str, float] = {}
        """When each key was last accepted, by id, until somebody writes that down and takes it out (`penstock.identity.uses`)."""

    def authenticate(self, credential: str | None) -> Principal:
        """The principal of a live key.

        Raises `Unauthenticated` with the code ``missing_api_key``, ``invalid_api_key``, ``expired_api_key`` or ``revoked_api_key``. A
        dictionary lookup of the digest takes as long for a near miss as for nonsense: nobody can choose a SHA-256 digest's first bytes.
        """
        if not credential:
            raise Unauthenticated(ABSENT, code="missing_api_key")
        entry = self._entries.get(sha256(credential.encode("utf-8", "surrogateescape")).digest())
        if entry is None:
            raise Unauthenticated("this API key is not known here; check it, or make another with `penstock keys create`")
        now = self._clock()
        if entry.revoked or now >= entry.ends_at:
            raise _refusal(entry)
        principal = entry.principal
        self.used[principal.key_id] = now
        return principal

    def holder(self, digest: bytes) -> Principal | None:
        """The principal behind the digest of a secret while that secret is live, else None; a use like `authenticate`."""
        entry = self._entries.get(digest)
        now = self._clock()
        if entry is None or entry.revoked or now >= entry.ends_at:
            return None
        self.used[entry.principal.key_id] = now
        return entry.principal

    def holder_of(self, key_id: str) -> Principal:
        """The principal of a key, as `authenticate` gives it for one of the key's secrets that is live; a use like it."""
        entry, now = self._entry_of(key_id), self._clock()
        if entry is None:
            raise Unauthenticated(f"the API key {key_id!r} is not known here", code="invalid_api_key")
        if entry.revoked or now >= entry.ends_at:
            raise _refusal(entry)
        self.used[key_id] = now
        return entry.principal

    def has_left(self, organisation: str, person: str) -> bool:
        """See `Membership.has_left`. Looks at every key: a microsecond each."""
        now = self._clock()
        theirs = [one for one in self._entries.values() if one.principal.person == person and one.principal.organisation == organisation]
        return bool(theirs) and all(one.revoked or now >= one.ends_at for one in theirs)

    def standing(self, key_id: str) -> Principal | None:
        """See `penstock.kernel.ports.Standings`."""
        entry = self._entry_of(key_id)
        return None if entry is None or entry.revoked or self._clock() >= entry.ends_at else entry.principal

    def _entry_of(self, key_id: str) -> _Entry | None:
        """What a key's secrets stand for, by the one that lasts longest: a key that was exchanged has an older one too."""
        found = [self._entries[digest] for digest in self._digests.get(key_id, ())]
        return max(found, key=lambda one: (not one.revoked, one.ends_at), default=None)

    def name(self, id: str | None) -> str:
        """The name behind an id; the id itself when it is unknown, an em dash for None."""
        if id is None:
            return "—"
        return self._names.get(id, id)

    def apply(self, changes: Changes) -> None:
        """Take in what changed, and publish `KeyRevoked` for every key that was live here and is revoked now."""
        self._names.update(changes.names)
        self.home = changes.home or self.home
        keys = {key.id: key for key in changes.keys}
        ends = {key: set[bytes]() for key in keys}
        for secret in changes.secrets:
            ends[secret.key].add(secret.digest)
        gone = [key for key in changes.keys if key.revoked_at is not None and self._is_live(key.id)]
        if changes.whole:
            ends.update({key: set[bytes]() for key in self._digests if key not in ends})
        for key, digests in ends.items():
            for digest in self._digests.get(key, set()) - digests:
                del self._entries[digest]
            if digests:
                self._digests[key] = digests
            else:
                self._digests.pop(key, None)
        for secret in changes.secrets:
            key = keys[secret.key]
            ends_at = min(_or_never(key.expires_at), _or_never(secret.expires_at))
            self._entries[secret.digest] = _Entry(_principal(key, changes.home), ends_at, key.revoked_at is not None)
        for key in gone:
            self._events.publish(KeyRevoked(key_id=key.id, organisation=key.organisation))

    def metrics(self) -> Iterable[Metric]:
        now = self._clock()
        states = {"live": 0, "expired": 0, "revoked": 0}
        for digests in self._digests.values():
            entries = [self._entries[d] for d in digests]
            state = "revoked" if entries[0].revoked else "live" if any(now < e.ends_at for e in entries) else "expired"
            states[state] += 1
        samples = tuple(({"state": state}, float(count)) for state, count in states.items())
        yield Metric(name="penstock_keys", help="Keys known to this process, by state.", kind="gauge", samples=samples)

    def _is_live(self, key: str) -> bool:
        return any(not self._entries[digest].revoked for digest in self._digests.get(key, ()))


def _refusal(entry: _Entry) -> Unauthenticated:
    name = entry.principal.name
    if entry.revoked:
        return Unauthenticated(f"the API key {name!r} was revoked", code="revoked_api_key")
    own = entry.principal.expires_at
    if own is not None and entry.ends_at >= own:
        return Unauthenticated(f"the API key {name!r} has expired", code="expired_api_key")
    return Unauthenticated(f"this secret of the API key {name!r} was replaced by a rotation and has expired", code="expired_api_key")


def _principal(key: Key, home: str | None) -> Principal:
    return Principal(
        key_id=key.id,
        name=key.name,
        organisation=key.organisation,
        team=key.team,
        project=key.project,
        person=key.person,
        scopes=frozenset(key.scopes),
        models=key.models,
        tasks=key.tasks,
        limits=key.limits,
        expires_at=key.expires_at,
        home=key.organisation == home,
    )


def _or_never(moment: float | None) -> float:
    return math.inf if moment is None else moment

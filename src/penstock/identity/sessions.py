"""Browser sessions of people who signed in to the console with a key."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.identity import store
from penstock.identity.keyring import Keyring
from penstock.identity.secret import digest, is_session_token, new_session_token
from penstock.identity.settings import IdentitySettings
from penstock.identity.store import SessionRow
from penstock.kernel.errors import Forbidden
from penstock.kernel.principal import Principal, Scope
from penstock.storage.records import Records

if TYPE_CHECKING:
    from penstock.identity.store import Changes


LONGEST_READ = 120.0
"""Seconds after which nothing is on its way any more that was read before."""


class _Session:
    __slots__ = ("created_at", "expires_at", "moved", "secret")

    def __init__(self, row: SessionRow) -> None:
        self.secret = row.secret
        self.created_at = row.created_at
        self.expires_at = row.expires_at
        self.moved = False


class BrowserSessions:
    """`Sessions`, in the database by digest and in memory for reading.

    A session ends after ``session_hours`` without use, after ``session_days`` in any case, at once when its key is revoked, and when the
    secret that it was opened with ends (a rotation's grace). Use moves the end in memory; `flush` writes it down now and then, so
    a crash costs at most an early sign-in.
    """

    def __init__(self, records: Records, keyring: Keyring, settings: IdentitySettings, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._keyring = keyring
        self._idle = settings.session_hours * 3600
        self._longest = settings.session_days * 86_400
        self._clock = clock
        self._held: dict[bytes, _Session] = {}
        self._closed: dict[bytes, float] = {}
        """Sessions signed out here lately, with the moment: what was read before must not bring them back."""

    async def open(self, credential: str) -> tuple[str, float]:
        """Sign in: a new token and the moment at which it ends whatever happens, in Unix seconds.

        Raises `Unauthenticated` as the keyring does, `Forbidden` for a key that may not read, since it could see no page.
        """
        principal = self._keyring.authenticate(credential)
        if not principal.may(Scope.READ):
            raise Forbidden(f"the key {principal.name!r} lacks the scope 'read', which the console needs")
        token, now = new_session_token(), self._clock()
        row = SessionRow(digest(token), digest(credential), now, now + min(self._idle, self._longest))
        await self._records.write(lambda connection: store.add_session(connection, row, store.bump(connection)))
        self._held[row.digest] = _Session(row)
        return token, now + self._longest

    def principal(self, token: str) -> Principal | None:
        """Who the token belongs to; None when it is unknown or over. A use moves the end of the session."""
        session = self._held.get(digest(token))
        if session is None:
            return None
        now = self._clock()
        if now >= session.expires_at:
            return None
        end = min(now + self._idle, session.created_at + self._longest)
        # A page makes several requests; moving the end at most every sixtieth of the idle time keeps the writes few.
        if end - session.expires_at > self._idle / 60:
            session.expires_at = end
            session.moved = True
        return self._keyring.holder(session.secret)

    async def recall(self, token: str) -> Principal | None:
        """Like `principal`, and asks the database when this process has not heard of the session: another may just have opened it."""
        key = digest(token)
        if key not in self._held:
            row = await self._find(key, token)
            if row is not None and key not in self._closed:
                self._held.setdefault(key, _Session(row))
        return self.principal(token)

    async def close(self, token: str) -> None:
        """Sign out here at once, in other processes within the refresh time, whichever of them opened the session."""
        key, now = digest(token), self._clock()
        if key not in self._held and await self._find(key, token) is None:
            return
        self._closed[key] = now
        self._held.pop(key, None)
        await self._records.write(lambda connection: store.put_session_end(connection, key, now, now=now, version=store.bump(connection)))

    def apply(self, changes: Changes) -> None:
        """Take in what changed, and forget what is over."""
        now = self._clock()
        if changes.whole:
            listed = {row.digest for row in changes.sessions}
            self._held = {key: session for key, session in self._held.items() if key in listed}
        for row in changes.sessions:
            known = self._held.get(row.digest)
            if row.expires_at <= now:
                self._held.pop(row.digest, None)
            elif row.digest in self._closed:
                continue
            elif known is None:
                self._held[row.digest] = _Session(row)
            elif not known.moved:
                known.expires_at = row.expires_at
        for key in [key for key, session in self._held.items() if session.expires_at <= now]:
            del self._held[key]
        for key in [key for key, at in self._closed.items() if at + LONGEST_READ <= now]:
            del self._closed[key]

    async def _find(self, key: bytes, token: str) -> SessionRow | None:
        # Anybody may send any cookie: only what looks like a token costs a question.
        if not is_session_token(token):
            return None
        now = self._clock()
        return await self._records.read(lambda connection: store.find_session(connection, key, now))

    async def flush(self) -> None:
        """Write down the ends that moved."""
        moved = [(key, session) for key, session in self._held.items() if session.moved]
        if not moved:
            return
        now = self._clock()
        ends = [(key, session.expires_at) for key, session in moved]

        def work(connection: store.Connection) -> None:
            version = store.bump(connection)
            for key, at in ends:
                store.put_session_end(connection, key, at, now=now, version=version)

        await self._records.write(work)
        for (_, session), (_, at) in zip(moved, ends, strict=True):
            session.moved = session.expires_at != at

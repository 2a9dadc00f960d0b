"""One Penstock process as identity sees it: services on a database, and what it holds in memory."""

from __future__ import annotations

from penstock.identity.keyring import Keyring
from penstock.identity.keys import Keys, NewKey
from penstock.identity.model import KeyWithSecret
from penstock.identity.owners import Owners
from penstock.identity.refresh import Refresh
from penstock.identity.sessions import BrowserSessions
from penstock.identity.settings import IdentitySettings
from penstock.identity.tables import CHANGES, METADATA
from penstock.kernel.events import Events, KeyRevoked
from penstock.kernel.principal import Principal, Scope
from penstock.storage.records import Records


def lay_out(records: Records) -> None:
    """Make identity's tables: what its migrations make (tests/storage/test_migrations.py compares them), in a tenth of the time."""
    with records.begin() as connection:
        METADATA.create_all(connection)
        connection.execute(CHANGES.insert().values(id=1, version=0))


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Process:
    """One process's view of a database. ``revoked`` are the ids of the keys that it told the house were revoked."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self.records = records
        self.clock = clock
        self.revoked: list[str] = []
        events = Events()
        events.subscribe(KeyRevoked, lambda event: self.revoked.append(event.key_id))
        self.keyring = Keyring(events, clock)
        self.sessions = BrowserSessions(records, self.keyring, IdentitySettings(), clock)
        self.refresh = Refresh(records, self.keyring, self.sessions, 0.05, clock)
        self.owners = Owners(records, self.refresh.now, clock)
        self.keys = Keys(records, grace_seconds=3600, changed=self.refresh.now, used=self.keyring.used, clock=clock)

    def who(self, secret: str) -> Principal:
        return self.keyring.authenticate(secret)

    async def reader(self, name: str = "reader") -> KeyWithSecret:
        """A new key that may sign in to the console."""
        return await self.keys.create(None, NewKey(name=name, scopes=(Scope.READ,)))

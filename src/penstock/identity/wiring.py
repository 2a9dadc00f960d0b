"""How the parts of identity are put together."""

from __future__ import annotations

import time
from collections.abc import Sequence

from penstock.identity.door import Door
from penstock.identity.keyring import Keyring
from penstock.identity.keys import Keys
from penstock.identity.owners import Owners
from penstock.identity.pages import pages
from penstock.identity.refresh import Refresh
from penstock.identity.routes import routes
from penstock.identity.sessions import BrowserSessions
from penstock.identity.settings import IdentitySettings
from penstock.identity.stage import Authenticate
from penstock.kernel.capability import Check, Finding, House, Offer
from penstock.kernel.ports import Authenticator, Directory, FirstKey, Holders, Membership, Sessions, Standings
from penstock.kernel.web import NavItem
from penstock.storage.counters import Counters
from penstock.storage.records import Records


def wire(house: House) -> Offer:
    """Build identity inside ``house``."""
    settings = house.settings(IdentitySettings)
    records = house.ports.get(Records)
    keyring = Keyring(house.events)
    sessions = BrowserSessions(records, keyring, settings)
    door = Door(sessions, house.ports.get(Counters), settings)
    refresh = Refresh(records, keyring, sessions, settings.refresh_seconds)
    owners = Owners(records, refresh.now)
    keys = Keys(records, grace_seconds=settings.rotation_grace_hours * 3600, changed=refresh.now, used=keyring.used)
    return Offer(
        stages=(Authenticate(keyring),),
        routes=routes(owners, keys),
        pages=pages(house.ports, owners, keys, sessions, door),
        nav=(
            NavItem("Keys", "/console/keys", "keys", "Govern", 30, "k"),
            NavItem("Organisation", "/console/organisation", "people", "Govern", 40),
        ),
        services=(refresh,),
        checks=(_check(keys),),
        metrics=(keyring, door, refresh),
        ports={
            Authenticator: keyring,
            Directory: keyring,
            Membership: keyring,
            Holders: keyring,
            Sessions: sessions,
            Standings: keyring,
            FirstKey: _FirstKey(owners, keys, settings.first_key),
        },
    )


class _FirstKey:
    """`FirstKey`, unless the settings say that nobody wants one."""

    def __init__(self, owners: Owners, keys: Keys, wanted: bool) -> None:
        self._owners = owners
        self._keys = keys
        self._wanted = wanted

    async def configured(self) -> bool:
        return await self._keys.configured()

    async def ensure(self) -> str | None:
        if not self._wanted:
            return None
        await self._owners.ensure_home()
        return await self._keys.ensure()


def _check(keys: Keys) -> Check:
    async def check() -> Sequence[Finding]:
        if await keys.configured():
            found = [Finding(name="keys", status="ok", what="somebody made a key on purpose")]
        else:
            mend = "make keys for applications with `penstock keys create` or on the console's Keys page"
            found = [Finding(name="keys", status="off", what="only the key of the first start, or none", mend=mend)]
        untried = await keys.untried()
        if untried is not None:
            when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(untried.created_at))
            found.append(
                Finding(
                    name="first admin key",
                    status="warn",
                    what=f"made at the first start ({when}), shown that once, and not used so far (uses are written down once a minute)",
                    mend="if nobody kept it, make another with `penstock keys create --name YOU --admin`; "
                    f"then end this one with `penstock keys revoke {untried.id}`",
                )
            )
        return found

    return check

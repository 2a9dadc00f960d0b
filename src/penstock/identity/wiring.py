"""How the parts of identity are put together."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.identity.keyring import Keyring
from penstock.identity.pages import pages
from penstock.identity.refresh import Refresh
from penstock.identity.routes import routes
from penstock.identity.service import People
from penstock.identity.sessions import BrowserSessions
from penstock.identity.settings import IdentitySettings
from penstock.identity.stage import Authenticate
from penstock.kernel.capability import Check, Finding, House, Offer
from penstock.kernel.ports import Authenticator, Directory, FirstKey, Sessions
from penstock.kernel.web import NavItem
from penstock.storage.records import Records


def wire(house: House) -> Offer:
    """Build identity inside ``house``."""
    settings = house.settings(IdentitySettings)
    records = house.ports.get(Records)
    keyring = Keyring(house.events)
    sessions = BrowserSessions(records, keyring, settings)
    refresh = Refresh(records, keyring, sessions, settings.refresh_seconds)
    people = People(records, grace_seconds=settings.rotation_grace_hours * 3600, changed=refresh.now)
    return Offer(
        stages=(Authenticate(keyring),),
        routes=routes(people),
        pages=pages(house.ports, people, sessions),
        nav=(
            NavItem("Keys", "/console/keys", "keys", "Govern", 30, "k"),
            NavItem("Organisation", "/console/organisation", "people", "Govern", 40),
        ),
        services=(refresh,),
        checks=(_check(people),),
        metrics=(keyring, refresh),
        ports={Authenticator: keyring, Directory: keyring, Sessions: sessions, FirstKey: _FirstKey(people, settings.first_key)},
    )


class _FirstKey:
    """`FirstKey`, unless the settings say that nobody wants one."""

    def __init__(self, people: People, wanted: bool) -> None:
        self._people = people
        self._wanted = wanted

    async def configured(self) -> bool:
        return await self._people.configured()

    async def ensure(self) -> str | None:
        return await self._people.ensure() if self._wanted else None


def _check(people: People) -> Check:
    async def check() -> Sequence[Finding]:
        if await people.configured():
            return [Finding(name="keys", status="ok", what="somebody made a key on purpose")]
        return [
            Finding(
                name="keys",
                status="off",
                what="only the key of the first start, or none",
                mend="make keys for applications with `penstock keys create` or on the console's Keys page",
            )
        ]

    return check

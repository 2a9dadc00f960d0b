"""People consent to an MCP server at a real authorization server, and calls are made in their name."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.agents.mcp.issuer import Authority, authorised
from tests.edge.contract import Contract
from tests.house import SETTINGS, House, open_house

from penstock.agents.faults import Permanent
from penstock.agents.mcp.consents import Consents, ConsentTerms
from penstock.agents.mcp.sealing import FILE, sealing
from penstock.agents.mcp.servers import Servers, Terms
from penstock.agents.mcp.trust import Trust
from penstock.agents.toolbox import McpServer
from penstock.agents.tools import ToolContext
from penstock.storage.records import DATABASE_FILE, Records

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
PAGE = "/console/agents/mcp/tickets"


class Place:
    def __init__(self, house: House, url: str, authority: Authority, folder: Path) -> None:
        self.house = house
        self.url = url
        self.authority = authority
        self.folder = folder

    async def person(self, name: str) -> tuple[str, str]:
        """A key of a new person, and who they are."""
        made = await self.house.made("/v1/people", {"name": name, "email": f"{name}@example.org"})
        key, _ = await self.house.key(name=name, person=made["id"], scopes=["admin"])
        return key, made["id"]

    async def sent(self, key: str) -> str:
        """Where the authorization server sends a browser back to that a person's page sent there."""
        begun = await self.house.ask("GET", f"{PAGE}/begin", key=key, accept="text/html")
        assert begun.status == 303, begun.text
        async with aiohttp.ClientSession() as session, session.get(begun.headers["location"], allow_redirects=False) as reply:
            assert reply.status == 302, await reply.text()
            return reply.headers["location"]

    async def onward(self, back: str) -> str:
        """What the page of the way back sends the browser on to."""
        assert back.startswith(self.house.url)
        page = await self.house.ask("GET", back.removeprefix(self.house.url), key="")
        found = re.search(r'content="0;url=([^"]+)"', page.text)
        assert found is not None
        return unescape(found[1])

    async def consented(self, key: str) -> None:
        ended = await self.house.ask("GET", await self.onward(await self.sent(key)), key=key, accept="text/html")
        assert (ended.status, ended.headers.get("location")) == (303, f"{PAGE}/consent"), ended.text

    def process(self) -> tuple[Consents, Servers]:
        """What another worker has of it."""
        records = self.house.app.ports.get(Records)
        consents = Consents(records, sealing("", self.folder / "data"))
        servers = Servers(Trust(records), consents)
        server = McpServer(name="tickets", url=self.url, seconds=30.0)
        servers.add(
            "tickets", Terms(server=server, trusted=True, effects={}, prefix="", most_bytes=65_536, consent=ConsentTerms(scope="tickets"))
        )
        return consents, servers

    async def call(self, servers: Servers, who: tuple[str, str]) -> Any:
        await servers.fresh()
        (find,) = [one for one in servers.tools("tickets") if one.name == "find"]
        context = ToolContext(key="run/call/1", attempt=1, run="run", organisation=who[0], person=who[1])
        return await find.perform({"number": 3}, context)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("house")
    async with authorised() as (url, authority):
        settings = f'{SETTINGS}[agents.toolboxes.tickets]\nkind = "mcp"\nurl = "{url}"\nconsent = {{ }}\nbelieve = true\nseconds = 30\n'
        async with open_house(folder, settings) as house:
            yield Place(house, url, authority, folder)


async def test_consented_called_renewed_and_revoked(place: Place) -> None:
    house, authority, home = place.house, place.authority, await place.house.home()
    key, ada = await place.person("ada")
    contract, own = await Contract.of(house), "/v1/agents/mcp/tickets/consent"
    answer = await house.ask("GET", own, key=key)
    contract.check("GET", own, None, answer)
    view = answer.json
    assert (view["consented"], view["url"], view["person"]) == (False, f"{PAGE}/consent", ada)
    looked = (await house.ask("GET", "/v1/agents/mcp/tickets", key=key)).json
    assert f"mcp_consent_needed: nobody is signed in to tickets for this person; they do that in the console, at {PAGE}/consent" in str(
        looked
    )

    assert "not consented" in (await house.ask("GET", f"{PAGE}/consent", key=key, accept="text/html")).text
    await place.consented(key)
    view = (await house.ask("GET", "/v1/agents/mcp/tickets/consent", key=key)).json
    assert (view["consented"], view["scope"], view["expires_at"] > view["at"]) == (True, "tickets", True)
    assert "It covers <code>tickets</code>" in (await house.ask("GET", f"{PAGE}/consent", key=key, accept="text/html")).text
    (client,) = authority.clients.values()
    assert [str(one) for one in client.redirect_uris] == [f"{house.url}/console/agents/mcp/callback"]

    looked = (await house.ask("GET", "/v1/agents/mcp/tickets", key=key)).json
    digests = {one["name"]: one["current"]["digest"] for one in looked["tools"] if one["name"] == "find"}
    assert (await house.ask("POST", "/v1/agents/mcp/tickets/trust", {"tools": digests}, key=key)).status == 200
    consents, servers = place.process()
    assert (await place.call(servers, (home, ada)))["number"] == 3
    with pytest.raises(Permanent, match="mcp_consent_needed"):
        await place.call(servers, (home, "somebody else"))
    with pytest.raises(Permanent, match="mcp_consent_needed"):  # the same name, another organisation's
        await place.call(servers, ("others", ada))
    with pytest.raises(Permanent, match="mcp_person_needed"):
        await place.call(servers, (home, ""))

    # Nothing that lies on disk is a token, and no page or answer tells one.
    (access,), (fresh,) = list(authority.live), list(authority.fresh)
    with sqlite3.connect(place.folder / "data" / DATABASE_FILE) as connection:
        kept = "\n".join(connection.iterdump())
    connection.close()
    for secret in (access, fresh, client.client_secret):
        assert secret.encode().hex().upper() not in kept.upper()
        assert secret not in kept
    assert (place.folder / "data" / FILE).stat().st_mode & 0o777 == 0o600

    # A token that is taken no more is renewed once, by one of the processes that see it.
    authority.live.clear()
    others = [place.process() for _ in range(3)]
    found = await asyncio.gather(*(place.call(one, (home, ada)) for _, one in others))
    assert ([one["number"] for one in found], authority.renewals) == ([3, 3, 3], 1)
    # One that ends soon is renewed before it is used.
    authority.expires = 30
    authority.live.clear()
    await place.call(servers, (home, ada))
    before = authority.renewals
    authority.expires = 3600
    assert await consents.token("tickets", (home, ada)) in authority.live
    assert authority.renewals == before + 1

    # What the authorization server does not renew has to be consented to again.
    authority.live.clear()
    authority.fresh.clear()
    with pytest.raises(Permanent, match="mcp_consent_needed"):
        await place.call(servers, (home, ada))
    assert not (await house.ask("GET", "/v1/agents/mcp/tickets/consent", key=key)).json["consented"]
    await place.consented(key)
    assert len(authority.clients) == 1
    assert (await place.call(servers, (home, ada)))["number"] == 3
    gone = await house.ask("DELETE", own, key=key)
    contract.check("DELETE", own, None, gone)
    assert (gone.status, gone.json["consented"], len(authority.revoked)) == (200, False, 1)
    with pytest.raises(Permanent, match="mcp_consent_needed"):
        await place.call(servers, (home, ada))
    trail = (await house.ask("GET", "/v1/inbox/trail?subject=mcp/tickets", key=key)).json["data"]
    assert [one["action"] for one in trail] == ["consent taken back", "consented", "trusted", "consented"]
    await asyncio.gather(*(one.close() for _, one in [*others, (consents, servers)]))


async def test_who_may_end_it(place: Place) -> None:
    """A code that came back is worth nothing to anybody else, nor twice, nor with another state."""
    house = place.house
    (mallory, _), (victim, _) = await place.person("mallory"), await place.person("victim")
    onward = await place.onward(await place.sent(mallory))
    # Mallory has the victim open the way back: else the victim's account would be Mallory's to use, or the other way round.
    assert (await house.ask("GET", onward, key=victim)).status == 403
    assert (await house.ask("GET", onward.replace("state=", "state=x"), key=mallory)).status == 404
    assert (await house.ask("GET", onward, key="")).status == 401
    assert (await house.ask("GET", onward, key=mallory)).status == 303
    assert (await house.ask("GET", onward, key=mallory)).status == 404
    refused = (await place.sent(mallory)).replace("code=", "error=access_denied&was=")
    told = await house.ask("GET", await place.onward(refused), key=mallory)
    assert (told.status, "access_denied" in told.text) == (400, True)
    # Whoever is a key alone cannot consent.
    assert (await house.ask("GET", f"{PAGE}/begin")).json["error"]["code"] == "person_needed"
    assert (await house.ask("GET", "/console/agents/mcp/nobody/begin", key=mallory)).status == 404


async def test_a_key_that_is_another_and_a_person_who_is_erased(place: Place, tmp_path: Path) -> None:
    home = await place.house.home()
    key, who = await place.person("grace")
    await place.consented(key)
    consents, _ = place.process()
    assert await consents.token("tickets", (home, who))
    stranger = Consents(place.house.app.ports.get(Records), sealing("", tmp_path))
    stranger.add("tickets", McpServer(name="tickets", url=place.url), ConsentTerms())
    with pytest.raises(Permanent, match="mcp_consent_needed"):  # sealed with a key that it does not have
        await stranger.token("tickets", (home, who))
    moved = Consents(place.house.app.ports.get(Records), sealing("", place.folder / "data"))
    moved.add("tickets", McpServer(name="tickets", url="https://elsewhere.example/mcp"), ConsentTerms())
    with pytest.raises(Permanent, match="mcp_consent_needed"):  # a token is shown to nobody but whom it was given for
        await moved.token("tickets", (home, who))
    assert await consents.erase(home, who) == 1
    with pytest.raises(Permanent, match="mcp_consent_needed"):
        await consents.token("tickets", (home, who))

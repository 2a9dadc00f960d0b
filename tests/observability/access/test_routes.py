"""Over a real socket: opening leaves a line, who may not is told so, a person is erased, and only admins read the trail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, House, open_house

from penstock.observability.access.service import told
from penstock.observability.own.outbox import Outbox
from penstock.storage.telemetry.store import TelemetryStore

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

REPLY = {
    "id": "x",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "a vermilion reply"}}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["read", "admin"])
async def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async def provider(peer: Conversation) -> None:
        while True:
            await peer.request()
            await peer.json(json.dumps(REPLY).encode())

    async with serving(provider) as upstream:
        settings = (
            f"{SETTINGS}retries = 1\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["m"]\n'
            f'[observability]\npayload_scope = "{request.param}"\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as opened:
            yield opened


async def called(house: House, user: str) -> str:
    body = {"model": "m", "user": user, "messages": [{"role": "user", "content": "a vermilion question"}]}
    answer = await house.ask("POST", "/v1/chat/completions", body)
    assert answer.status == 200, answer.text
    return answer.headers["x-request-id"]


async def subjects(house: House, **query: str) -> list[tuple[str, str, str]]:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    answer = await house.ask("GET", f"/v1/payloads/access?{asked}")
    assert answer.status == 200, answer.text
    return [(line["action"], line["subject"], line["via"]) for line in answer.json["data"]]


async def test_opening_is_on_the_trail_and_who_may_not_is_told(house: House, request: pytest.FixtureRequest) -> None:
    only_admins = request.node.callspec.params["house"] == "admin"
    call = await called(house, "ann")
    reader, _ = await house.key(name="reader", scopes=["read"])
    assert await subjects(house, subject=call) == []
    answer = await house.ask("GET", f"/v1/calls/{call}/payload", key=reader)
    page = await house.ask("GET", f"/console/calls/{call}", key=reader, accept="text/html")
    assert (answer.status, page.status) == (403 if only_admins else 200, 200)
    assert ("vermilion" in answer.text, "vermilion" in page.text) == (not only_admins, not only_admins)
    assert ("Not for this key" in page.text) == only_admins
    assert "Who opened prompt and reply" not in page.text
    # Opened over the API and then as a page within a minute: one line of one reader.
    assert await subjects(house, subject=call) == ([] if only_admins else [("opened", call, "api")])
    mine = await house.ask("GET", f"/console/calls/{call}", accept="text/html")
    assert "vermilion" in mine.text
    assert "Who opened prompt and reply" in mine.text
    assert (await subjects(house, subject=call))[0] == ("opened", call, "console")
    assert (await house.ask("GET", "/v1/payloads/access?check=true")).json["broken_at"] is None
    # Neither the list nor the call itself shows what was said, so neither leaves a line.
    before = await subjects(house)
    for path in ("/v1/calls", f"/v1/calls/{call}"):
        assert (await house.ask("GET", path, key=reader)).status == 200
    assert await subjects(house) == before


async def test_the_trail_is_for_admins_of_the_same_organisation(house: House) -> None:
    call = await called(house, "ann")
    await house.ask("GET", f"/v1/calls/{call}/payload")
    reader, _ = await house.key(name="another", scopes=["read"])
    assert (await house.ask("GET", "/v1/payloads/access", key=reader)).status == 403
    outsider, organisation = await house.outsider()
    assert (await house.ask("GET", "/v1/payloads/access", key=outsider)).json["data"] == []
    home = await house.home()
    for path in (f"/v1/payloads/access?organisation={home}",):
        assert (await house.ask("GET", path, key=outsider)).status == 403
    assert (await house.ask("DELETE", f"/v1/people/ann/records?organisation={home}", key=outsider)).status == 403
    assert (await house.ask("GET", f"/v1/payloads/access?organisation={organisation}")).json["data"] == []


async def test_a_person_is_erased_and_that_is_on_the_trail(house: House) -> None:
    call, other = await called(house, "carl"), await called(house, "dora")
    reader, _ = await house.key(name="a reader", scopes=["read"])
    assert (await house.ask("DELETE", "/v1/people/carl/records", key=reader)).status == 403
    answer = await house.ask("DELETE", "/v1/people/carl/records")
    assert answer.status == 200, answer.text
    assert (answer.json["calls"], answer.json["call_payloads"]) == (1, 1)
    if answer.json["spans_erased"]:
        assert answer.json["spans"] == 1
    assert (await house.ask("GET", f"/v1/calls/{call}/payload")).json["request"] is None
    assert "vermilion" in (await house.ask("GET", f"/v1/calls/{other}/payload")).text
    assert ("erased", told("carl"), "api") in await subjects(house)
    assert (await house.ask("DELETE", "/v1/people/carl/records")).json["calls"] == 0


async def test_spans_are_opened_like_calls(house: House, request: pytest.FixtureRequest) -> None:
    only_admins = request.node.callspec.params["house"] == "admin"
    call = await called(house, "eve")
    found = (await house.ask("GET", f"/v1/calls/{call}")).json
    trace, span = found["trace_id"], found["span_id"]
    (outbox,) = (one for offer in house.app.offers.values() for one in offer.services if isinstance(one, Outbox))
    await outbox.flush()
    store = house.app.ports.find(TelemetryStore)
    if store is None:
        pytest.skip("no engine for spans is installed")
    await store.flush()
    reader, _ = await house.key(name="of spans", scopes=["read"])
    path = f"traces/{trace}/spans/{span}"
    answer = await house.ask("GET", f"/v1/{path}/payload", key=reader)
    page = await house.ask("GET", f"/console/{path}", key=reader, accept="text/html")
    assert (answer.status, page.status) == (403 if only_admins else 200, 200)
    assert ("vermilion" in answer.text, "vermilion" in page.text) == (not only_admins, not only_admins)
    assert ("Not for this key" in page.text) == only_admins
    # Whoever may not see texts may not feel for them by searching either.
    assert (await house.ask("GET", "/v1/traces?text=vermilion", key=reader)).status == (403 if only_admins else 200)
    assert await subjects(house, subject=f"{trace}/{span}") == ([] if only_admins else [("opened", f"{trace}/{span}", "api")])

"""The providers' page, route and metrics, from a real house whose provider fails."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.gateway.upstream import Conversation, serving
from tests.house import House, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
CALL = {"model": "safe", "messages": [{"role": "user", "content": "hi"}]}
REPLY = b'{"id":"x","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"good"},"finish_reason":"stop"}]}'


async def bad(peer: Conversation) -> None:
    while True:
        await peer.request()
        await peer.json(b'{"error":{"message":"we are on fire"}}', "500 Internal Server Error")


async def good(peer: Conversation) -> None:
    while True:
        await peer.request()
        await peer.json(REPLY, extra=b"x-ratelimit-remaining-requests: 71\r\nx-ratelimit-remaining-tokens: 9000\r\n")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with serving(bad) as broken, serving(good) as fine:
        settings = (
            "[gateway]\ndiscover = false\nlocal_embeddings = false\nretries = 0\n"
            f'[gateway.providers.bad]\nprofile = "openai-compatible"\nbase_url = "{broken.url}"\n'
            f'[gateway.providers.fine]\nprofile = "openai-compatible"\nbase_url = "{fine.url}"\n'
            "[gateway.resilience]\nopen_seconds = 600\nlongest_open_seconds = 600\n"
            '[gateway.models.safe]\ntargets = ["bad/<m>", "fine/m"]\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            for _ in range(7):
                assert (await house.ask("POST", "/v1/chat/completions", CALL)).status == 200
            yield house


async def test_the_route_tells_who_is_left_alone_and_why(house: House) -> None:
    broken, fine = (await house.ask("GET", "/v1/providers")).json["data"]
    assert (broken["name"], broken["health"], broken["circuit"]["state"]) == ("bad", "down", "closed")
    (target,) = broken["targets"]
    assert (target["model"], target["circuit"]["state"], target["circuit"]["why"]) == ("<m>", "open", "upstream_refused (500)")
    assert (target["calls"], target["failures"], target["skipped"], target["tokens_in_flight"]) == (5, 5, 2, 0)
    assert 0 < target["circuit"]["seconds"] <= 750
    assert (fine["health"], fine["in_flight"], fine["concurrency_limit"], fine["retries"]) == ("healthy", 0, 1024, 5)
    # The last five fallbacks counted down from what the last reply said; the reply overwrites it each time.
    assert fine["targets"][0]["remaining_requests"] == 71


async def test_only_an_admin_of_the_installation_may_see_it(house: House) -> None:
    reader, _ = await house.key(name="reader", scopes=["read"])
    other, _ = await house.outsider()
    for key in (reader, other):
        assert (await house.ask("GET", "/v1/providers", key=key)).status == 403
        assert (await house.ask("GET", "/console/providers", key=key, accept="text/html")).status == 403


async def test_the_page_shows_both_and_quotes_what_callers_made_up(house: House) -> None:
    page = await house.ask("GET", "/console/providers", accept="text/html")
    assert page.status == 200
    assert "<m>" not in page.text
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))
    assert "&lt;m&gt; bad" in words
    assert re.search(r"open upstream_refused \(500\) · [\d.]+ s", words)
    assert "71 calls, 9,000 tokens" in words


async def test_the_metrics_count_it(house: House) -> None:
    said = (await house.ask("GET", "/metrics")).text
    assert re.search(r'penstock_target_circuit\{.*provider="bad".*\} 3', said)
    assert re.search(r'penstock_target_skipped(_total)?\{.*provider="bad".*\} 2', said)
    assert re.search(r'penstock_retries(_total)?\{provider="fine"\} 5', said)


async def test_the_record_shows_what_was_passed_over(house: House) -> None:
    answer = await house.ask("POST", "/v1/chat/completions", CALL)
    seen = None
    while seen is None or seen.status != 200:
        seen = await house.ask("GET", f"/v1/calls/{answer.headers['x-request-id']}")
    first, second = seen.json["attempts"]
    assert (first["provider"], first["skipped"], first["status"]) == ("bad", "circuit", None)
    assert (second["provider"], second["skipped"], second["status"]) == ("fine", None, 200)
    page = await house.ask("GET", f"/console/calls/{answer.headers['x-request-id']}", accept="text/html")
    assert "passed over: bad/&lt;m&gt;" in page.text
    assert "upstream_refused (500); asked again in" in page.text

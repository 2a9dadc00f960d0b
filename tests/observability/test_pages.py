"""The pages about calls, as a reader gets them from a running house."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, House, open_house

from penstock.observability import recorder as recorder_module
from penstock.observability.pages import LOST
from penstock.observability.recorder import Recorder

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

SCRIPT = "<script>alert(1)</script>"
REPLY = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": f"reply {SCRIPT}"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}


class Rig:
    def __init__(self, house: House) -> None:
        self.house = house
        self.ids: dict[str, str] = {}

    async def call(self, name: str, model: str = "m", said: str = "hello", **headers: str) -> None:
        body = {"model": model, "messages": [{"role": "user", "content": said}]}
        answer = await self.house.ask("POST", "/v1/chat/completions", body, **headers)
        self.ids[name] = answer.headers["x-request-id"]

    async def page(self, path: str, **more: Any) -> str:
        answer = await self.house.ask("GET", path, accept="text/html", **more)
        assert answer.status == 200, answer.text
        return answer.text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async def provider(peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            if json.loads(body)["model"] == "broken":
                await peer.json(b'{"error": {"message": "out of tea"}}', "500 Internal Server Error")
            else:
                await peer.json(json.dumps(REPLY).encode())

    async with serving(provider) as upstream:
        settings = (
            f"{SETTINGS}retries = 1\nretry_wait_seconds = 0.3\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["m", "broken"]\n'
            '[finops.prices."up/m"]\ninput = 1\noutput = 2\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            rig = Rig(house)
            await rig.call("good", said=f"prompt {SCRIPT}", x_penstock_task="support.answer", x_penstock_labels="ticket=17")
            await rig.call("unknown", model="nobody")
            await rig.call("broken", model="broken")
            yield rig


async def test_the_overview_counts_and_lists(rig: Rig) -> None:
    text = await rig.page("/console/")
    for name in ("good", "unknown", "broken"):
        assert f"/console/calls/{rig.ids[name]}" in text
    assert "1 refused" in text
    assert "support.answer" in await rig.page("/console/?group=task&seconds=86400")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"good", "unknown", "broken"}),
        ("outcome=ok", {"good"}),
        ("outcome=refused", {"unknown"}),
        ("outcome=failed", {"broken"}),
        ("task=support.answer", {"good"}),
        ("model=broken", {"broken"}),
        ("error=model_not_found", {"unknown"}),
        ("provider=up&outcome=", {"good", "broken"}),
        ("hours=1", {"good", "unknown", "broken"}),
        ("trace=none", set()),
    ],
)
async def test_filters_are_in_the_address(rig: Rig, query: str, names: set[str]) -> None:
    text = await rig.page(f"/console/calls?{query}")
    assert {name for name, id in rig.ids.items() if id in text} == names


@pytest.mark.parametrize("path", ["/console/?seconds=5", "/console/?group=colour", "/console/calls?outcome=odd", "/console/calls?hours=x"])
async def test_what_makes_no_sense_is_told_on_a_page(rig: Rig, path: str) -> None:
    answer = await rig.house.ask("GET", path, accept="text/html")
    assert answer.status == 400
    assert answer.headers["content-type"].startswith("text/html")


async def test_a_page_further_back_is_not_live_and_keeps_the_filters(rig: Rig) -> None:
    newest = await rig.page("/console/calls?outcome=failed")
    assert 'sse-connect="/console/live"' in newest
    older = await rig.page(f"/console/calls?cursor={rig.ids['broken']}")
    assert "sse-connect" not in older
    assert rig.ids["good"] in older
    assert rig.ids["broken"] not in older


async def test_one_call_shows_what_happened_and_runs_nothing_of_it(rig: Rig) -> None:
    text = await rig.page(f"/console/calls/{rig.ids['good']}")
    for shown in ("support.answer", "ticket", "attempt 1: up/m", "authenticate", "send", "openai.chat", "reply &lt;script&gt;"):
        assert shown in text, shown
    assert "prompt &lt;script&gt;" in text
    assert SCRIPT not in text


async def test_a_failed_call_shows_each_attempt_and_the_providers_words(rig: Rig) -> None:
    text = await rig.page(f"/console/calls/{rig.ids['broken']}")
    assert "attempt 1: up/broken" in text
    assert "attempt 2: up/broken" in text
    assert "out of tea" in text
    assert "upstream_refused" in text


async def test_a_call_that_is_not_there(rig: Rig) -> None:
    assert (await rig.house.ask("GET", "/console/calls/call_none", accept="text/html")).status == 404


async def test_what_the_recorder_dropped_is_shown_to_who_runs_the_house_and_measured(rig: Rig) -> None:
    for page in ("/console/", "/console/calls"):
        assert "The record has gaps" not in await rig.page(page)
    (recorder,) = (s for o in rig.house.app.offers.values() for s in o.services if isinstance(s, Recorder))
    recorder.drops.update({"queue_full": 1200, "payload_bytes": 3})
    outsider, _ = await rig.house.outsider()
    for page in ("/console/", "/console/calls"):
        text = await rig.page(page)
        assert "1,200 calls are not on the record" in text
        assert "3 calls are on the record without prompt and reply" in text
        assert "The record has gaps" not in await rig.page(page, key=outsider)
    metrics = (await rig.house.ask("GET", "/metrics")).text
    assert 'penstock_records_dropped_total{reason="queue_full"} 1200.0' in metrics
    assert re.search(r"penstock_records_stored_total [3-9]", metrics)
    recorder.drops.clear()


async def test_every_reason_for_dropping_has_its_words() -> None:
    assert set(re.findall(r'drops\["(\w+)"\]', inspect.getsource(recorder_module))) == set(LOST)


async def test_metrics_are_open_only_where_the_settings_say_so(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert (await rig.house.ask("GET", "/metrics", key="")).status == 401
    settings = f"{SETTINGS}[observability]\nmetrics_open = true\n"
    async with open_house(tmp_path_factory.mktemp("open"), settings) as house:
        answer = await house.ask("GET", "/metrics", key="")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "penstock_calls_in_flight" in answer.text


async def test_live_pages_are_told_and_let_go(rig: Rig) -> None:
    headers = {"authorization": f"Bearer {rig.house.admin}"}
    async with rig.house.session.get(f"{rig.house.url}/console/live", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert await stream.content.readuntil(b"\n\n") == b"retry: 2000\n\n"
        await rig.call("later")
        assert b"event: calls" in await stream.content.readuntil(b"\n\n")

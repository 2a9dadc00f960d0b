"""The JSON routes about calls, over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.house import House, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("house")) as house:
        for number in range(5):
            await house.ask("POST", "/v1/chat/completions", {"model": f"m{number}", "messages": []}, x_penstock_task="t")
        await house.ask("POST", "/v1/embeddings", {"model": "e", "input": "x"}, traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
        yield house


async def listed(house: House, query: str = "") -> list[Any]:
    answer = await house.ask("GET", f"/v1/calls{query}")
    assert answer.status == 200, answer.text
    found: list[Any] = answer.json["data"]
    return found


async def test_a_list_is_newest_first_and_pages_follow(house: House) -> None:
    everything = await listed(house)
    assert {call["model"] for call in everything} == {"e", "m4", "m3", "m2", "m1", "m0"}
    # Two calls of one millisecond come in any order, which is the same each time.
    assert [call["id"] for call in everything] == sorted((call["id"] for call in everything), reverse=True)
    assert [call["started_at"] for call in everything] == sorted((call["started_at"] for call in everything), reverse=True)
    first = (await house.ask("GET", "/v1/calls?limit=4")).json
    rest = (await house.ask("GET", f"/v1/calls?limit=4&cursor={first['next_cursor']}")).json
    assert [*first["data"], *rest["data"]] == everything
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("?task=t", 5),
        ("?task=t&model=m2", 1),
        ("?outcome=refused", 6),
        ("?outcome=ok", 0),
        ("?error=model_not_found", 6),
        (f"?trace={TRACE}", 1),
        ("?since=0&until=1", 0),
        ("?slower_ms=1000000", 0),
        ("?key=nobody", 0),
    ],
)
async def test_filters(house: House, query: str, count: int) -> None:
    assert len(await listed(house, query)) == count


async def test_one_call_and_its_payload(house: House) -> None:
    (call,) = await listed(house, f"?trace={TRACE}")
    one = (await house.ask("GET", f"/v1/calls/{call['id']}")).json
    assert one == call
    assert (one["operation"], one["status"], one["parent_id"], one["task"]) == ("embeddings", 404, "b7ad6b7169203331", None)
    assert [stage["name"] for stage in one["stages"]][:3] == ["record", "authenticate", "admit"]
    payload = (await house.ask("GET", f"/v1/calls/{call['id']}/payload")).json
    assert payload["request_turns"]["turns"][0]["parts"][0]["text"] == "x"
    assert payload["reply"] is None
    for path in ("/v1/calls/call_none", "/v1/calls/call_none/payload"):
        assert (await house.ask("GET", path)).status == 404


async def test_the_overview_counts_them(house: House) -> None:
    found = (await house.ask("GET", "/v1/overview?seconds=3600&group=task")).json
    assert (found["calls"], found["refused"], found["errors"], found["p50"]) == (6, 6, 0, None)
    # A model that nobody serves is no name of ours, and neither is the task of such a call.
    assert [(share["group"], share["calls"]) for share in found["groups"]] == [("", 6)]

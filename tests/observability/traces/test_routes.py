"""Spans over the API: found, shown, confined to whose they are, made again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.observability.traces.rig import BAD, GOOD, ODD, THEIRS, Rig, trace_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with trace_house(tmp_path_factory.mktemp("house")) as rig:
        yield rig


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("roots=true&kind=agent", {(GOOD, "answer"), (BAD, "answer")}),
        ("text=kettle&kind=call", {(GOOD, "chat m-1")}),
        ("kind=call,tool&status=ok", {(GOOD, "chat m-1"), (GOOD, "look up"), (BAD, "chat m-1")}),
        ("model=m-2", {(BAD, "chat m-1")}),
        ("attribute=http.route=/chat", {(GOOD, "chat m-1")}),
        ("min_ms=800&max_ms=1000", {(GOOD, "answer"), (BAD, "answer")}),
        ("min_cost_micros=700&session=chat-1", {(GOOD, "chat m-1"), (BAD, "chat m-1")}),
        ("tool=nothing", set()),
    ],
)
async def test_search_finds_what_is_meant(rig: Rig, query: str, found: set[tuple[str, str]]) -> None:
    page = await rig.get(f"/v1/traces?{query}")
    assert {(one["trace_id"], one["name"]) for one in page["data"]} == found
    assert page["next_cursor"] is None


async def test_search_goes_on_where_it_ended(rig: Rig) -> None:
    first = await rig.get("/v1/traces?limit=4")
    second = await rig.get(f"/v1/traces?limit=1000&cursor={first['next_cursor']}")
    ids = [(one["trace_id"], one["span_id"]) for one in (*first["data"], *second["data"])]
    assert len(ids) == len(set(ids)) == 13


async def test_a_trace_has_all_its_spans(rig: Rig) -> None:
    trace = await rig.get(f"/v1/traces/{GOOD}")
    assert [one["span"]["name"] for one in trace["spans"]] == ["answer", "look up", "chat m-1"]
    assert trace["more"] is False
    span = await rig.get(f"/v1/traces/{GOOD}/spans/{3:016x}")
    assert span["attributes"]["http.route"] == "/chat"
    assert span["payload"] is True


async def test_a_payload_comes_as_it_is_and_as_turns(rig: Rig) -> None:
    said = await rig.get(f"/v1/traces/{GOOD}/spans/{3:016x}/payload")
    assert [turn["role"] for turn in said["input_turns"]["turns"]] == ["system", "user"]
    assert "kettle" in said["input"]
    empty = await rig.get(f"/v1/traces/{GOOD}/spans/{2:016x}/payload")
    assert (empty["input"], empty["input_turns"]) == ("", None)


async def test_a_call_is_handed_to_the_playground(rig: Rig) -> None:
    found = await rig.get(f"/v1/traces/{GOOD}/spans/{3:016x}/replay")
    assert (found["model"], found["temperature"]) == ("m-1", 0.2)
    assert [message["role"] for message in found["messages"]] == ["system", "user"]


async def test_nobody_sees_the_traces_of_others(rig: Rig) -> None:
    own = await rig.get("/v1/traces", key=rig.outsider)
    assert {one["trace_id"] for one in own["data"]} == {THEIRS}
    assert (await rig.get("/v1/traces?text=kettle", key=rig.outsider))["data"] == []
    for path in ("", f"/spans/{3:016x}", f"/spans/{3:016x}/payload", f"/spans/{3:016x}/replay"):
        await rig.get(f"/v1/traces/{GOOD}{path}", key=rig.outsider, status=404)
    await rig.get(f"/v1/traces/{THEIRS}")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("?kind=colour", 400),
        ("?attribute=x", 400),
        ("?cursor=x", 400),
        ("?limit=0", 400),
        ('?text="', 400),
        ("/abc", 404),
        (f"/{ODD[:-1]}f", 404),
        (f"/{GOOD}/spans/ffff", 404),
    ],
)
async def test_what_makes_no_sense_is_told(rig: Rig, path: str, status: int) -> None:
    answer = await rig.get(f"/v1/traces{path}", status=status)
    assert answer["error"]["message"]


async def test_the_intake_keeps_its_own_address(rig: Rig) -> None:
    assert "exports" in await rig.get("/v1/traces/intake")


async def test_without_a_store_it_is_said(tmp_path: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.house import SETTINGS, open_house

    async with open_house(tmp_path_factory.mktemp("off"), SETTINGS + '[storage]\ntelemetry = "off"\n') as house:
        answer = await house.ask("GET", "/v1/traces")
        assert (answer.status, answer.json["error"]["code"]) == (503, "unavailable")
        page = await house.ask("GET", "/console/traces", accept="text/html")
        assert page.status == 200
        assert "Spans are not kept here" in page.text

"""The tail: what comes is told at once, and only to whom it belongs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.observability.otlp.exports import a_span, request
from tests.observability.traces.rig import GOOD, THEIRS, Rig, trace_house

from penstock.observability.live import BEAT, SPANS, Live
from penstock.observability.traces.live_pages import ROWS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with trace_house(tmp_path_factory.mktemp("house"), large=200) as rig:
        yield rig


async def test_whoever_looks_is_told_when_spans_come_from_outside(rig: Rig) -> None:
    headers = {"authorization": f"Bearer {rig.house.admin}"}
    async with rig.house.session.get(f"{rig.house.url}/console/live/arrivals", headers=headers) as stream:
        assert await stream.content.readuntil(b"\n\n") == b"retry: 2000\n\n"
        body = request(a_span(name="from outside", start=rig.began, end=rig.began + 10)).SerializeToString()
        answer = await rig.house.ask("POST", "/v1/traces", body, content_type="application/x-protobuf")
        assert answer.status == 200
        assert await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 20) == SPANS
    await rig.keep("nothing")
    assert "from outside" in await rig.page("/console/live/spans?show=traces")


async def test_whoever_looks_is_told_of_our_own_calls_too(rig: Rig) -> None:
    headers = {"authorization": f"Bearer {rig.house.admin}"}
    async with rig.house.session.get(f"{rig.house.url}/console/live/arrivals", headers=headers) as stream:
        await stream.content.readuntil(b"\n\n")
        await rig.house.ask("POST", "/v1/chat/completions", {"model": "nobody", "messages": []})
        assert await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 20) == SPANS
    await rig.keep("nothing else")
    assert "nobody" in await rig.page("/console/live/spans?status=refused")


async def test_a_page_that_was_told_of_spans_finds_them(rig: Rig) -> None:
    for number in range(5):
        named = {"name": f"told at once {number}", "id": 70 + number, "trace": f"{0xABC0 + number:032x}"}
        body = request(a_span(start=rig.began, end=rig.began + 10, **named)).SerializeToString()
        assert (await rig.house.ask("POST", "/v1/traces", body, content_type="application/x-protobuf")).status == 200
        assert f"told at once {number}" in await rig.page("/console/live/spans?show=traces", hx_request="true")


async def test_the_rows_are_bounded_and_filtered(rig: Rig) -> None:
    text = await rig.page("/console/live/spans")
    assert text.count("<tr data-href") == ROWS
    assert 'sse-connect="/console/live/arrivals"' in text
    assert "data-live-hold" in text
    few = await rig.page("/console/live/spans?status=failed&kind=tool")
    assert few.count("<tr data-href") == 1
    assert GOOD not in few
    theirs = await rig.page("/console/live/spans", key=rig.outsider)
    assert THEIRS in theirs
    assert theirs.count("<tr data-href") == 1


async def test_others_hear_nothing(rig: Rig) -> None:
    from penstock.kernel.principal import Principal, Scope
    from penstock.storage.telemetry.span import Span

    live = Live(pause=0, beat=0.02, event=SPANS, topic="x")
    mine, theirs = (live.watch(Principal(key_id="k", name="n", organisation=one, scopes=frozenset({Scope.READ}))) for one in ("a", "b"))
    for stream in (mine, theirs):
        await anext(stream)
    live.came([Span(trace_id="1" * 32, span_id="1" * 16, start_ns=0, end_ns=0, organisation="a")])
    assert await asyncio.wait_for(anext(mine), 20) == SPANS
    assert await asyncio.wait_for(anext(theirs), 20) == BEAT
    for stream in (mine, theirs):
        await stream.aclose()  # type: ignore[attr-defined]

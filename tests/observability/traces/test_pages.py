"""The pages of traces, as a reader gets them from a running house."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.observability.traces.rig import BAD, GOOD, LARGE, ODD, SCRIPT, THEIRS, Rig, trace_house

from penstock.kernel.errors import MalformedRequest
from penstock.observability.traces.pages import api_address, asked

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with trace_house(tmp_path_factory.mktemp("house"), large=3000) as rig:
        yield rig


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {GOOD, BAD, LARGE, ODD, THEIRS}),
        ("status=failed", {BAD}),
        ("text=kettle", {GOOD}),
        ("text=blue+teapot&show=traces", {BAD}),
        ("model=m-2&hours=", {BAD}),
        ("service=bot", {GOOD, BAD}),
        ("min_cost=0.0007", {GOOD, BAD}),
        ("annotated=true", set()),
        ("flagged=true", set()),
    ],
)
async def test_filters_are_in_the_address(rig: Rig, query: str, found: set[str]) -> None:
    text = await rig.page(f"/console/traces?{query}")
    assert set(re.findall(r'data-href="/console/traces/(\w{32})', text)) == found


async def test_a_trace_in_the_list_says_what_all_of_it_comes_to(rig: Rig) -> None:
    text = await rig.page("/console/traces?service=bot")
    row = text[text.index(f'data-href="/console/traces/{BAD}') :]
    assert "$0.0007" in row
    assert "20 in" in row
    large = await rig.page("/console/traces")
    assert re.search(r"over \d", large[large.index(f'data-href="/console/traces/{LARGE}') :])


async def test_one_trace_shows_its_spans_and_runs_nothing_of_them(rig: Rig) -> None:
    text = await rig.page(f"/console/traces/{GOOD}")
    assert re.findall(r'class="wf-name"[^>]*>([^<]+)<', text) == ["answer", "look up", "chat m-1"]
    assert "$0.0007" in text
    assert "It left Delft" in text
    assert SCRIPT not in text
    failed = await rig.page(f"/console/traces/{BAD}")
    assert "TimeoutError" in failed
    assert "no answer came" in failed


async def test_what_does_not_fit_together_is_told(rig: Rig) -> None:
    text = await rig.page(f"/console/traces/{ODD}")
    for said in ("begins before its parent", "its parent is not in this trace", "its own ancestor", "lies in the future"):
        assert said in text, said
    for name in ("odd one", "early", "lost", "circle a", "circle b", "years ahead"):
        assert f">{name}<" in text
    assert "500 ms" in text


async def test_a_large_trace_is_drawn_in_parts(rig: Rig) -> None:
    text = await rig.page(f"/console/traces/{LARGE}")
    assert len(text) < 600_000
    assert text.count('role="row"') < 300
    closed = re.search(r"/console/traces/\w{32}/rows\?under=\w{16}", text)
    assert closed is not None
    part = await rig.page(closed[0])
    assert part.count('class="wf-name"') == 50
    assert "Show more of" in part
    more = re.search(r'href="(/console/traces/\w{32}\?under=\w+&amp;skip=50)"', part)
    assert more is not None
    whole = await rig.page(more[1].replace("&amp;", "&"))
    assert "Whole trace" in whole


async def test_one_span_shows_everything_it_says(rig: Rig) -> None:
    text = await rig.page(f"/console/traces/{GOOD}/spans/{3:016x}")
    for said in ("http.route", "/chat", "Be brief.", "kettle", "It left Delft", "/console/calls/call_x", "/console/threads/chat-1", "m-1"):
        assert said in text, said
    assert 'rel="prev"' in text
    assert "/console/playground?from=" in text
    assert SCRIPT not in text


@pytest.mark.parametrize(
    "path", ["?kind=odd", "?hours=x", "?show=odd", "?min_cost=x", "?min_ms=x", f"/{GOOD}?skip=x", f"/{GOOD}/rows?skip=-1"]
)
async def test_what_makes_no_sense_is_told_on_a_page(rig: Rig, path: str) -> None:
    answer = await rig.ask(f"/console/traces{path}")
    assert answer.status == 400
    assert answer.headers["content-type"].startswith("text/html")


async def test_nobody_sees_the_traces_of_others(rig: Rig) -> None:
    text = await rig.page("/console/traces", key=rig.outsider)
    assert THEIRS in text
    assert GOOD not in text
    for path in (GOOD, f"{GOOD}/rows", f"{GOOD}/spans/{3:016x}"):
        assert (await rig.ask(f"/console/traces/{path}", key=rig.outsider)).status == 404
    caller, _ = await rig.house.key(scopes=["call"])
    assert (await rig.ask("/console/traces", key=caller)).status == 403


async def test_a_page_and_its_route_ask_the_same() -> None:
    query, show = asked({"hours": "", "model": "m", "min_cost": "0.5", "flagged": "true"})
    assert show == "spans"
    assert api_address(query) == "/v1/traces?model=m&min_cost_micros=500000&flagged=true"
    query, show = asked({"since": "10", "task": "t"})
    assert (show, query.roots, query.since) == ("traces", True, 10.0)
    with pytest.raises(MalformedRequest):
        asked({"min_cost": "1e999"})

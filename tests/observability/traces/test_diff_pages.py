"""Two traces side by side, from a running house."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.observability.traces.rig import BAD, GOOD, LARGE, THEIRS, Rig, trace_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with trace_house(tmp_path_factory.mktemp("house"), large=1500) as rig:
        yield rig


async def test_the_route_says_what_changed(rig: Rig) -> None:
    found = await rig.get(f"/v1/traces/{GOOD}/diff/{BAD}")
    assert found["counts"] == {"changed": 3}
    call = next(step for step in found["steps"] if step["name"] == "chat m-1")
    assert call["changes"] == [{"field": "model", "before": "m-1", "after": "m-2"}]
    assert [one["field"] for one in found["steps"][0]["changes"]] == ["status", "error_code"]
    (whole, reply) = found["outputs"]
    assert whole["name"] == "answer"
    assert "".join(piece["text"] for piece in reply["pieces"] if piece["kind"] != "gone") == "I do not know."


async def test_the_page_shows_it_and_offers_others_of_the_same_name(rig: Rig) -> None:
    text = await rig.page(f"/console/traces/diff?a={GOOD}&b={BAD}")
    assert "<del>m-1</del> <ins>m-2</ins>" in text
    assert "3 steps changed" in text
    offered = await rig.page(f"/console/traces/diff?a={GOOD}")
    assert f"/console/traces/diff?a={GOOD}&amp;b={BAD}" in offered
    assert "trace id" in await rig.page("/console/traces/diff")


async def test_a_trace_is_like_itself_however_large(rig: Rig) -> None:
    text = await rig.page(f"/console/traces/diff?a={LARGE}&b={LARGE}")
    assert "1,500 alike" in text or "1500 alike" in text
    assert "All steps are alike." in text
    every = await rig.page(f"/console/traces/diff?a={LARGE}&b={LARGE}&all=1")
    assert "1,000 steps alike or beyond" in every


async def test_nobody_compares_the_traces_of_others(rig: Rig) -> None:
    await rig.get(f"/v1/traces/{THEIRS}/diff/{GOOD}", key=rig.outsider, status=404)
    assert (await rig.ask(f"/console/traces/diff?a={THEIRS}&b={GOOD}", key=rig.outsider)).status == 404
    assert (await rig.ask("/console/traces/diff?a=x")).status == 404
    assert (await rig.ask(f"/console/traces/diff?a={GOOD}&all=2")).status == 400

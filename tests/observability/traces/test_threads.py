"""Conversations: who said what, in order, and only to whom they belong."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.observability.traces.rig import BAD, GOOD, Rig, trace_house
from tests.observability.traces.spans import call, span

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with trace_house(tmp_path_factory.mktemp("house")) as rig:
        own = {"organisation": rig.home, "at": rig.began, "session": "a/b c"}
        many = [
            call(1, 0, f"question {turn}", f"answer {turn}", start=turn * 1000, trace_id=f"{turn + 999:032x}", **own) for turn in range(45)
        ]
        await rig.keep("many", *many)
        # Only the inner call says what was said, and the same session of another organisation is another conversation.
        inner = {"organisation": rig.others, "at": rig.began, "session": "chat-1", "trace_id": "d" * 32}
        await rig.keep(
            "inner", span(1, kind="chain", name="chain", **inner), call(2, 1, "what they asked", "what they got", start=5, **inner)
        )
        yield rig


async def test_the_list_has_each_conversation_with_its_sums(rig: Rig) -> None:
    found = {(one["session"], one["organisation"]): one for one in (await rig.get("/v1/threads"))["data"]}
    assert set(found) == {("chat-1", rig.home), ("chat-1", rig.others), ("a/b c", rig.home)}
    chat = found["chat-1", rig.home]
    assert (chat["traces"], chat["spans"], chat["failed"], chat["cost_micros"], chat["person"]) == (2, 6, 2, 1400, "ann")
    assert [one["session"] for one in (await rig.get("/v1/threads?text=teapot"))["data"]] == ["chat-1"]
    assert len((await rig.get("/v1/threads", key=rig.outsider))["data"]) == 1


async def test_one_conversation_is_told_in_order(rig: Rig) -> None:
    found = await rig.get(f"/v1/threads/chat-1?organisation={rig.home}")
    assert [one["trace_id"] for one in found["data"]] == [GOOD, BAD]
    first, second = found["data"]
    assert (first["told"], first["agent"], first["model"]) == ("It left Delft this morning.", "support", "m-1")
    assert (first["spans"], first["input_tokens"], first["cost_micros"]) == (3, 20, 700)
    assert (second["status"], second["error_code"]) == ("failed", "TimeoutError")
    theirs = await rig.get("/v1/threads/chat-1", key=rig.outsider)
    assert [(one["asked"], one["told"]) for one in theirs["data"]] == [("what they asked", "what they got")]


async def test_a_long_conversation_comes_in_pages(rig: Rig) -> None:
    said: list[str] = []
    cursor = ""
    while True:
        page = await rig.get(f"/v1/threads/a%2Fb%20c?cursor={cursor}")
        said = [one["asked"] for one in page["data"]] + said
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert said == [f"question {turn}" for turn in range(45)]


async def test_pages_show_the_same(rig: Rig) -> None:
    listed = await rig.page("/console/threads")
    links = re.findall(r'data-href="(/console/threads/[^"]+)"', listed)
    assert len(links) == 3
    (link,) = [one for one in links if "a%2Fb%20c" in one]
    text = await rig.page(link)
    assert "question 44" in text
    assert "question 24" not in text
    older = re.search(r'rel="next" href="([^"]+)"', text)
    assert older is not None
    assert "question 24" in await rig.page(older[1].replace("&amp;", "&"))
    assert "<script>alert" not in await rig.page(f"/console/threads/chat-1?organisation={rig.home}")


async def test_what_is_not_there_is_not_found(rig: Rig) -> None:
    await rig.get("/v1/threads/none", status=404)
    await rig.get("/v1/threads/a%2Fb%20c", key=rig.outsider, status=404)
    await rig.get("/v1/threads/chat-1?cursor=x", status=400)
    assert (await rig.ask("/console/threads/none")).status == 404
    assert "Nothing found" in await rig.page("/console/threads?person=nobody")

"""The page of a run: its steps in the words of whose run it is, children on demand, live, and forked from where one stands."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
import pytest_asyncio
from tests.house import SETTINGS, House, open_house

from penstock.journal import run_pages
from penstock.journal.arrivals import HELLO, STEPS
from penstock.kernel.errors import NotFound
from penstock.kernel.journal import Journal, Run, RunInfo, RunState, StepInfo
from penstock.kernel.steps import StepTeller, StepWords

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]


async def _page(n: int) -> str:
    return f"page {n}"


async def _parent(run: Run, given: Any) -> Any:
    await run.step("first", _page, 1)
    child = await run.child("shown-child", {"n": 2}, labels=dict(run.labels))
    value = await run.wait("go")
    return [value, await child.result()]


async def _child(run: Run, given: Any) -> Any:
    await run.step("within", _page, given["n"])
    return "child's"


async def _many(run: Run, given: int) -> Any:
    for n in range(given):
        await run.step(f"step-{n}", _page, n)


class Rooms:
    """A room that knows the runs named shown-parent."""

    def knows(self, run: RunInfo) -> bool:
        return run.name == "shown-parent"

    def tell(self, run: RunInfo, steps: Sequence[StepInfo]) -> Mapping[int, StepWords]:
        words = StepWords(
            family="tool",
            name="look it up",
            given={"order": 7},
            gave="found",
            effect="write",
            state="in_doubt",
            fault="who knows",
            cost=1500,
        )
        return {1: words}

    def beside(self, run: RunInfo) -> str:
        return ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    settings = f"{SETTINGS}[journal]\npoll_seconds = 0.05\n"
    async with open_house(tmp_path_factory.mktemp("house"), settings, without=("agents",)) as house:
        journal = house.app.ports.get(Journal)
        for name, function in (("shown-parent", _parent), ("shown-child", _child), ("shown-many", _many)):
            journal.define(name, function)
        house.app.ports.provide(StepTeller, Rooms())
        yield house


async def waiting(house: House) -> str:
    """A run that waits, and whose child has ended."""
    journal = house.app.ports.get(Journal)
    run = await journal.start("shown-parent", {"ticket": 12}, organisation=await house.home(), labels={"desk": "first.floor"})
    while len(await journal.history(None, run)) < 3:
        await asyncio.sleep(0.02)
    return run


async def page(house: House, run: str, query: str = "", key: str | None = None) -> str:
    answer = await house.ask("GET", f"/console/runs/{run}{query}", key=key, accept="text/html")
    assert answer.status == 200, answer.text
    return html.unescape(answer.text)


async def test_a_step_is_told_in_the_words_of_its_room(house: House) -> None:
    run = await waiting(house)
    shown = await page(house, run)
    assert "look it up" in shown
    assert "in doubt" in shown
    assert "$0.0015" in shown
    assert '"ticket": 12' in shown
    picked = await page(house, run, "?step=1")
    assert "who knows" in picked
    assert '"order": 7' in picked
    assert 'name="step" value="1"' in picked
    await house.app.ports.get(Journal).cancel(None, run)


async def test_children_show_their_steps_on_demand(house: House) -> None:
    run = await waiting(house)
    closed = await page(house, run)
    assert "within" not in closed
    (child,) = set(re.findall(r"open=([\w-]+)", closed))
    opened = await page(house, run, f"?open={child}")
    assert "within" in opened
    assert f"?open={child}&step={child}:1" in opened.replace("%3A", ":")
    assert "page 2" in await page(house, run, f"?open={child}&step={child}:1")
    stranger = await waiting(house)
    assert "within" not in await page(house, run, f"?open={stranger}&open=run_none")
    for one in (run, stranger):
        await house.app.ports.get(Journal).cancel(None, one)


async def test_long_runs_are_shown_piece_by_piece(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_pages, "MOST_STEPS", 4)
    journal = house.app.ports.get(Journal)
    run = await journal.start("shown-many", 10, organisation=await house.home())
    await journal.result(None, run, 30)
    latest = await page(house, run)
    assert ("step-9" in latest, "step-5" in latest, "6 earlier" in latest) == (True, False, True)
    middle = await page(house, run, "?from=2")
    assert ("step-2" in middle, "step-6" in middle, "4 later" in middle) == (True, False, True)
    assert "step-9" in await page(house, run, "?from=99")
    assert "step-9" in await page(house, run, "?from=what")


async def test_the_page_is_told_when_to_look_again(house: House) -> None:
    run = await waiting(house)
    journal = house.app.ports.get(Journal)
    address = f"{house.url}/console/runs/{run}/arrivals?after=2"
    async with house.session.get(address, headers={"authorization": f"Bearer {house.admin}", "accept": "text/event-stream"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert await stream.content.readuntil(b"\n\n") == HELLO
        await journal.signal(None, run, "go", 1)
        assert await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 30) == STEPS
        await journal.result(None, run, 30)
    ended = await page(house, run)
    assert "sse-connect" not in ended
    assert '"child\'s"' in ended
    none = await house.ask("GET", "/console/runs/run_none/arrivals", accept="text/event-stream")
    assert none.status == 404


async def test_a_run_is_done_again_and_found_by_its_label(house: House) -> None:
    run = await waiting(house)
    again = await house.ask("POST", f"/console/runs/{run}/fork", "step=1", content_type="application/x-www-form-urlencoded")
    forked = again.headers["location"].rpartition("/")[2]
    journal = house.app.ports.get(Journal)
    assert (await journal.get(None, forked)).forked_from == run
    assert await journal.given(None, forked) == {"ticket": 12}
    found = (await house.ask("GET", "/v1/runs?label=desk%3Dfirst.floor&limit=100")).json["data"]
    assert {run, forked} <= {one["id"] for one in found}
    assert (await house.ask("GET", "/v1/runs?label=desk%3Dfirst")).json["data"] == []
    assert {one["id"] for one in (await house.ask("GET", "/v1/runs?label=desk&limit=100")).json["data"]} >= {one["id"] for one in found}
    assert (await house.ask("GET", "/v1/runs?label=floor")).json["data"] == []
    listed = await house.ask("GET", "/console/runs?label=desk%3Dfirst.floor", accept="text/html")
    assert "desk=first.floor" in listed.text
    for one in (run, forked):
        await journal.cancel(None, one)


async def test_a_reader_has_no_buttons_and_a_stranger_no_page(house: House) -> None:
    run = await waiting(house)
    reader, _ = await house.key(name="reader", scopes=["read"])
    shown = await page(house, run, "?step=1", reader)
    assert not [form for form in re.findall(r'action="([^"]+)"', shown) if run in form]
    their, _ = await house.outsider()
    for path in ("", "/arrivals"):
        assert (await house.ask("GET", f"/console/runs/{run}{path}", key=their, accept="text/html")).status == 404
    caller, _ = await house.key(name="caller", scopes=["call"])
    assert (await house.ask("GET", f"/console/runs/{run}", key=caller, accept="text/html")).status == 403
    with pytest.raises(NotFound):
        await house.app.ports.get(Journal).given("org_other", run)
    await house.app.ports.get(Journal).cancel(None, run)
    assert (await house.app.ports.get(Journal).get(None, run)).state is RunState.CANCELLED

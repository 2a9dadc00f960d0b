"""The example of research: three at once, one who writes it together, and the answer on the notice board once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from examples.research import library
from tests.examples.stage import begun, open_example, over, serving
from tests.house import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
QUESTION = "How should an old house be heated: heat pumps, gas boilers, district heating?"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, Path]]:
    folder = tmp_path_factory.mktemp("research")
    board = folder / "board.json"
    async with serving(library.app(board)) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LIBRARY_URL", url)
            async with open_example("research", folder) as house:
                yield house, board


async def test_three_look_into_it_at_once_and_one_report_is_published(place: tuple[House, Path]) -> None:
    house, board = place
    run = await begun(house, "research", QUESTION)
    ended = await over(house, run)
    assert ended["state"] == "done", ended
    report = ended["output"]
    assert report["pages"] == ["district-heating", "gas-boilers", "heat-pumps"]
    assert report["missing"] == []
    assert "three to four units of heat" in report["answer"]
    (published,) = library.published(board).values()
    assert (published["id"], published["answer"]) == (report["number"], report["answer"])
    steps = (await house.ask("GET", f"/v1/runs/{run}")).json["steps"]
    began = [one["name"] for one in steps if one["kind"] == "child"]
    assert began == ["agent/planner", "agent/researcher", "agent/researcher", "agent/researcher", "agent/writer"]
    researchers = [n for n, one in enumerate(steps) if one["name"] == "agent/researcher"]
    assert researchers == list(range(researchers[0], researchers[0] + 3))  # all three began before any was waited for

"""The example of a compliance report: what is wrong in a draft is noticed by somebody else, put right, or left out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from examples.compliance.agents import Claim, Draft, misquoted
from tests.examples.stage import begun, open_example, over
from tests.house import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_example("compliance", tmp_path_factory.mktemp("compliance")) as house:
        yield house


async def test_a_wrong_number_is_found_by_the_verifier_and_put_right(house: House) -> None:
    run = await begun(house, "compliance-report", "Customer data in 2026")
    ended = await over(house, run)
    assert ended["state"] == "done", ended
    report = ended["output"]
    assert (report["drafts"], report["left_out"]) == (2, [])
    said = [one["text"] for one in report["claims"]]
    assert "The log is kept for 24 months." in said
    assert not any("36" in one for one in said)
    assert {one["source"] for one in report["claims"]} == {"access", "incidents", "retention"}
    steps = (await house.ask("GET", f"/v1/runs/{run}")).json["steps"]
    assert [one["name"] for one in steps if one["kind"] == "child"] == ["agent/drafter", "agent/verifier"] * 2


async def test_a_quote_that_no_source_has_is_noticed_without_a_model() -> None:
    good = Claim("x", "retention", "Backups are deleted\nafter 35 days.")
    draft = Draft("t", [good, Claim("x", "retention", "after 36 days"), Claim("x", "../../secrets", "x"), Claim("x", "access", " ")])
    assert [one.claim for one in misquoted(draft)] == [1, 2, 3]

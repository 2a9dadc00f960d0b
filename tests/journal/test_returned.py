"""What runs returned, as pages and routes ask for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.journal.returned import returned
from penstock.journal.service import JournalService
from penstock.kernel.journal import ENDED, Run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


async def echo(run: Run, given: Any) -> Any:
    if given == "fail":
        raise ValueError("as was wanted")
    return given


async def test_a_run_that_is_done_has_returned_something_and_a_failed_one_nothing(journal: JournalService) -> None:
    journal.define("echo", echo)
    done, failed = [await journal.start("echo", given, organisation="org") for given in ("said", "fail")]
    assert await journal.result(None, done, 30) == "said"
    async with asyncio.timeout(30):
        while (await journal.get(None, failed)).state not in ENDED:
            await asyncio.sleep(0.01)
    assert await returned(journal, "org", await journal.get("org", done)) == "said"
    assert await returned(journal, "org", await journal.get("org", failed)) is None


async def test_one_that_cannot_be_seen_any_more_has_returned_nothing(journal: JournalService) -> None:
    journal.define("say", echo)
    run = await journal.start("say", "said", organisation="org")
    await journal.result(None, run, 30)
    info = await journal.get("org", run)
    assert await returned(journal, "another", info) is None

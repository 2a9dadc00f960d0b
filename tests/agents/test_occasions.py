"""Events: kept for a while, told to whom they fit, once for each key."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.agents.scripted import Stand

from penstock.agents.occasions import fits
from penstock.kernel.journal import Run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest.mark.parametrize(
    ("where", "fit"),
    [
        ({}, True),
        ({"a": 1}, True),
        ({"a": 2}, False),
        ({"b.c": "x"}, True),
        ({"b.d": "x"}, False),
        ({"a.b": 1}, False),
        ({"yes": True}, True),
        ({"yes": 1}, False),
    ],
)
async def test_fits(where: dict[str, Any], fit: bool) -> None:
    assert fits({"a": 1, "b": {"c": "x"}, "yes": True}, where) is fit


async def test_only_the_organisation_hears_and_only_the_run_that_is_meant(stand: Stand) -> None:
    held: list[Run] = []

    async def execute(run: Run, given: Any) -> Any:
        held.append(run)
        return await run.wait("topic", 20.0)

    stand.journal.define("o-hears", execute)
    run = await stand.journal.start("o-hears", organisation="org")
    occasions = stand.occasions
    while not held:
        await stand.journal.get(None, run)
    began = time.time()
    assert await occasions.listen("o-wait", held[0], "topic", "o-event", {"n": 1}, began, ()) is None
    assert (await occasions.send("other", "o-event", {"n": 1}))[1] == 0
    assert (await occasions.send("org", "o-event", {"n": 1}, run="run_other"))[1] == 0
    assert (await occasions.send("org", "o-event", {"n": 2}))[1] == 0
    id, told = await occasions.send("org", "o-event", {"n": 1}, run=run, key="once")
    assert told == 1
    assert (await stand.journal.result(None, run, 20.0))["id"] == id
    assert await occasions.send("org", "o-event", {"n": 9}, key="once") == (id, 0)
    # One that was sent before is found by who listens later, but not one that was heard.
    found = await occasions.listen("o-wait", held[0], "topic", "o-event", {"n": 1}, began, ())
    assert found is not None
    assert found.id == id
    assert await occasions.listen("o-wait", held[0], "topic", "o-event", {"n": 1}, began, (id,)) is None
    # The run has ended: what waits for it is forgotten, and so are old events.
    assert await occasions.forget(time.time() + 1) == 5
    assert await occasions.forget(time.time() + 1) == 0

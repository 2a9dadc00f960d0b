"""What runs were given and gave is for those who may open prompts and replies, and a line is left of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.house import SETTINGS, House, open_house

from penstock.kernel.journal import Journal, Run
from penstock.kernel.opening import Opening
from penstock.kernel.principal import Principal

pytestmark = pytest.mark.timeout(60)

SECRET = "what the customer wrote"


async def _work(run: Run, given: Any) -> Any:
    async def answer() -> str:
        return f"{SECRET}, answered"

    return await run.step("think", answer)


async def ran(house: House) -> str:
    journal = house.app.ports.get(Journal)
    journal.define("secretive", _work)
    run = await journal.start("secretive", SECRET, organisation=await house.home())
    await journal.result(None, run, 20)
    return run


async def test_a_key_that_may_not_open_sees_what_happened_and_nothing_that_was_said(tmp_path: Path) -> None:
    async with open_house(tmp_path, f'{SETTINGS}[observability]\npayload_scope = "admin"\n[journal]\npoll_seconds = 0.05\n') as house:
        run = await ran(house)
        reader, _ = await house.key(name="reader", scopes=["read"])
        for path in (f"/v1/runs/{run}", f"/console/runs/{run}", f"/console/runs/{run}?step=1"):
            answer = await house.ask("GET", path, key=reader, accept="text/html" if "console" in path else "application/json")
            assert (answer.status, SECRET in answer.text) == (200, False), path
            assert "think" in answer.text
        (step,) = (await house.ask("GET", f"/v1/runs/{run}/steps", key=reader)).json["data"]
        assert (step["name"], step["output"]) == ("think", None)
        events = await house.ask("GET", f"/v1/runs/{run}/events", key=reader)
        assert ("event: step" in events.text, SECRET in events.text) == (True, False)
        assert (await house.ask("GET", "/v1/payloads/access")).json["data"] == []
        shown = (await house.ask("GET", f"/v1/runs/{run}", key=reader)).json
        assert (shown["contents"], shown["input"], shown["output"], shown["steps"][0]["output"]) == (False, None, None, None)

        opened = (await house.ask("GET", f"/v1/runs/{run}")).json
        assert (opened["contents"], opened["input"], opened["output"]) == (True, SECRET, f"{SECRET}, answered")
        assert opened["steps"][0]["output"] == f"{SECRET}, answered"
        (line,) = (await house.ask("GET", "/v1/payloads/access")).json["data"]
        assert (line["kind"], line["subject"], line["via"]) == ("run", run, "api")
        page = await house.ask("GET", f"/console/runs/{run}?step=1", accept="text/html")
        assert page.text.count(SECRET) >= 3
        for path in (f"/v1/runs/{run}/steps", f"/v1/runs/{run}/events"):
            before = len((await house.ask("GET", "/v1/payloads/access")).json["data"])
            opener, _ = await house.key(name="opener", scopes=["read", "admin"])  # one of its own: what one opens again is no news
            assert SECRET in (await house.ask("GET", path, key=opener)).text
            assert len((await house.ask("GET", "/v1/payloads/access")).json["data"]) == before + 1


async def test_without_who_keeps_the_trail_there_is_no_rule() -> None:
    opening = Opening(lambda: None)
    reader = Principal(key_id="k", name="n", organisation="o", scopes=frozenset())
    assert opening.may(reader)

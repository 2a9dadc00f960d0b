"""Schedules in the console: listed without what they are given, ended by their button, each organisation's own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.agents import sample
from tests.house import SETTINGS, House, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    settings = f'{SETTINGS}[agents]\nmodules = ["{sample.__name__}"]\n'
    async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
        yield house


async def test_a_schedule_is_listed_and_ended(house: House) -> None:
    empty = await house.ask("GET", "/console/schedules", accept="text/html")
    assert "No schedules yet" in empty.text
    made = await house.made("/v1/schedules", {"agent": "desk", "input": "a secret question", "cron": "0 7 * * 1", "zone": "Europe/Berlin"})
    once = await house.made("/v1/schedules", {"agent": "desk", "input": "another", "at": time.time() + 86_400})
    shown = await house.ask("GET", "/console/schedules", accept="text/html")
    for told in ("0 7 * * 1 (Europe/Berlin)", "once", "/console/agents/named/desk", f"/console/schedules/{made['id']}/cancel", "active"):
        assert told in shown.text
    assert "secret question" not in shown.text
    reader, _ = await house.key(name="reader", scopes=["read"])
    assert "/cancel" not in (await house.ask("GET", "/console/schedules", key=reader, accept="text/html")).text
    assert (await house.ask("POST", f"/console/schedules/{once['id']}/cancel", key=reader)).status == 403
    their, _ = await house.outsider()
    theirs = await house.ask("GET", "/console/schedules", key=their, accept="text/html")
    assert (theirs.status, made["id"] in theirs.text) == (200, False)
    assert (await house.ask("POST", f"/console/schedules/{once['id']}/cancel", key=their)).status == 404
    place = f"/console/schedules/{made['id']}"
    for key, status in ((reader, 403), (their, 404)):
        assert (await house.ask("POST", f"{place}/pause", key=key)).status == status
        assert (await house.ask("POST", f"{place}/resume", key=key)).status == status
    assert (await house.ask("POST", f"{place}/pause")).headers["location"] == "/console/schedules"
    paused = (await house.ask("GET", "/console/schedules", accept="text/html")).text
    assert (f"{place}/resume" in paused, f"{place}/pause" in paused, f"{place}/cancel" in paused) == (True, False, True)
    assert (await house.ask("POST", f"{place}/resume")).status == 303
    ended = await house.ask("POST", f"/console/schedules/{once['id']}/cancel")
    assert (ended.status, ended.headers["location"]) == (303, "/console/schedules")
    assert (await house.ask("POST", f"/console/schedules/{once['id']}/cancel")).status == 409
    assert "cancelled" in (await house.ask("GET", "/console/schedules", accept="text/html")).text

"""Agents in the console: who is listed, starting one by its form, what a run did, and what is in doubt settled."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.agents import sample
from tests.agents.test_service import Provider, call
from tests.gateway.upstream import serving
from tests.house import House, open_house

from penstock.agents.effects import Effects
from penstock.kernel.journal import Journal
from penstock.storage.records import Records

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]
FORM = {"content_type": "application/x-www-form-urlencoded"}


def turns(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Look it up, tell the customer, be done."""
    said = sum(one["role"] == "assistant" for one in messages)
    return (call("look_up", order="4711"), call("notify", text="on its way"), {"content": "All is well."})[said]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    provider = Provider()
    provider.say = turns
    async with serving(provider) as up:
        settings = (
            "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{up.url}"\nmodels = ["m"]\n'
            f'[journal]\npoll_seconds = 0.02\n[agents]\nmodules = ["{sample.__name__}"]\nshared = ["secretary"]\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            yield house


async def page(house: House, path: str, key: str | None = None) -> str:
    answer = await house.ask("GET", path, key=key, accept="text/html")
    assert answer.status == 200, answer.text
    return html.unescape(answer.text)


async def test_the_list_shows_who_may_be_started(house: House) -> None:
    shown = await page(house, "/console/agents")
    assert "/console/agents/named/desk" in shown
    assert "look_up" in shown
    assert "there is no agent" not in await page(house, "/console/agents/threads")
    their, _ = await house.outsider()
    theirs = await page(house, "/console/agents", their)
    assert "/console/agents/named/secretary" in theirs
    assert "/console/agents/named/desk" not in theirs
    assert (await house.ask("GET", "/console/agents/named/desk", key=their, accept="text/html")).status == 404
    run = await house.app.ports.get(Journal).start("agent/secretary", {"input": "x", "key": "none"}, organisation=await house.home())
    assert (await house.ask("GET", f"/console/agents/runs/{run}/effects", key=their, accept="text/html")).status == 404
    await house.app.ports.get(Journal).result(None, run, 30)


async def test_an_agent_is_started_by_its_form_and_its_run_is_shown(house: House) -> None:
    shown = await page(house, "/console/agents/named/desk")
    assert 'name="input"' in shown
    assert "irreversible" not in shown
    assert "It has not run yet" in shown
    started = await house.ask("POST", "/console/agents/named/desk/start", "input=Where+is+4711%3F", **FORM)
    assert started.status == 303
    run = started.headers["location"].rpartition("/")[2]
    await house.app.ports.get(Journal).result(None, run, 30)
    assert run in await page(house, "/console/agents/named/desk")
    steps = await page(house, f"/console/runs/{run}")
    for told in ("look_up", "notify", "write", "Where is 4711?", "All is well.", "up/m", f"/console/agents/runs/{run}/effects"):
        assert told in steps
    tool = await page(house, f"/console/runs/{run}?step=3")
    assert '"order": "4711"' in tool
    assert "shipped" in tool
    effects = await page(house, f"/console/agents/runs/{run}/effects")
    assert "notify" in effects
    assert "Settle" not in effects
    assert "on its way" not in effects  # what was said is for the step itself
    assert run in await page(house, "/console/runs?label=agent%3Ddesk")


async def test_a_form_that_cannot_be_read_is_shown_again(house: House) -> None:
    answer = await house.ask("POST", "/console/agents/named/desk/start", "input=", **FORM)
    assert answer.status == 400
    assert "Not started" in answer.text
    reader, _ = await house.key(name="reader", scopes=["read"])
    assert "needs the scope call" in await page(house, "/console/agents/named/desk", reader)
    assert (await house.ask("POST", "/console/agents/named/desk/start", "input=x", key=reader, **FORM)).status == 403
    assert (await house.ask("POST", "/console/agents/named/nobody/start", "input=x", **FORM)).status == 404


async def test_what_is_in_doubt_is_settled_by_whoever_has_looked(house: House) -> None:
    effects, home = Effects(house.app.ports.get(Records)), await house.home()
    started = await house.ask("POST", "/console/agents/named/desk/start", "input=again", **FORM)
    run = started.headers["location"].rpartition("/")[2]
    await house.app.ports.get(Journal).result(None, run, 30)
    key = f"{run}/call/9"
    await effects.begin(key, home, run, "refund", "irreversible")
    await effects.end(key, "in_doubt", {"state": "in_doubt", "text": "secret words"})
    for path in ("/console/agents", f"/console/agents/runs/{run}/effects"):
        shown = await page(house, path)
        assert "Of these calls nobody knows" in shown
        assert f'value="{key}"' in shown
        assert "secret words" not in shown
    reader, _ = await house.key(name="onlooker", scopes=["read"])
    assert "settle-form" not in await page(house, f"/console/agents/runs/{run}/effects", reader)
    for body in ("state=maybe&note=x", "state=done&note=+", "state=done"):
        answer = await house.ask("POST", "/console/agents/effects/settle", f"key={key}&{body}".replace("/", "%2F"), **FORM)
        assert answer.status == 400
    good = f"key={key}&state=done&note=seen+at+the+bank".replace("/", "%2F")
    assert (await house.ask("POST", "/console/agents/effects/settle", good, key=reader, **FORM)).status == 403
    settled = await house.ask("POST", "/console/agents/effects/settle", good, **FORM)
    assert settled.headers["location"] == f"/console/runs/{run}"
    assert "Of these calls nobody knows" not in await page(house, "/console/agents")
    assert (await house.ask("POST", "/console/agents/effects/settle", good, **FORM)).status == 409

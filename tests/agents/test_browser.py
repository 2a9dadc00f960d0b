"""Agents and their runs in a real browser: started by the form, watched as they go, steps opened, cancelled; phone, dark, keyboard."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.agents import sample
from tests.agents.test_service import Provider, call
from tests.gateway.upstream import serving
from tests.house import House, open_house

from penstock.kernel.journal import Journal

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Browser, Page, async_playwright, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}


def turns(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The secretary asks the desk, which looks an order up and tells the customer."""
    said = sum(one["role"] == "assistant" for one in messages)
    if messages[0]["content"].startswith("Help"):
        return (call("look_up", order="4711"), call("notify", text="on its way"), {"content": "All is well."})[said]
    return (call("ask_desk", question="Where is 4711?"), {"content": "It is on its way."})[said]


Place = tuple[House, Provider]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    provider = Provider()
    provider.say = turns
    async with serving(provider) as up:
        settings = (
            "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{up.url}"\nmodels = ["m"]\n'
            f'[journal]\npoll_seconds = 0.02\n[agents]\nmodules = ["{sample.__name__}"]\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            yield house, provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        await started.close()


async def signed_in(browser: Browser, house: House, **terms: Any) -> tuple[Page, list[str]]:
    """A page of who administers, and what the browser complains of on it."""
    context = await browser.new_context(locale="en-GB", **terms)
    context.set_default_timeout(20_000)
    answer = await context.request.post(
        f"{house.url}/console/sign-in", form={"key": house.admin}, headers={"origin": house.url}, max_redirects=0
    )
    assert answer.status == 303
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda fault: complaints.append(str(fault)))
    return page, complaints


async def test_a_run_is_started_watched_and_opened_step_by_step(place: Place, browser: Browser) -> None:
    house, provider = place
    page, complaints = await signed_in(browser, house, **DESK)
    provider.held.clear()
    await page.goto(f"{house.url}/console/agents")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="desk", level=1)).to_be_visible()
    await page.get_by_label("Input").fill("Where is 4711?")
    await page.get_by_role("button", name="Start").press("Enter")
    await expect(page.get_by_role("heading", name="agent/desk")).to_be_visible()
    steps = page.get_by_role("group", name="Steps of the run")
    await expect(steps.get_by_role("link", name="begin")).to_be_visible(timeout=20_000)
    await expect(steps.get_by_role("link", name="look_up")).to_have_count(0)
    provider.held.set()
    await expect(steps.get_by_role("link", name="notify")).to_be_visible(timeout=20_000)
    await expect(page.locator(".grid-stats").get_by_text("done")).to_be_visible()
    await expect(page.locator("#gave")).to_contain_text("All is well.")
    await expect(page.locator("#effects").get_by_text("notify")).to_be_visible()
    await steps.get_by_role("link", name="look_up").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#step")).to_contain_text("shipped")
    await page.get_by_role("button", name="Fork from here").press("Enter")
    await page.get_by_role("dialog").get_by_role("button", name="Fork").press("Enter")
    await expect(page.get_by_text("Forked from")).to_be_visible()
    await expect(page.locator(".grid-stats").get_by_text("done")).to_be_visible()
    assert complaints == []
    await page.context.close()


async def test_the_steps_of_a_child_are_opened_within(place: Place, browser: Browser) -> None:
    house, _ = place
    run = (await house.made("/v1/agents/secretary/runs", {"input": "Ask the desk."}))["run"]["id"]
    await house.app.ports.get(Journal).result(None, run, 30)
    page, complaints = await signed_in(browser, house, **DESK)
    await page.goto(f"{house.url}/console/runs/{run}")
    steps = page.get_by_role("group", name="Steps of the run")
    await expect(steps.get_by_role("link", name="notify")).to_have_count(0)
    fold = steps.get_by_role("link", name="Steps of desk")
    await fold.press("Enter")
    await expect(steps.get_by_role("link", name="notify")).to_be_visible()
    await steps.get_by_role("link", name="notify").click()
    await expect(page.locator("#step")).to_contain_text("on its way")
    await expect(page.get_by_role("button", name="Fork from here")).to_have_count(0)  # of the child: on the child's own page
    await page.go_back()
    await fold.press("Enter")
    await expect(steps.get_by_role("link", name="notify")).to_have_count(0)
    assert complaints == []
    await page.context.close()


async def test_a_run_is_cancelled_by_keyboard(place: Place, browser: Browser) -> None:
    house, provider = place
    provider.held.clear()
    run = (await house.made("/v1/agents/desk/runs", {"input": "Wait."}))["run"]["id"]
    page, complaints = await signed_in(browser, house, **DESK)
    await page.goto(f"{house.url}/console/runs/{run}")
    await page.get_by_role("button", name="Cancel").press("Enter")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel the run").press("Enter")
    await expect(page.locator(".grid-stats").get_by_text("cancelled")).to_be_visible()
    provider.held.set()
    assert complaints == []
    await page.context.close()


@pytest.mark.parametrize(("terms", "scheme"), [(DESK, "light"), (PHONE, "dark")])
async def test_every_page_fits_in_both_themes(place: Place, browser: Browser, terms: Any, scheme: str) -> None:
    house, _ = place
    run = (await house.made("/v1/agents/secretary/runs", {"input": "Ask the desk, " * 20}))["run"]["id"]
    await house.app.ports.get(Journal).result(None, run, 30)
    steps = (await house.ask("GET", f"/v1/runs/{run}")).json["steps"]
    child = next(one["child"] for one in steps if one["kind"] == "child")
    page, complaints = await signed_in(browser, house, color_scheme=scheme, **terms)
    for path in (
        "agents",
        "agents/named/desk",
        "runs",
        f"runs/{run}",
        f"runs/{run}?open={child}&step={child}:3",
        "runs?label=agent%3Dnobody",
    ):
        await page.goto(f"{house.url}/console/{path}")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
        unnamed = await page.evaluate(
            "[...document.querySelectorAll('main input:not([type=hidden]), main select, main textarea')]"
            ".filter(field => !field.labels.length && !field.getAttribute('aria-label')).length"
        )
        assert unnamed == 0, path
    assert complaints == []
    await page.context.close()

"""The pages of the alerts in a real browser: keyboard, themes, phone, forms, and nothing that the browser complains of."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.alerts.rig import Alarmed, alarmed
from tests.alerts.series import NOW, steps
from tests.alerts.test_pages import SETTINGS

from penstock.kernel.measures import Example

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Browser, Page, async_playwright, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
PAGES = ("", "/rules", "/rules/new", "/rules/new?kind=objective", "/rules/new?kind=detector", "/silences", "/deliveries", "/webhooks")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Alarmed]:
    async with alarmed(tmp_path_factory.mktemp("house"), SETTINGS) as found:
        found.at(NOW)
        found.source.shown = [Example(id="call_1", href="/console/calls/call_1", at=NOW - 60, value=2500, why="took 2.5 s " * 12)]
        found.source.put("toy_latency_ms", steps([100] * 200 + [2500] * 10, group="a"))
        await found.round()
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        await started.close()


async def signed_in(browser: Browser, one: Alarmed, **terms: Any) -> tuple[Page, list[str]]:
    """A page of who administers, and what the browser complains of on it."""
    context = await browser.new_context(locale="en-GB", **terms)
    context.set_default_timeout(15_000)
    answer = await context.request.post(
        f"{one.house.url}/console/sign-in", form={"key": one.house.admin}, headers={"origin": one.house.url}, max_redirects=0
    )
    assert answer.status == 303
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda fault: complaints.append(str(fault)))
    return page, complaints


@pytest.mark.parametrize(("terms", "scheme"), [(DESK, "light"), (PHONE, "dark")])
async def test_every_page_fits_in_both_themes(one: Alarmed, browser: Browser, terms: Any, scheme: str) -> None:
    page, complaints = await signed_in(browser, one, color_scheme=scheme, **terms)
    (alert,) = await one.open()
    for path in (*PAGES, f"/{alert['id']}"):
        await page.goto(f"{one.house.url}/console/alerts{path}")
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


async def test_by_keyboard_from_the_list_to_a_snooze(one: Alarmed, browser: Browser) -> None:
    page, complaints = await signed_in(browser, one, **DESK)
    await page.goto(f"{one.house.url}/console/alerts")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="slow · a")).to_be_visible()
    await expect(page.locator("#around canvas, #around svg").first).to_be_visible()
    await page.get_by_role("button", name="Snooze").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("dialog").get_by_label("For").select_option("24")
    await page.get_by_role("dialog").get_by_role("button", name="Snooze").press("Enter")
    await expect(page.get_by_text("Nobody is told: snoozed by")).to_be_visible()
    await page.get_by_role("button", name="Wake").press("Enter")
    await expect(page.get_by_role("button", name="Acknowledge")).to_be_visible()
    assert complaints == []
    await page.context.close()


async def test_a_rule_by_its_form(one: Alarmed, browser: Browser) -> None:
    page, _ = await signed_in(browser, one, **DESK)  # a refused form is a 400, which the browser notes
    await page.goto(f"{one.house.url}/console/alerts/rules")
    await page.get_by_role("link", name="Make a rule").click()
    await page.get_by_label("Name").fill("mine")
    await page.get_by_label("Measure", exact=True).select_option("toy_latency_ms")
    await page.get_by_label("Value").fill("much")
    await page.get_by_role("button", name="Make the rule").click()
    await expect(page.get_by_text("is no number").first).to_be_visible()
    await expect(page.get_by_label("Name")).to_have_value("mine")
    await page.get_by_label("Value").fill("2000")
    await page.get_by_role("button", name="Make the rule").click()
    await page.get_by_role("link", name="mine").click()
    await page.get_by_role("button", name="Remove").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(page.get_by_role("heading", name="Rules", level=1)).to_be_visible()
    await expect(page.get_by_role("link", name="mine")).to_have_count(0)
    await page.context.close()


async def test_a_webhooks_secret_is_shown_once(one: Alarmed, browser: Browser) -> None:
    page, complaints = await signed_in(browser, one, **DESK)
    await page.goto(f"{one.house.url}/console/alerts/webhooks")
    await page.get_by_role("button", name="Subscribe").click()
    await page.get_by_role("dialog").get_by_label("Address").fill("http://127.0.0.1:9/hook")
    await page.get_by_role("dialog").get_by_role("button", name="Subscribe").click()
    await expect(page.get_by_text("whsec_")).to_be_visible()
    await page.goto(f"{one.house.url}/console/alerts/webhooks")
    await expect(page.get_by_text("whsec_")).to_have_count(0)
    assert complaints == []
    await page.context.close()

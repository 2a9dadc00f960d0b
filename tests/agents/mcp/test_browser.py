"""The way to an authorization server and back in a real browser, whose cookies are not sent along with what another site begins."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.agents.mcp.issuer import authorised
from tests.house import SETTINGS, open_house

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import async_playwright, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


async def test_consent_is_given_and_taken_back(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    async with authorised() as (url, authority):
        settings = f'{SETTINGS}[agents.toolboxes.tickets]\nkind = "mcp"\nurl = "{url}"\nconsent = {{ }}\n'
        async with open_house(tmp_path, settings) as house, async_playwright() as playwright:
            ada = await house.made("/v1/people", {"name": "Ada", "email": "ada@example.org"})
            key, _ = await house.key(name="ada", person=ada["id"], scopes=["call", "read"])
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = await browser.new_page(viewport={"width": 390, "height": 844})
            # For cookies localhost is another site than 127.0.0.1, where the authorization server is.
            home = house.url.replace("127.0.0.1", "localhost")
            await page.goto(f"{home}/console/agents/mcp/tickets/consent")
            await page.fill("input[name=key]", key)
            await page.keyboard.press("Enter")
            await page.get_by_role("link", name="Consent").click()
            await expect(page.get_by_text("It covers tickets")).to_be_visible(timeout=60_000)
            assert len(authority.live) == 1
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await page.get_by_role("button", name="Take back").click()
            await expect(page.get_by_text("not consented")).to_be_visible(timeout=60_000)
            assert authority.live == {}
            await browser.close()

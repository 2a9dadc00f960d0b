"""The overview in a real browser: it follows by itself, and keeps its charts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.house import open_house

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


async def test_the_overview_follows_calls_and_keeps_its_charts(tmp_path: Path) -> None:
    from playwright.async_api import async_playwright, expect

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing; browser tests must run here")
        pytest.skip("Chromium is not installed")
    faults: list[str] = []
    async with open_house(tmp_path) as house, async_playwright() as playwright:
        await house.ask("POST", "/v1/chat/completions", {"model": "nobody", "messages": []})
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page()
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        await page.goto(f"{house.url}/console/sign-in")
        await page.fill("input[name=key]", house.admin)
        await page.click("button[type=submit]")
        await page.wait_for_url("**/console/")
        await expect(page.locator("[data-live-state=on]")).to_be_visible()
        calls = page.locator(".grid-stats > *").first
        await expect(calls).to_contain_text("1 refused")
        await expect(page.locator("#calls canvas")).to_have_count(1)
        await house.ask("POST", "/v1/chat/completions", {"model": "nobody", "messages": []})
        await expect(calls).to_contain_text("2 refused", timeout=10_000)
        await expect(page.locator("#calls canvas")).to_have_count(1)
        await page.select_option("select[name=group]", "task")
        await page.wait_for_url("**group=task**")
        await expect(page.locator("#calls canvas")).to_have_count(1)
        await browser.close()
    assert faults == []

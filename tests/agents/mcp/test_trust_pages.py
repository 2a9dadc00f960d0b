"""An admin looks at what an MCP server offers, trusts it and trusts it no more, in a real browser."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.agents.toolbox.tickets import EVIL, bound, served, tickets
from tests.house import SETTINGS, open_house

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Page, async_playwright, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


async def decide(page: Page, button: str, note: str) -> None:
    await page.get_by_label("find", exact=True).check()
    await page.get_by_label("Why").fill(note)
    await page.get_by_role("button", name=button, exact=True).click()


async def test_tools_are_looked_at_trusted_and_trusted_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    monkeypatch.setattr("penstock.agents.toolbox.mcp_tools.LOOK_SECONDS", 0.0)
    held = bound()
    port = held.getsockname()[1]
    settings = f'{SETTINGS}[agents.toolboxes.tickets]\nkind = "mcp"\nurl = "http://127.0.0.1:{port}/mcp"\nseconds = 30\n'
    async with open_house(tmp_path, settings) as house, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        await page.goto(f"{house.url}/console/agents")
        await page.fill("input[name=key]", house.admin)
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="MCP servers").click()
        async with served(tickets().streamable_http_app(), held):
            await page.get_by_role("link", name="tickets").click()
            await expect(page.get_by_text("Find a ticket.")).to_be_visible(timeout=60_000)
            await page.get_by_role("button", name="Trust", exact=True).click()
            await expect(page.get_by_text("tick the tools that are meant")).to_be_visible(timeout=60_000)
            await decide(page, "Trust", "reviewed")
            await expect(page.get_by_text("Trusted by")).to_be_visible(timeout=60_000)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")

        # It comes back with other words while the page still shows the old ones.
        async with served(tickets(EVIL).streamable_http_app(), bound(port)):
            await decide(page, "Trust", "as before")
            await expect(page.get_by_text("Nothing was changed")).to_be_visible(timeout=60_000)
            await expect(page.get_by_text("As it was trusted")).to_be_visible()
            await expect(page.get_by_text(EVIL)).to_be_visible()
            if shots := os.environ.get("PENSTOCK_SHOTS"):
                for width, theme in ((390, "dark"), (1440, "light")):
                    await page.set_viewport_size({"width": width, "height": 900})
                    await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
                    await page.screenshot(path=Path(shots) / f"mcp-{width}-{theme}.png", full_page=True)
            await decide(page, "Trust no more", "it gives orders")
            await expect(page.get_by_text("Distrusted by")).to_be_visible(timeout=60_000)

        await page.reload()  # nobody is there
        await expect(page.get_by_text("The server could not be asked")).to_be_visible(timeout=60_000)
        trail = (await house.ask("GET", "/v1/inbox/trail?subject=mcp/tickets")).json["data"]
        assert [(one["action"], one["details"]["note"]) for one in trail] == [("distrusted", "it gives orders"), ("trusted", "reviewed")]

        reader, _ = await house.key(name="reader", scopes=["read", "call"])
        other = await browser.new_page()
        await other.goto(f"{house.url}/console/agents")
        await other.fill("input[name=key]", reader)
        await other.keyboard.press("Enter")
        await expect(other.get_by_role("heading", name="Agents", exact=True)).to_be_visible(timeout=60_000)
        assert await other.get_by_role("link", name="MCP servers").count() == 0
        answer = await other.goto(f"{house.url}/console/agents/mcp/tickets/tools")
        assert answer is not None
        assert answer.status == 403
        await browser.close()

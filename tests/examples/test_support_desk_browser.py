"""The support desk in a real browser, from ticket to refund: started, watched, its server killed and started again, and all of it once.

Everything is real: ``penstock up`` in a process of its own, the stand-in in another, an SMTP server on a socket, Chromium.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.alerts.smtp import Smtp, smtp_server
from tests.examples.stage import settings
from tests.system.process import Penstock

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Browser, Page, async_playwright, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(480)]

ROOT = Path(__file__).parent.parent.parent
ANSWER_SECONDS = 0.6
"""How long the stand-in takes for an answer: long enough to be seen at it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def stand_in(port: int) -> AsyncGenerator[None]:
    """The example's model, as its page says to start it."""
    words = ("-m", "examples.stand_in", "examples.support_desk.script", "--port", str(port), "--seconds", str(ANSWER_SECONDS))
    process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT)
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(60):
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{port}/v1/models") as answer:
                        assert answer.status == 200
                        break
                except aiohttp.ClientConnectionError:
                    assert process.returncode is None, "the stand-in ended"
                    await asyncio.sleep(0.05)
        yield
    finally:
        process.terminate()
        await process.wait()


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        await started.close()


@pytest_asyncio.fixture
async def mail() -> AsyncIterator[Smtp]:
    async with smtp_server() as found:
        yield found


def refunds(file: Path) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT order_number, cents FROM refunds").fetchall()


async def signed_in(browser: Browser, house: Penstock, key: str) -> Page:
    context = await browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    answer = await context.request.post(f"{house.url}/console/sign-in", form={"key": key}, headers={"origin": house.url}, max_redirects=0)
    assert answer.status == 303
    return await context.new_page()


async def people(house: Penstock) -> tuple[str, str]:
    """Keys of who starts runs and of who agrees to refunds; the checker's own goes into the settings, for the next start."""
    checker = await house.ask("POST", "/v1/keys", {"name": "checker", "scopes": ["call"]})
    starter = await house.ask("POST", "/v1/keys", {"name": "desk", "scopes": ["call", "read"]})
    pia = await house.ask("POST", "/v1/people", {"name": "Pia"})
    boss = await house.ask("POST", "/v1/keys", {"name": "boss", "scopes": ["admin"], "person": pia["id"]})
    house.config.write_text(house.config.read_text("utf-8").replace("key_of_the_checker", checker["key"]["id"]), "utf-8")
    return starter["secret"], boss["secret"]


async def test_a_ticket_becomes_one_refund_and_one_mail_although_the_server_is_killed(tmp_path: Path, browser: Browser, mail: Smtp) -> None:
    model, port, shop = free_port(), free_port(), tmp_path / "shop.db"
    house = Penstock(tmp_path / "house", settings("support_desk", f"http://127.0.0.1:{model}"))
    # A port that stays, as that of a server does: the page comes back to it.
    house.config.write_text(house.config.read_text("utf-8").replace("port = 0", f"port = {port}"), "utf-8")
    house.environ |= {"SHOP_DATABASE": str(shop), "SMTP_PORT": str(mail.port), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    async with stand_in(model):
        await house.start()
        try:
            starter, boss = await people(house)
            await house.terminate()
            await house.start()
            page = await signed_in(browser, house, starter)
            await page.goto(f"{house.url}/console/agents")
            await page.get_by_role("link", name="support-desk").click()
            await page.get_by_label("Input").fill("Please see to T-1001.")
            await page.get_by_role("button", name="Start").click()
            steps = page.get_by_role("group", name="Steps of the run")
            # It streams: a step stands there before the next has happened.
            await expect(steps.get_by_role("link", name="read_ticket")).to_be_visible(timeout=60_000)
            await expect(steps.get_by_role("link", name="email_send")).to_have_count(0)
            await expect(steps.get_by_role("link", name="approval refund")).to_be_visible(timeout=60_000)
            await expect(steps.get_by_role("link", name="refund-checker", exact=True)).to_be_visible(timeout=60_000)

            assert await house.kill()
            assert (refunds(shop), mail.mails) == ([], [])
            await house.start()
            await page.reload()
            await expect(steps.get_by_role("link", name="approval refund")).to_be_visible(timeout=60_000)

            inbox = await signed_in(browser, house, boss)
            await inbox.goto(f"{house.url}/console/inbox")
            await inbox.get_by_role("link", name="refund").first.click()
            await expect(inbox.get_by_text("4900").first).to_be_visible()
            assert (refunds(shop), mail.mails) == ([], [])
            await inbox.get_by_role("button", name="Approve exactly this").click()

            await expect(page.locator(".grid-stats").get_by_text("done")).to_be_visible(timeout=90_000)
            await expect(page.locator("#gave")).to_contain_text("You have 49.00 EUR back.")
            assert refunds(shop) == [("2026-117", 4900)]
            (sent,) = mail.mails
            assert sent[1] == ["ada@example.com"]
            await expect(page.locator("#effects").get_by_text("irreversible").first).to_be_visible()
        finally:
            await house.kill()

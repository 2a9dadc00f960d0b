"""The threads in a real browser: keyboard, themes, phone, empty, deleting, and who may not."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.house import House, open_house

from penstock.agents.memory.service import Memories
from penstock.agents.memory.settings import MemorySettings
from penstock.agents.memory.threads import Threads
from penstock.agents.recollection import Owner
from penstock.storage.records import Records

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Browser, Page, async_playwright, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
LIST = "/console/agents/threads"
LONG = "Where is my order 2024-117? It was to come last week, " + "x" * 90 + ", and nobody has told me anything since."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("house")) as opened:
        organisation, records = await opened.home(), opened.app.ports.get(Records)
        threads, memories = Threads(records, MemorySettings()), Memories(records, MemorySettings())
        ada = (await opened.made("/v1/people", {"name": "Ada Lovelace", "organisation": organisation}))["id"]
        for id, person in (("talk", ada), ("other", ""), ("gone", ada)):
            await threads.open(organisation, id, "desk", person, LONG)
        for run, asked, told in (("run_1", LONG, "It left on Monday.\n\nIt should be with you today."), ("run_2", "Thanks!", "Gladly.")):
            await threads.keep(organisation, "talk", run, [("user", asked), ("assistant", told)])
        await memories.remember(
            organisation, Owner("person", ada), "Ada wants parcels left with the neighbours", labels=["delivery"], run="run_1"
        )
        await memories.remember(organisation, Owner("agent", "desk"), "Refunds above 100 euros need two people")
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        await started.close()


async def signed_in(browser: Browser, house: House, key: str, **terms: Any) -> tuple[Page, list[str]]:
    """A page of whose key it is, and what the browser complains of on it."""
    context = await browser.new_context(locale="en-GB", **terms)
    context.set_default_timeout(20_000)
    form, headers = {"key": key}, {"origin": house.url}
    answer = await context.request.post(f"{house.url}/console/sign-in", form=form, headers=headers, max_redirects=0)
    assert answer.status == 303
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda fault: complaints.append(str(fault)))
    return page, complaints


@pytest.mark.parametrize(("terms", "scheme"), [(DESK, "light"), (PHONE, "dark")])
async def test_every_page_fits_in_both_themes(house: House, browser: Browser, terms: Any, scheme: str) -> None:
    page, complaints = await signed_in(browser, house, house.admin, color_scheme=scheme, **terms)
    for path in ("", "?agent=nobody", "/talk", "/talk?q=parcel", "/other"):
        await page.goto(f"{house.url}{LIST}{path}")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
        if folder := os.environ.get("PENSTOCK_SHOTS"):
            name = f"threads{path.replace('/', '-').replace('?', '-')}-{scheme}.png"
            await page.screenshot(path=Path(folder) / name, full_page=True)
    assert complaints == []
    await page.context.close()


async def test_a_thread_is_read_searched_and_deleted_with_the_keyboard(house: House, browser: Browser) -> None:
    page, complaints = await signed_in(browser, house, house.admin, **DESK)
    await page.goto(f"{house.url}{LIST}?person=nobody")
    await expect(page.get_by_text("No thread matches")).to_be_visible()
    await page.goto(f"{house.url}{LIST}")
    await page.goto(f"{house.url}{LIST}/talk")
    await expect(page.get_by_text("It left on Monday.")).to_be_visible()
    await expect(page.get_by_text("Refunds above 100 euros")).to_be_visible()
    search = page.get_by_role("searchbox", name="Search what is remembered")
    await search.fill("parcels")
    await search.press("Enter")
    await expect(page.get_by_text("left with the neighbours")).to_be_visible()
    await expect(page.get_by_text("Refunds above 100 euros")).to_have_count(0)
    forget = page.get_by_role("button", name="Forget: Ada wants parcels")
    await forget.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Refunds above 100 euros")).to_be_visible()
    await expect(page.get_by_text("left with the neighbours")).to_have_count(0)
    await page.goto(f"{house.url}{LIST}/gone")
    await page.get_by_role("button", name="Delete", exact=True).press("Enter")
    await page.get_by_role("button", name="Delete the thread").press("Enter")
    await expect(page.get_by_role("heading", level=1, name="Threads")).to_be_visible()
    assert (await house.ask("GET", "/v1/agents/threads/gone")).status == 404
    assert complaints == []
    await page.context.close()


async def test_who_may_not_sees_no_buttons_and_nothing_of_others(house: House, browser: Browser) -> None:
    reader, _ = await house.key(scopes=["read"])
    page, _ = await signed_in(browser, house, reader, **DESK)
    await page.goto(f"{house.url}{LIST}/talk")
    await expect(page.get_by_text("It left on Monday.")).to_be_visible()
    await expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    await page.context.close()
    bob = (await house.made("/v1/people", {"name": "Bob", "organisation": await house.home()}))["id"]
    key, _ = await house.key(person=bob, scopes=["call", "read"])
    page, _ = await signed_in(browser, house, key, **DESK)
    await page.goto(f"{house.url}{LIST}")
    await expect(page.get_by_text("No threads yet")).to_be_visible()
    answer = await page.goto(f"{house.url}{LIST}/talk")
    assert answer is not None
    assert answer.status == 404
    await page.context.close()

"""Pages of traces in a real browser: the keyboard in the tree, parts that are fetched, dark, a phone, following, the playground."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.observability.otlp.exports import a_span, request
from tests.observability.traces.rig import BAD, GOOD, LARGE, ODD, Rig, trace_house

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import BrowserContext, Page, async_playwright, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
WAIT = 20_000


class Visit:
    """A signed-in browser; what it complains of is kept."""

    def __init__(self, rig: Rig, context: BrowserContext) -> None:
        self.rig = rig
        self.context = context
        self.complaints: list[str] = []

    async def open(self, path: str, scheme: Any = "light") -> Page:
        page = await self.context.new_page()
        await page.emulate_media(color_scheme=scheme)
        page.on("pageerror", lambda fault: self.complaints.append(str(fault)))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None)
        await page.goto(f"{self.rig.house.url}{path}")
        return page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def visits(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Visit]]:
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    chromium = os.environ.get("PENSTOCK_CHROMIUM") or next(filter(None, found), None)
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing; browser tests must run here")
        pytest.skip("Chromium is not installed")
    async with trace_house(tmp_path_factory.mktemp("house"), large=4000) as rig, async_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await playwright.chromium.launch(executable_path=chromium, args=flags)
        made: dict[str, Visit] = {}
        for name, options, key in (("desk", DESK, rig.house.admin), ("phone", PHONE, rig.house.admin), ("others", DESK, rig.outsider)):
            context = await browser.new_context(locale="en-GB", **options)
            page = await context.new_page()
            await page.goto(f"{rig.house.url}/console/sign-in")
            await page.fill("input[name=key]", key)
            await page.click("button[type=submit]")
            await page.wait_for_url("**/console/")
            await page.close()
            made[name] = Visit(rig, context)
        yield made
        await browser.close()
    assert [visit.complaints for visit in made.values()] == [[], [], []]


PAGES = (
    "traces", "traces?text=nowhere", f"traces/{GOOD}", f"traces/{LARGE}", f"traces/{ODD}", f"traces/{GOOD}/spans/{3:016x}",
    f"traces/diff?a={GOOD}&b={BAD}", "threads", "threads/chat-1", "live/spans", "intake",
)  # fmt: skip


@pytest.mark.parametrize(("device", "scheme"), [("desk", "dark"), ("phone", "light")])
async def test_no_page_overflows(visits: dict[str, Visit], device: str, scheme: str) -> None:
    page = await visits[device].open("/console/traces", scheme)
    for path in PAGES:
        await page.goto(f"{visits[device].rig.house.url}/console/{path}")
        await expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=WAIT)
        width = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], path
    await page.close()


async def test_the_tree_is_walked_opened_and_closed_by_the_keyboard(visits: dict[str, Visit]) -> None:
    page = await visits["desk"].open(f"/console/traces/{LARGE}")
    rows = page.locator("[data-tree] [role=row][aria-level]:visible")
    before = await rows.count()
    assert before < 300
    await page.locator("[data-tree] [role=row][aria-level]").first.focus()
    await page.keyboard.press("ArrowDown")
    here = page.locator("[role=row]:focus")
    await expect(here).to_have_attribute("aria-expanded", "false")
    await page.keyboard.press("ArrowRight")
    await expect(here).to_have_attribute("aria-expanded", "true")
    await expect(rows).not_to_have_count(before, timeout=WAIT)
    opened = await rows.count()
    await page.keyboard.press("ArrowDown")
    await expect(here).to_have_attribute("aria-level", "3")
    await page.keyboard.press("ArrowLeft")
    await expect(here).to_have_attribute("aria-level", "2")
    await page.keyboard.press("ArrowLeft")
    await expect(rows).to_have_count(before)
    await page.keyboard.press("ArrowRight")
    await expect(rows).to_have_count(opened)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/spans/*", timeout=WAIT)
    await page.keyboard.press("n")
    await expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=WAIT)
    await page.close()


async def test_further_siblings_come_by_a_link(visits: dict[str, Visit]) -> None:
    page = await visits["desk"].open(f"/console/traces/{LARGE}")
    tree = page.locator("[data-tree]")
    await tree.locator("[data-unfold]").nth(1).click()
    more = tree.get_by_text("Show more of").first
    await expect(more).to_be_visible(timeout=WAIT)
    before = await tree.locator(".wf-name").count()
    await more.click()
    await expect(tree.locator(".wf-name")).not_to_have_count(before, timeout=WAIT)
    await page.close()


async def test_filters_stay_in_the_address(visits: dict[str, Visit]) -> None:
    page = await visits["desk"].open("/console/traces")
    await page.select_option("select[name=status]", "failed")
    await page.wait_for_url("**status=failed**", timeout=WAIT)
    await expect(page.locator("#results tbody tr")).to_have_count(1, timeout=WAIT)
    await page.fill("input[name=text]", "nothing like that")
    await expect(page.get_by_text("Nothing found")).to_be_visible(timeout=WAIT)
    await page.close()


async def test_the_tail_follows_and_pauses(visits: dict[str, Visit]) -> None:
    visit = visits["desk"]
    rig = visit.rig
    page = await visit.open("/console/live/spans?service=far")
    await expect(page.locator("[data-live-state=on]")).to_be_visible(timeout=WAIT)
    await expect(page.get_by_text("Nothing like that in this hour")).to_be_visible()
    body = request(a_span(name="it came", start=rig.began, end=rig.began + 10), resource={"service.name": "far"}).SerializeToString()
    assert (await rig.house.ask("POST", "/v1/traces", body, content_type="application/x-protobuf")).status == 200
    await expect(page.locator("#results tbody tr")).to_have_count(1, timeout=WAIT)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("[data-live-state=paused]")).to_be_visible(timeout=WAIT)
    await page.close()


async def test_a_call_is_tried_again_in_the_playground(visits: dict[str, Visit]) -> None:
    page = await visits["desk"].open(f"/console/traces/{GOOD}/spans/{3:016x}")
    await page.get_by_role("link", name="Try in the playground").click()
    prompt = page.locator("#prompt")
    await expect(prompt).to_have_value("Where is the blue kettle? <script>alert(1)</script>", timeout=WAIT)
    assert await page.locator("[name=temperature]").input_value() == "0.2"
    assert await page.locator("[name=system]").input_value() == "Be brief."
    await page.close()


async def test_something_is_said_of_a_span(visits: dict[str, Visit]) -> None:
    page = await visits["phone"].open(f"/console/traces/{BAD}/spans/{3:016x}", "dark")
    await page.fill("#annotation-label", "doubtful")
    await page.fill("#annotation-score", "40")
    await page.get_by_role("button", name="Say it").click()
    await expect(page.locator("#annotations .badge")).to_have_text("doubtful", timeout=WAIT)
    await page.close()


async def test_others_see_their_own_only(visits: dict[str, Visit]) -> None:
    page = await visits["others"].open("/console/traces?hours=720")
    await expect(page.locator("#results tbody tr")).to_have_count(1, timeout=WAIT)
    answer = await page.context.request.get(f"{visits['others'].rig.house.url}/console/traces/{GOOD}")
    assert answer.status == 404
    await page.close()

"""Health and Compare in a real browser: one axis of time, keyboard, themes, phone, filters, numbers, views; empty, off, not allowed."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.house import SETTINGS, House, open_house
from tests.observability.health.conftest import call

from penstock.kernel.measures import Asked, Example, Mark, MarkSources, Measure, MeasureSources, Reading
from penstock.storage.telemetry.store import TelemetryStore

pytest.importorskip("playwright", reason="playwright is not installed")

from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect
from playwright.async_api import Error as PlaywrightError

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

NOW = time.time()
GROUNDED = Measure(name="drift_sampled", title="Drift: sampled", help="Of replies.", unit="score", dimensions=frozenset({"task"}))
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}


class Sampled:
    """A measure with intervals, as another room offers one."""

    measures = (GROUNDED,)

    async def readings(self, names: Any, asked: Asked) -> dict[str, list[Reading]]:
        at = time.time() // asked.step * asked.step  # as the page counts its steps, however long the suite has run by now
        return {GROUNDED.name: [Reading(at=at - n * asked.step, value=0.2, count=40, low=0.1, high=0.3) for n in (2, 1)]}

    async def examples(self, name: str, asked: Asked, limit: int = 5) -> list[Example]:
        return []


class Incidents:
    async def marks(self, organisation: str | None, since: float, until: float) -> list[Mark]:
        return [Mark(at=NOW - 7200, until=NOW - 3600, kind="incident", title="Provider away")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("house")) as made:
        home = await made.home()
        spans = [
            call(NOW - n * 900, 80 + n, organisation=home, model=("big", "small")[n % 2], service="desk", release="2" if n < 20 else "1")
            for n in range(1, 60)
        ]
        store = made.app.ports.get(TelemetryStore)
        await store.append(spans, "batch")
        await store.flush()
        made.app.ports.get(MeasureSources).append(Sampled())
        made.app.ports.get(MarkSources).append(Incidents())
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        await started.close()


class Visit:
    """Opens pages as who holds a key, and keeps what the browser complained of."""

    def __init__(self, browser: Browser, house: House) -> None:
        self.browser, self.house = browser, house
        self.complaints: list[str] = []
        self.contexts: list[BrowserContext] = []

    async def open(self, path: str, key: str = "", **options: Any) -> Page:
        terms: dict[str, Any] = {"locale": "en-GB", **DESK, **options}
        context = await self.browser.new_context(**terms)
        self.contexts.append(context)
        signed = await context.request.post(
            f"{self.house.url}/console/sign-in",
            form={"key": key or self.house.admin},
            headers={"origin": self.house.url},
            max_redirects=0,
        )
        assert signed.status == 303
        page = await context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(self.house.url + path)
        return page


@pytest_asyncio.fixture(loop_scope="module")
async def visit(browser: Browser, house: House) -> AsyncIterator[Visit]:
    made = Visit(browser, house)
    yield made
    for context in made.contexts:
        await context.close()
    assert made.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/console/health", "/console/health/compare?what=model&a=big&b=small&last=86400"])
async def test_no_page_breaks_the_policy_or_overflows(visit: Visit, path: str, theme: str) -> None:
    for options in (DESK, PHONE):
        page = await visit.open(path, color_scheme=theme, **options)
        await expect(page.locator("#latency")).to_have_attribute("data-drawn", "")
        width = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1]


async def test_charts_share_one_axis_and_one_cursor(visit: Visit) -> None:
    page = await visit.open("/console/health")
    await expect(page.locator("#calls")).to_have_attribute("data-drawn", "")
    boxes = [await over.bounding_box() for over in await page.locator(".u-over").all()]
    assert len({(round(box["x"]), round(box["width"])) for box in boxes if box}) == 1
    await page.locator("#latency .u-over").hover()
    for id in ("latency", "calls", "drift"):
        await expect(page.locator(f"#{id} .chart-tip")).to_be_visible()
    marks = page.get_by_role("list", name="What happened")
    await expect(marks).to_contain_text("Provider away")
    await expect(marks.get_by_role("link", name="desk 2")).to_have_attribute("href", re.compile(r"service=desk&release=2"))


async def test_the_keyboard_moves_in_time_and_opens_the_calls(visit: Visit) -> None:
    page = await visit.open("/console/health?task=answer")
    await page.route("**/console/traces?**", lambda route: route.fulfill(body="<h1>traces</h1>", content_type="text/html"))
    await expect(page.locator("#latency")).to_have_attribute("data-drawn", "")
    await page.get_by_role("group", name=re.compile("^Latency: left and right")).focus()
    await page.keyboard.press("End")
    await page.keyboard.press("ArrowLeft")
    tip = page.locator("#drift .chart-tip")
    await expect(tip).to_contain_text("sampled0.20 (0.10 to 0.30)")
    await page.keyboard.press("Escape")
    await expect(tip).to_be_hidden()
    await page.keyboard.press("Home")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/console/traces\?kind=call&task=answer&since=\d+&until=\d+$"))


async def test_numbers_and_query_are_one_click_away(visit: Visit) -> None:
    page = await visit.open("/console/health")
    errors = page.locator("#errors")
    await expect(errors).to_have_attribute("data-drawn", "")
    await errors.get_by_text("Show the numbers").click()
    await expect(errors.get_by_role("columnheader", name="Refused")).to_be_visible()
    assert await errors.locator("tbody tr").count() > 90
    await expect(errors.locator("code")).to_contain_text("GET /v1/measures/readings?names=error_rate,refusal_rate&since=")
    for form, begin in (("JSON", b'{"since"'), ("CSV", b"measure,at"), ("Parquet", b"PAR1")):
        href = await errors.get_by_role("link", name=form).get_attribute("href")
        answer = await page.context.request.get(f"{visit.house.url}{href}")
        assert (await answer.body()).startswith(begin)


async def test_filters_stand_in_the_address_and_draw_anew(visit: Visit) -> None:
    page = await visit.open("/console/health")
    await page.get_by_label("Model", exact=True).select_option("big")
    await page.wait_for_url("**/console/health?**model=big**")
    await settled(page)
    await page.get_by_label("A line for each").select_option("release")
    await page.wait_for_url("**by=release**")
    await expect(page.locator("#calls .chart-legend button")).to_have_text(["1", "2"])
    await expect(page.locator("#drift")).to_contain_text("does not know model, release")


async def test_a_view_is_saved_from_the_page_and_found_again(visit: Visit) -> None:
    page = await visit.open("/console/health?last=21600&model=small")
    await page.locator("summary", has_text="Views").click()
    await page.get_by_label("Save what is shown as").fill("Small, six hours")
    await page.get_by_role("button", name="Save view").click()
    link = page.get_by_role("link", name="Small, six hours")
    await expect(link).to_have_attribute("href", "/console/health?last=21600&model=small")
    await page.get_by_role("button", name="Remove view Small, six hours").click()
    await expect(page.get_by_text("No views of this page yet.")).to_be_visible()


async def settled(page: Page) -> None:
    """Wait until htmx has taken what it put into the page into its care."""
    await expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added")).to_have_count(0)


async def test_comparing_says_what_is_more_than_chance(visit: Visit) -> None:
    page = await visit.open("/console/health/compare")
    await page.get_by_label("Compare", exact=True).select_option("release")
    await page.wait_for_url("**what=release**")
    await settled(page)
    await page.get_by_label("First", exact=True).select_option("2")
    await page.wait_for_url("**a=2**")
    await settled(page)
    await page.get_by_label("Second", exact=True).select_option("1")
    await expect(page.get_by_role("row", name=re.compile("^Calls 19 40 "))).to_be_visible()
    await expect(page.get_by_role("row", name=re.compile("^Failed .* no more than chance"))).to_be_visible()
    await expect(page.locator("#latency")).to_have_attribute("data-drawn", "")
    await expect(page.locator("#latency .chart-legend button")).to_have_text(["2", "1"])


async def test_a_late_answer_does_not_take_the_place_of_a_newer_one(visit: Visit) -> None:
    page = await visit.open("/console/health")
    let_go = asyncio.Event()
    late: list[Route] = []

    async def hold(route: Route) -> None:
        if "hx-request" not in route.request.headers or late:
            await route.continue_()
            return
        late.append(route)
        await let_go.wait()
        with contextlib.suppress(PlaywrightError):  # the page does not wait for it any more
            await route.continue_()

    await page.route(f"{visit.house.url}/console/health", hold)
    await page.goto(f"{visit.house.url}/console/health")
    async with page.expect_event("requestfailed"):
        await page.locator("select[name=last]").select_option("21600")
    await expect(page.locator("#latency")).to_have_attribute("data-drawn", "")
    let_go.set()
    await settled(page)
    await expect(page.locator("select[name=last]")).to_have_value("21600")


async def test_who_has_no_calls_is_told(visit: Visit) -> None:
    secret, _ = await visit.house.outsider()
    page = await visit.open("/console/health", key=secret)
    await expect(page.get_by_text("Nothing to draw")).to_be_visible()
    await expect(page.locator("#latency")).to_contain_text("No data in this period")


async def test_who_may_not_read_sees_nothing(house: House) -> None:
    caller, _ = await house.key(scopes=["call"])
    for path in ("/console/health", "/console/health/compare"):
        assert (await house.ask("GET", path, key=caller, accept="text/html")).status == 403
    for path in ("/console/health?last=7", "/console/health?colour=red", "/console/health/compare?what=colour&a=1&b=2"):
        assert (await house.ask("GET", path, accept="text/html")).status == 400


async def test_a_house_without_spans_says_how_to_have_them(tmp_path: Path) -> None:
    async with open_house(tmp_path, settings=f'{SETTINGS}\n[storage]\ntelemetry = "off"\n') as house:
        for path in ("/console/health", "/console/health/compare"):
            answer = await house.ask("GET", path, accept="text/html")
            assert "Set storage.telemetry" in answer.text
        assert (await house.ask("GET", "/v1/traces/export")).status == 503

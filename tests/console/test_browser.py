"""The console in a real Chromium: policy, themes, keyboard, filters, charts, live streams, the playground, and a phone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock.console import formats

pytest.importorskip("playwright", reason="playwright is not installed")

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ElementHandle, Page, async_playwright, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]

PAGES = ("gallery", "calls/7", "sign-in?error=No", "playground", "live")
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, "--disable-component-update", "--disable-sync"])
        yield started
        await started.close()


class Visit:
    """Opens pages and keeps what the browser complained of."""

    def __init__(self, browser: Browser, site: str) -> None:
        self.browser = browser
        self.site = site
        self.complaints: list[str] = []
        self.contexts: list[BrowserContext] = []

    async def open(self, path: str, **options: Any) -> Page:
        context = await self.browser.new_context(**{"locale": "en-GB", "timezone_id": "Europe/Berlin", **options})
        self.contexts.append(context)
        page = await context.new_page()
        page.on("console", lambda message: message.type in {"error", "warning"} and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(f"{self.site}/console/{path}")
        return page


@pytest_asyncio.fixture(loop_scope="module")
async def visit(browser: Browser, site: str) -> AsyncIterator[Visit]:
    made = Visit(browser, site)
    yield made
    for context in made.contexts:
        await context.close()
    assert made.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
async def test_no_page_breaks_the_policy_or_overflows(visit: Visit, path: str, theme: str) -> None:
    for options in ({"viewport": {"width": 1440, "height": 900}}, PHONE):
        page = await visit.open(path, color_scheme=theme, **options)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        for figure in await page.locator("figure[data-chart]").all():
            await expect(figure).to_have_attribute("data-drawn", "")
        width = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1]


async def test_a_script_in_the_page_would_not_run(visit: Visit) -> None:
    page = await visit.open("gallery")
    await page.evaluate("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)")
    assert await page.evaluate("window.ran") is None
    assert len(visit.complaints) == 1
    assert "Content Security Policy" in visit.complaints.pop()


async def test_a_chosen_theme_lasts_and_is_there_before_the_first_paint(visit: Visit) -> None:
    page = await visit.open("gallery", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)
    await page.get_by_role("button", name="Theme: system").click()
    await page.get_by_role("button", name="Theme: light").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = await page.evaluate(ground)
    assert dark != light
    # Modules run late; with them blocked, only what runs before the first paint can have set the theme.
    await page.route("**/console.js", lambda route: route.abort())
    await page.reload()
    assert await page.evaluate(ground) == dark
    await page.unroute("**/console.js")
    visit.complaints.clear()  # the file that was held back on purpose
    await page.reload()
    await page.keyboard.press("t")
    await expect(page.locator("html")).not_to_have_attribute("data-theme", re.compile("."))


async def drawn_anew(page: Page, row: ElementHandle | None) -> None:
    """Wait until the list that held ``row`` has been replaced."""
    await page.wait_for_function("row => !row.isConnected", arg=row)
    await expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)


async def test_the_keyboard_goes_everywhere(visit: Visit) -> None:
    page = await visit.open("gallery")
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    await expect(dialog).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await page.keyboard.press("/")
    search = page.get_by_role("searchbox")
    await expect(search).to_be_focused()
    rows = page.locator("table[data-rows] tbody tr")
    row = await rows.first.element_handle()
    await page.keyboard.type("jk?")
    await expect(search).to_have_value("jk?")
    await expect(page).to_have_url(re.compile(r"q=jk%3F$"))
    await drawn_anew(page, row)
    row = await rows.first.element_handle()
    await page.keyboard.press("Escape")
    # Chromium empties a search field on Escape, after which the list is drawn once more: rows that have the focus would go under it.
    await drawn_anew(page, row)
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(rows.nth(1)).to_be_focused()
    await page.keyboard.press("k")
    await expect(rows.nth(0)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{visit.site}/console/calls/0")
    await page.keyboard.press("g")
    await page.keyboard.press("p")
    await expect(page).to_have_url(f"{visit.site}/console/playground")


async def test_the_skip_link_comes_first_and_leads_past_the_navigation(visit: Visit) -> None:
    page = await visit.open("gallery")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_filters_stand_in_the_address_without_empty_ones(visit: Visit) -> None:
    page = await visit.open("gallery")
    await page.get_by_label("Model", exact=True).select_option("mixtral-8x7b")
    await expect(page).to_have_url(re.compile(r"/console/gallery\?model=mixtral-8x7b$"))
    await expect(page.locator("#results table")).to_be_visible()
    await page.get_by_role("searchbox").fill("clips")
    await expect(page).to_have_url(re.compile(r"\?q=clips&model=mixtral-8x7b$"))


async def test_charts_show_their_numbers_and_put_series_away(visit: Visit) -> None:
    page = await visit.open("gallery")
    chart = page.locator("#latency")
    await expect(chart).to_have_attribute("data-drawn", "")
    series = chart.get_by_role("button", name="p99")
    await series.click()
    await expect(series).to_have_attribute("aria-pressed", "false")
    await chart.locator(".u-over").hover()
    tip = chart.locator(".chart-tip")
    await expect(tip).to_contain_text("p50")
    await expect(tip).not_to_contain_text("p99")
    await chart.get_by_text("Show the numbers").click()
    await expect(chart.get_by_role("columnheader", name="p95")).to_be_visible()


async def test_tabs_show_one_panel_and_follow_the_arrows(visit: Visit) -> None:
    page = await visit.open("gallery")
    await page.get_by_role("tab", name="Reply").click()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("tab", name="Prompt")).to_be_focused()
    await expect(page.get_by_role("tabpanel", name="Prompt")).to_be_visible()
    await expect(page.get_by_role("tabpanel", name="Reply")).to_be_hidden()


async def test_a_live_page_moves_and_lets_go_while_nobody_looks(visit: Visit) -> None:
    page = await visit.open("live")
    state = page.locator("[data-live-state]")
    await expect(state).to_have_text("Live")
    await expect(page.locator("#count")).to_contain_text(re.compile(r"\d+ calls"))
    await expect(page.locator("#latency table tbody tr")).to_have_count(3)
    hide = (
        "Object.defineProperty(document, 'hidden', {value: %s, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))"
    )
    await page.evaluate(hide % "true")
    await expect(state).to_have_text("Paused")
    still = await page.locator("#count").text_content()
    assert still is not None
    await page.evaluate(hide % "false")
    await expect(state).to_have_text("Live")
    await expect(page.locator("#count")).to_have_text(re.compile(r"^[0-5] calls$"))


async def test_a_lost_stream_says_so_and_comes_back(visit: Visit) -> None:
    page = await visit.open("gallery")
    await page.route("**/console/live/events", lambda route: route.abort())
    await page.goto(f"{visit.site}/console/live")
    await expect(page.locator("[data-live-state]")).to_have_text("Reconnecting")
    await page.unroute("**/console/live/events")
    await expect(page.locator("[data-live-state]")).to_have_text("Live")
    visit.complaints.clear()  # the connections that were refused on purpose


async def test_the_playground_streams_both_and_keeps_each_conversation(visit: Visit) -> None:
    page = await visit.open("playground?b=mixtral-8x7b")
    first, second = page.get_by_role("region", name="First model"), page.get_by_role("region", name="Second model")
    await expect(second.get_by_label("Second model", exact=True)).to_have_value("mixtral-8x7b")
    message = page.get_by_label("Message")
    for turn in (1, 3):
        await message.fill("How many clips?")
        await message.press("Control+Enter")
        for column, model in ((first, "task:support.intent"), (second, "mixtral-8x7b")):
            await expect(column.get_by_role("log")).to_contain_text(f"{model} heard {turn} messages.")
            await expect(column.locator("[data-figure=tokens]")).to_have_text("41 → 17")
            await expect(column.locator("[data-figure=cost]")).to_have_text("$0.000123")
            await expect(column.locator("[data-figure=first]")).to_have_text(re.compile(r"^\d.* (ms|s)$"))
        await expect(page.get_by_role("button", name="Send to both")).to_be_enabled()
    await page.get_by_role("button", name="New conversation").click()
    await expect(first.get_by_role("log")).to_be_empty()


async def test_one_side_may_fail_and_the_other_be_stopped(visit: Visit) -> None:
    page = await visit.open("playground?a=gpt-4-1106&b=broken")
    first, second = page.get_by_role("region", name="First model"), page.get_by_role("region", name="Second model")
    await page.get_by_label("Message").fill("slowly")
    await page.get_by_role("button", name="Send to both").click()
    await expect(second.get_by_role("alert")).to_have_text("503: Model 'broken' has no provider that answers.")
    await expect(first.get_by_role("log")).to_contain_text("gpt-4-1106 heard")
    await first.get_by_role("button", name="Stop").click()
    await expect(first.get_by_role("log")).to_contain_text("Stopped.")
    await expect(page.get_by_role("button", name="Send to both")).to_be_enabled()
    visit.complaints.clear()  # the refusal, which the browser also logs


async def test_a_stream_cut_anywhere_gives_the_same_events(visit: Visit) -> None:
    page = await visit.open("playground")
    events = await page.evaluate(
        """async () => {
          const { events } = await import(new URL("chat.js", document.querySelector("script[type=module]").src).href);
          const text = 'data: {"a": "é"}\\r\\n\\r\\n: x-penstock-cost-micros=7\\n\\ndata: one\\ndata: two\\n\\ndata: [DONE]';
          const bytes = new TextEncoder().encode(text);
          const seen = new Set();
          for (let size = 1; size <= bytes.length; size++) {
            const stream = new ReadableStream({
              start(control) {
                for (let at = 0; at < bytes.length; at += size) control.enqueue(bytes.slice(at, at + size));
                control.close();
              },
            });
            const all = [];
            for await (const event of events(stream)) all.push([event.data, event.comment]);
            seen.add(JSON.stringify(all));
          }
          return [...seen].map((text) => JSON.parse(text));
        }"""
    )
    assert events == [[['{"a": "é"}', ""], ["", "x-penstock-cost-micros=7"], ["one\ntwo", ""], ["[DONE]", ""]]]


async def test_scripts_write_numbers_as_the_server_does(visit: Visit) -> None:
    page = await visit.open("playground")
    amounts = [0, 1, 123, 12_300, 200_410, 999_999, 84_120_433, 1_234_567_890]
    lengths = [0, 0.4211, 9.994, 9.996, 128.4, 999.6, 3412, 14_310, 59_960, 125_000, 3_780_000]
    numbers = [0, 2.26, 9480, 12_345, 999_499, 999_500, 4_560_000, 1_200_000_000]
    written = await page.evaluate(
        """async ([amounts, lengths, numbers]) => {
          const units = await import(new URL("units.js", document.querySelector("script[type=module]").src).href);
          return [amounts.map((n) => units.money(n)), lengths.map(units.duration), numbers.map(units.compact)];
        }""",
        [amounts, lengths, numbers],
    )
    assert written == [
        [formats.money(n) for n in amounts],
        [formats.duration(n) for n in lengths],
        [formats.compact(n) for n in numbers],
    ]


async def test_on_a_phone_the_navigation_opens_and_a_table_row_is_a_card(visit: Visit) -> None:
    page = await visit.open("gallery", **PHONE)
    navigation = page.get_by_role("navigation", name="Main")
    await expect(navigation).to_be_hidden()
    await page.get_by_role("button", name="Navigation").click()
    await expect(navigation.get_by_role("link", name="Playground")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(navigation).to_be_hidden()
    cell = page.locator("table[data-rows] tbody tr").first.locator("td").nth(1)
    assert await cell.evaluate("cell => getComputedStyle(cell, '::before').content") == '"Task"'

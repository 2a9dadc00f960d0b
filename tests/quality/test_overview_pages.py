"""Quality in the console, with recorded replies that people labelled."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from tests.house import SETTINGS, House, open_house
from tests.quality.browser import chromium, opened
from tests.quality.drift.house import put
from tests.quality.replies import as_samples
from tests.quality.test_pages import page, signed_in

from penstock.storage.records import Records

pytestmark = [pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]
WORST = "call-answer-000-012"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    folder: Path = tmp_path_factory.mktemp("quality")
    async with open_house(folder, SETTINGS) as made:
        home = await made.home()
        put(made.app.ports.get(Records), [*as_samples(home, labelled=12, times=4), *as_samples(home, task="young")])
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncGenerator[Browser]:
    async with chromium() as found:
        yield found


async def test_pages(house: House) -> None:
    cookie = await signed_in(house, house.admin)
    listed = (await page(house, "quality", cookie)).text
    assert all(each in listed for each in ("answer", "young", "judge alone, unchecked"))
    one = (await page(house, "quality/tasks/answer?days=1", cookie)).text
    assert all(each in one for each in ("Ungrounded replies", "By team", "The worst replies", "By model"))
    assert "Nobody has checked the judge" in (await page(house, "quality/tasks/young", cookie)).text
    assert (await page(house, "quality/tasks/nothing", cookie)).status == 404
    assert (await page(house, "quality?days=3", cookie)).status == 400
    shown = (await page(house, f"quality/replies/{WORST}", cookie)).text
    assert 'class="missing"' in shown
    assert (await page(house, f"quality/replies/{WORST}/label", cookie, "POST", "score=7")).status == 400
    answer = await page(house, f"quality/replies/{WORST}/label", cookie, "POST", "score=0")
    assert (answer.status, answer.headers["location"]) == (303, f"/console/quality/replies/{WORST}")
    told = (await house.ask("GET", f"/v1/quality/replies/{WORST}")).json
    assert (told["judge"], told["judged"], told["model_judge"]) == ("human", 0.0, "groundedness")
    api = (await house.ask("GET", "/v1/quality/answer?days=1")).json
    assert api["quality"]["ungrounded"]["method"] == "prediction-powered"
    assert (await house.ask("GET", "/v1/quality")).json["data"][0]["ungrounded"]


async def test_others_see_nothing_of_it(house: House) -> None:
    them, _ = await house.outsider()
    theirs = await signed_in(house, them)
    assert "No live replies were sampled" in (await page(house, "quality", theirs)).text
    assert (await page(house, "quality/tasks/answer", theirs)).status == 404
    assert (await page(house, f"quality/replies/{WORST}", theirs)).status == 404
    assert (await page(house, f"quality/replies/{WORST}/label", theirs, "POST", "score=1")).status == 404
    assert (await house.ask("GET", f"/v1/quality/replies/{WORST}", key=them)).status == 404
    reader, _ = await house.key(scopes=["read"])
    cookie = await signed_in(house, reader)
    assert "Good" not in (await page(house, f"quality/replies/{WORST}", cookie)).text


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
async def test_a_browser_shows_it(house: House, browser: Browser, width: int, scheme: Literal["light", "dark"]) -> None:
    shown, faults = await opened(browser, house, "quality?days=1", width, scheme)
    await shown.get_by_role("link", name="answer").first.click()
    await shown.get_by_role("heading", name="The worst replies").wait_for()
    assert await shown.evaluate("document.documentElement.scrollWidth") <= width
    link = shown.get_by_role("link", name="call-answer").first
    await link.focus()
    await shown.keyboard.press("Enter")
    await shown.get_by_role("heading", name="Sentence by sentence").wait_for()
    mark = shown.locator("#reply mark").first
    assert await mark.get_attribute("class") in ("doubtful", "missing")
    ground = await mark.evaluate("one => getComputedStyle(one).backgroundColor")
    assert ground != "rgba(0, 0, 0, 0)"
    assert await shown.evaluate("document.documentElement.scrollWidth") <= width
    assert faults == []
    await shown.context.close()

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.cache.serving import ask, caching_house, chat

pytestmark = pytest.mark.timeout(60)


async def signed_in(house: Any, key: str) -> dict[str, str]:
    form = {"content_type": "application/x-www-form-urlencoded", "origin": house.url, "sec_fetch_site": "same-origin"}
    answer = await house.ask("POST", "/console/sign-in", f"key={key}", key="", **form)
    return {**form, "cookie": answer.headers["set-cookie"].split(";")[0]}


async def test_the_page_shows_what_was_saved_and_clears_it(tmp_path: Path) -> None:
    async with caching_house(tmp_path) as (house, provider):
        provider.cached = 60
        for _ in range(2):
            await ask(house, chat("a"), x_penstock_task="<b>faq</b>")
        browser = await signed_in(house, house.admin)
        page = await house.ask("GET", "/console/cache?days=1", key="", **browser)
        assert page.status == 200, page.text
        assert "50.0 %" in page.text
        assert "&lt;b&gt;faq" in page.text
        assert "<b>faq" not in page.text
        assert "up/m" in page.text
        assert "60.0 %" in page.text
        assert (await house.ask("GET", "/console/cache?days=9", key="", **browser)).status == 400
        cleared = await house.ask("POST", "/console/cache/clear", "task=&model=", key="", **browser)
        assert (cleared.status, "1 replies forgotten" in cleared.headers["hx-trigger"]) == (303, True)
        assert (await ask(house, chat("a"), x_penstock_task="<b>faq</b>")).headers["x-penstock-cache"] == "miss"
        assert (await house.ask("POST", "/console/cache/calibrate", "task=&source=", key="", **browser)).status == 400


async def test_who_may_only_read_sees_no_buttons(tmp_path: Path) -> None:
    async with caching_house(tmp_path, rules="") as (house, _):
        key, _ = await house.key(name="reads", scopes=["read"])
        browser = await signed_in(house, key)
        page = await house.ask("GET", "/console/cache", key="", **browser)
        assert (page.status, "clear-form" in page.text, "x-penstock-cache: on" in page.text) == (200, False, True)
        assert (await house.ask("POST", "/console/cache/clear", "", key="", **browser)).status == 403

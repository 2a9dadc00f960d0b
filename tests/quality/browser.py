"""A real Chromium that has signed in to a house."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, async_playwright
from tests.house import House


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    """A browser; the test is skipped where there is none."""
    path = os.environ.get("PENSTOCK_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium here; set PENSTOCK_CHROMIUM to one")
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield found
        await found.close()


async def opened(browser: Browser, house: House, path: str, width: int, scheme: Literal["light", "dark"]) -> tuple[Page, list[str]]:
    """A page of the console, for its administrator; and what goes wrong in it."""
    context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    answer = await context.request.post(
        f"{house.url}/console/sign-in", form={"key": house.admin}, headers={"origin": house.url}, max_redirects=0
    )
    assert answer.status == 303
    shown = await context.new_page()
    faults: list[str] = []
    shown.on("pageerror", lambda fault: faults.append(str(fault)))
    shown.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    await shown.goto(f"{house.url}/console/{path}")
    return shown, faults


__all__ = ["chromium", "opened"]

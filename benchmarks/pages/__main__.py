"""``python -m benchmarks.pages [--calls 40000] [--json FILE]``: every page of the console in a real Chromium, on loopback.

A whole Penstock with two weeks of a support desk's calls; each page is opened three times in a fresh profile (nothing kept by the browser),
signed in, and its own timings are read: first contentful paint, bytes of script, bytes of all. The median is told.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import shutil
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.house import House, open_house

from benchmarks.pages.seed import fortnight
from penstock.console import Console
from penstock.storage.telemetry.store import TelemetryStore

ROUNDS = 3
PAINT_MS, SCRIPT_BYTES = 1000.0, 150_000

READ = """() => {
  const paint = performance.getEntriesByName('first-contentful-paint')[0];
  const all = performance.getEntriesByType('resource');
  const scripts = all.filter((one) => one.initiatorType === 'script' || one.name.endsWith('.js'));
  const page = performance.getEntriesByType('navigation')[0];
  const sum = (list, what) => list.reduce((total, one) => total + one[what], 0);
  return {
    paint: paint ? paint.startTime : null,
    answer: page.responseStart - page.requestStart,
    script_sent: sum(scripts, 'encodedBodySize'),
    script: sum(scripts, 'decodedBodySize'),
    html: page.decodedBodySize,
    sent: page.encodedBodySize + sum(all, 'encodedBodySize'),
  };
}"""


async def measure(calls: int) -> dict[str, Any]:
    from playwright.async_api import async_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    pages: dict[str, Any] = {}
    with TemporaryDirectory(prefix="penstock-pages-") as folder:
        async with open_house(Path(folder)) as house, async_playwright() as playwright:
            await filled(house, calls)
            console = house.app.ports.get(Console)
            paths = [item.href for section in console.navigation() for item in section.items]
            paths += ["/console/health?last=1209600", "/console/health/compare?last=604800"]
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            for path in paths:
                rounds = [await opened(browser, house, path) for _ in range(ROUNDS)]
                pages[path] = {name: median(one[name] for one in rounds) for name in rounds[0]}
                told(path, pages[path])
            await browser.close()
            scripts = console.static.sizes(".js")
    return {
        "machine": platform.platform(),
        "calls": calls,
        "rounds": ROUNDS,
        "budget": {"paint_ms": PAINT_MS, "script_bytes": SCRIPT_BYTES},
        "script_of_all_pages": sum(scripts.values()),
        "pages": pages,
    }


async def filled(house: House, calls: int) -> None:
    """Two weeks of calls of the organisation that runs the house."""
    store = house.app.ports.get(TelemetryStore)
    organisation = await house.home()
    for number, batch in enumerate(fortnight(time.time(), organisation, calls)):
        await store.append(batch, f"seed-{number}")
    await store.flush()


async def opened(browser: Any, house: House, path: str) -> dict[str, float]:
    """One visit by a browser that has nothing yet but its session."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    answer = await context.request.post(
        f"{house.url}/console/sign-in", form={"key": house.admin}, headers={"origin": house.url}, max_redirects=0
    )
    assert answer.status in (302, 303), answer.status
    response = await page.goto(house.url + path, wait_until="load")
    assert response.status == 200, f"{path}: {response.status}"
    await page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
    found: dict[str, float] = await page.evaluate(READ)
    await context.close()
    return found


def told(path: str, one: dict[str, float]) -> None:
    late = "  LATE" if one["paint"] > PAINT_MS else ""
    sys.stdout.write(
        f"{path[:44]:44} paint {one['paint']:6.0f} ms  answer {one['answer']:5.0f} ms  script {one['script'] / 1000:6.1f} kB"
        f" ({one['script_sent'] / 1000:5.1f} sent)  all {one['sent'] / 1000:6.1f} kB{late}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = asyncio.run(measure(given.calls))
    sys.stdout.write(f"script of all pages: {found['script_of_all_pages'] / 1000:.1f} kB of {SCRIPT_BYTES / 1000:.0f}\n")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

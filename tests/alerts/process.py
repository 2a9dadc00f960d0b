"""A house whose latency is bad, as a process of its own: ``python -m tests.alerts.process FOLDER URL``; it says when it is open."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from tests.alerts.rig import Toy
from tests.alerts.series import steps
from tests.house import SETTINGS, open_house

ALERTS = """
[alerts]
every_seconds = 1
lag_seconds = 0
lease_seconds = 2
retry_seconds = 0.2
[alerts.rules.slow]
measure = "toy_latency_ms"
by = "task"
threshold = {{ above = 2000 }}
[alerts.routes.ops]
kind = "webhook"
url = "{url}"
"""
GROUPS = ("a", "b", "c")


async def main(folder: Path, url: str) -> None:
    """Open, and stay until killed."""
    toy = Toy()
    until = time.time() // 60 * 60 + 1800
    toy.source.put("toy_latency_ms", [one for group in GROUPS for one in steps([2500.0] * 60, until=until, group=group)])
    async with open_house(folder, SETTINGS + ALERTS.format(url=url), more=(toy,)):
        print("open", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))

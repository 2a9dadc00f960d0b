"""What waiting runs cost, and how fast a queue drains: ``python -m benchmarks.journal.holding FOLDER URL WAITING QUEUED``; prints JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.kernel.journal import Queue, Run

QUIET_SECONDS = 10.0


def resident() -> float:
    """Memory of this process in MB."""
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")) / 1024


async def main(folder: Path, url: str, waiting: int, queued: int) -> dict[str, float]:
    if url:
        from tests.journal.conftest import migrated

        migrated(url, folder)
    statements = 0

    async def one(value: int) -> int:
        return value

    async def waits(run: Run, _: Any) -> Any:
        return await run.wait("go")

    async def works(run: Run, input: Any) -> Any:
        return await run.step("one", one, input)

    journal = JournalService(JournalSettings(), url, folder)
    journal.define("waits", waits)
    journal.define("works", works)
    journal.declare(Queue(name="queue", concurrency=200, per_process=200))
    engine = await journal.begin()

    def count(*_: Any) -> None:
        nonlocal statements
        statements += 1

    from sqlalchemy import event

    event.listen(engine.system.engine, "before_cursor_execute", count)
    before = resident()
    runs = [await journal.start("waits", organisation="org") for _ in range(waiting)]
    while len(await journal.history(None, runs[-1])) < 1:
        await asyncio.sleep(0.05)
    await asyncio.sleep(2)
    cpu, statements, began = time.process_time(), 0, time.monotonic()
    await asyncio.sleep(QUIET_SECONDS)
    quiet = time.monotonic() - began
    found = {
        "waiting": waiting,
        "rss_mb": resident(),
        "rss_before_mb": before,
        "cpu_percent": (time.process_time() - cpu) / quiet * 100,
        "statements_a_second": statements / quiet,
    }
    began = time.monotonic()
    await asyncio.gather(*(journal.signal(None, run, "go", 1) for run in runs))
    await asyncio.gather(*(journal.result(None, run) for run in runs))
    found["woken_a_second"] = waiting / (time.monotonic() - began)
    began = time.monotonic()
    runs = [await journal.start("works", i, organisation=f"org{i % 5}", queue="queue") for i in range(queued)]
    found["queued"] = queued
    found["enqueued_a_second"] = queued / (time.monotonic() - began)
    while sum(d.waiting + d.running for d in await journal.depths(None)):
        await asyncio.sleep(0.25)
    found["drained_s"] = time.monotonic() - began
    found["drained_a_second"] = queued / found["drained_s"]
    found["rss_after_mb"] = resident()
    for run in runs[:: max(1, queued // 100)]:
        await journal.result(None, run)
    await journal.close()
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1]), "" if sys.argv[2] == "-" else sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))))
    sys.stdout.flush()
    os._exit(0)

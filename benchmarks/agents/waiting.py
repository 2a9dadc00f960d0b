"""``python -m benchmarks.agents.waiting``: what runs cost that wait, and whether the limits of a queue hold while it drains.

A thousand runs, half at an approval and half at a timer, wait in one process: its memory, its share of a core, and the statements that its
database is asked. Then ten thousand queued runs of five organisations drain under a global limit, one of each organisation, and two rates;
the limits are looked at from inside the runs, at every moment. Prints the figures, writes ``benchmarks/results/agents-waiting.json``,
exits with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import event
from tests.journal.drill import opened

from benchmarks.gateway.machine import describe
from benchmarks.journal.holding import resident
from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.kernel.journal import Queue, Rate, Run

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "agents-waiting.json"
QUIET_SECONDS = 20.0
ORGANISATIONS = 5
WORK_SECONDS = 0.2
TOGETHER = 64
"""Runs that are put into a queue at once."""
RSS_BAR_MB = 300.0
STATEMENTS_BAR = 10.0
"""A second, of the whole process: some for each queue and none for each run is no busy polling."""

LIMITED = Queue(name="limited", concurrency=40, tenant_concurrency=10, per_process=100)
RATED = Queue(name="rated", rate=Rate(starts=300, seconds=5.0), tenant_rate=Rate(starts=80, seconds=5.0), per_process=100)


class Watch:
    """What runs at this moment, told by the runs themselves."""

    def __init__(self) -> None:
        self._now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.done = 0

    async def work(self, organisation: str) -> None:
        """A step: begin, take a moment, end."""
        for name in ("all", organisation):
            self._now[name] += 1
            self.most[name] = max(self.most[name], self._now[name])
        await asyncio.sleep(WORK_SECONDS)
        for name in ("all", organisation):
            self._now[name] -= 1
        self.done += 1


async def measured(folder: Path, waiting: int, limited: int, rated: int) -> dict[str, Any]:
    """All figures, of a journal in ``folder``."""
    watch, statements = Watch(), 0

    async def approval(run: Run, _: Any) -> Any:
        return await run.wait("request/1", timeout=86_400)

    async def timer(run: Run, _: Any) -> Any:
        await run.sleep(3600)

    async def work(run: Run, _: Any) -> Any:
        await run.step("work", watch.work, run.organisation)

    async def nothing(run: Run, _: Any) -> Any:
        return None

    journal = JournalService(JournalSettings(), "", folder)
    for name, function in (("approval", approval), ("timer", timer), ("work", work), ("nothing", nothing)):
        journal.define(name, function)
    for queue in (LIMITED, RATED):
        journal.declare(queue)
    engine = await journal.begin()

    def count(*_: Any) -> None:
        nonlocal statements
        statements += 1

    event.listen(engine.system.engine, "before_cursor_execute", count)
    before = resident()
    kinds = ("approval", "timer")
    runs = [await journal.start(kinds[n % 2], organisation="org") for n in range(waiting)]
    for run in runs[-2:]:
        while not await journal.history(None, run):
            await asyncio.sleep(0.05)
    await asyncio.sleep(SETTLE_SECONDS)
    cpu, statements, began = time.process_time(), 0, time.monotonic()
    await asyncio.sleep(QUIET_SECONDS)
    quiet = time.monotonic() - began
    found: dict[str, Any] = {
        "waiting": waiting,
        "rss_before_mb": before,
        "rss_mb": resident(),
        "cpu_percent": (time.process_time() - cpu) / quiet * 100,
        "statements_a_second": statements / quiet,
    }
    for run in runs[1::2]:
        await journal.cancel(None, run)
    await asyncio.gather(*(journal.signal(None, run, "request/1", {"value": True}) for run in runs[::2]))
    await asyncio.gather(*(journal.result(None, run) for run in runs[::2]))
    for name, queue, runs_wanted in (("work", LIMITED, limited), ("nothing", RATED, rated)):
        began = time.monotonic()
        for first in range(0, runs_wanted, TOGETHER):
            numbers = range(first, min(first + TOGETHER, runs_wanted))
            starts = [journal.start(name, organisation=f"org{n % ORGANISATIONS}", queue=queue.name) for n in numbers]
            await asyncio.gather(*starts)
        while sum(one.waiting + one.running for one in await journal.depths(None)):
            await asyncio.sleep(0.25)
        found[f"{queue.name}_runs"] = runs_wanted
        found[f"{queue.name}_s"] = time.monotonic() - began
    found["rss_after_mb"] = resident()
    await journal.close()
    found["at_once"] = watch.most["all"]
    found["at_once_of_one_organisation"] = max(count for name, count in watch.most.items() if name != "all")
    found["done"] = watch.done
    return found | windows(folder)


SETTLE_SECONDS = 3.0


def windows(folder: Path) -> dict[str, int]:
    """The most starts within the rates' windows, of all and of one organisation, as the journal has them."""
    assert RATED.rate is not None
    database = opened("", folder)
    with database.connect() as connection:
        asked = "select started_at_epoch_ms, authenticated_user from workflow_status where name like 'nothing@%'"
        rows = [(float(at), str(who)) for at, who in connection.exec_driver_sql(asked)]
    database.dispose()
    span = RATED.rate.seconds * 1e3
    each = [most_within(sorted(at for at, who in rows if who == one), span) for one in {who for _, who in rows}]
    return {"starts_in_a_window": most_within(sorted(at for at, _ in rows), span), "starts_of_one_organisation": max(each)}


def most_within(times: Sequence[float], span: float) -> int:
    """How many of these, in order, lie within any stretch of ``span``."""
    return max((bisect.bisect_left(times, at + span) - place for place, at in enumerate(times)), default=0)


def met(found: dict[str, Any]) -> bool:
    """Whether the bars hold."""
    assert RATED.rate is not None
    assert RATED.tenant_rate is not None
    assert LIMITED.concurrency is not None
    assert LIMITED.tenant_concurrency is not None
    kept = found["at_once"] <= LIMITED.concurrency and found["at_once_of_one_organisation"] <= LIMITED.tenant_concurrency
    rated = found["starts_in_a_window"] <= RATED.rate.starts and found["starts_of_one_organisation"] <= RATED.tenant_rate.starts
    cheap = found["rss_mb"] <= RSS_BAR_MB and found["statements_a_second"] <= STATEMENTS_BAR
    return kept and rated and cheap and found["done"] == found["limited_runs"]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--waiting", type=int, default=1000)
    parser.add_argument("--limited", type=int, default=8000)
    parser.add_argument("--rated", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(measured(Path(name), given.waiting, given.limited, given.rated))
    found = {"machine": describe(), "load": round(os.getloadavg()[0], 1), **found}
    given.output.write_text(json.dumps(found, indent=2) + "\n")
    print(
        f"{found['waiting']} waiting: {found['rss_mb']:.0f} MB, {found['cpu_percent']:.1f} % of a core, "
        f"{found['statements_a_second']:.1f} statements a second\n"
        f"{found['limited_runs']} under limits in {found['limited_s']:.0f} s: at most {found['at_once']} of {LIMITED.concurrency} at once, "
        f"{found['at_once_of_one_organisation']} of {LIMITED.tenant_concurrency} of one organisation\n"
        f"{found['rated_runs']} under rates in {found['rated_s']:.0f} s: at most {found['starts_in_a_window']} starts in 5 s, "
        f"{found['starts_of_one_organisation']} of one organisation"
    )
    sys.stdout.flush()
    return 0 if met(found) else 1


if __name__ == "__main__":
    raise SystemExit(main())

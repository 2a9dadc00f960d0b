"""The runs of the kill drill, and the process that executes them: ``python -m tests.journal.work FOLDER URL WAVE TRIPS``.

Every process does the same: it starts the runs of a wave under keys, so that nobody starts one twice, signals them, waits for their end,
says so, and goes on to the next wave. What its steps do to the world they write into one file, a line with one ``write`` each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.kernel.errors import Conflict
from penstock.kernel.journal import Journal, Queue, Rate, Run, current_step

LEGS = Queue(name="legs", concurrency=4, tenant_concurrency=3)
TICKS = Queue(name="ticks", rate=Rate(starts=20, seconds=1.0))
TENANTS = ("north", "south")
SETTINGS = JournalSettings(poll_seconds=0.05, lease_seconds=1.5, recoveries=1000)

_effects = -1


def note(what: str, **more: Any) -> None:
    """One line about what was done, whole even when the process is killed the moment after."""
    step = current_step.get()
    key = {"key": step.text, "name": step.name, "tenant": step.organisation} if step is not None else {}
    os.write(_effects, (json.dumps({"at": time.time(), "pid": os.getpid(), "what": what, **key, **more}) + "\n").encode())


async def _act(value: int, seconds: float) -> int:
    note("begin")
    await asyncio.sleep(seconds)
    note("end")
    return value


async def leg(run: Run, input: int) -> int:
    return await run.step("leg", _act, input, random.uniform(0.005, 0.05))


async def tick(run: Run, input: int) -> int:
    return await run.step("tick", _act, input, 0.0)


async def trip(run: Run, input: int) -> int:
    parts = await asyncio.gather(*(run.step(f"part {i}", _act, input + i, 0.01 * i) for i in range(3)))
    await run.sleep(0.05)
    direct = await run.child("leg", input)
    queued = [await run.child("leg", input + i, queue=LEGS.name) for i in range(2)]
    signalled = await run.wait("go")
    legs = [await child.result() for child in (direct, *queued)]
    await run.write("log", signalled)
    return await run.step("sum", _act, sum(parts) + sum(legs) + signalled, 0.0)


def result_of(i: int) -> int:
    """What trip number ``i`` must return."""
    return (3 * i + 3) + (3 * i + 1) + 7 * i


def define(journal: Journal) -> None:
    """The drill's runs and queues."""
    for function in (leg, tick, trip):
        journal.define(function.__name__, function)
    journal.declare(LEGS)
    journal.declare(TICKS)


async def wave(journal: Journal, number: int, trips: int) -> None:
    """Start a wave's runs where nobody has, signal them, and wait until all have ended."""
    runs: list[tuple[int, str]] = []
    for i in range(trips):
        tenant = TENANTS[i % 2]
        run = await journal.start("trip", i, organisation=tenant, key=f"trip {number} {i}")
        runs.append((i, run))
        ticked = await journal.start("tick", i, organisation=tenant, key=f"tick {number} {i}", queue=TICKS.name)
        with contextlib.suppress(Conflict):
            await journal.signal(tenant, run, "go", 7 * i, key=f"go {number} {i}")
        runs.append((-1, ticked))
    for i, run in runs:
        value = await journal.result(None, run)
        assert i < 0 or value == result_of(i), (i, run, value)


async def main(folder: Path, url: str, first: int, trips: int) -> None:
    global _effects
    _effects = os.open(folder / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    journal = JournalService(SETTINGS, url, folder)
    define(journal)
    engine = await journal.begin()
    print(f"up {engine.node}", flush=True)
    number = first
    while True:
        await wave(journal, number, trips)
        print(f"wave {number}", flush=True)
        number += 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), "" if sys.argv[2] == "-" else sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))

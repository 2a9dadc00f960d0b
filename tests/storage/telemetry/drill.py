"""``python -m tests.storage.telemetry.drill --turns 50``: two processes append and store, both are killed at random, again and again.

Afterwards every batch that was acknowledged must be there, whole and once, and the sums must count as many spans as there are. The store is
opened after some turns and must answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from penstock.engine import command
from penstock.settings import LogSettings
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.questions import Filter

BATCH = 50


async def writer(folder: Path, name: str, where: str = "inside") -> asyncio.subprocess.Process:
    """A process that appends batches for ever and says the number of each once it was acknowledged."""
    script = str(Path(__file__).with_name("writer.py"))
    return await asyncio.create_subprocess_exec(
        sys.executable, script, str(folder), name, str(BATCH), where, stdout=asyncio.subprocess.PIPE
    )


async def acknowledged(process: asyncio.subprocess.Process, least: int) -> int:
    """Wait until so many are."""
    assert process.stdout is not None
    last = 0
    while last < least:
        line = await process.stdout.readline()
        assert line, "the writer died by itself"
        last = int(line)
    return last


async def rest(process: asyncio.subprocess.Process, last: int) -> int:
    """What it acknowledged between our looking and its death; a number that was cut off was not told to anybody."""
    assert process.stdout is not None
    lines = (await process.stdout.read()).split(b"\n")
    await process.wait()
    return max([last, *(int(line) for line in lines[:-1])])


def engines(process: asyncio.subprocess.Process) -> list[int]:
    """The engines that a writer has started."""
    # Each thread has children of its own.
    found = [one.read_text().split() for one in Path(f"/proc/{process.pid}/task").glob("*/children")]
    return [int(pid) for some in found for pid in some]


async def drill(folder: Path, turns: int, seed: int, where: str = "inside") -> dict[str, object]:
    """Kill both, and their engines where those are ``apart``, ``turns`` times; what was found,
    and the seconds that opening took each time."""
    rng = random.Random(seed)
    engine = partial(command, LogSettings(level="error")) if where == "apart" else None
    told: dict[str, int] = {}
    opening: list[float] = []
    kills = 0
    for turn in range(turns):
        pair = await asyncio.gather(writer(folder, f"a{turn}", where), writer(folder, f"b{turn}", where))
        last = await asyncio.gather(*(acknowledged(one, 2 + rng.randrange(60)) for one in pair))
        doomed = [*(one.pid for one in pair), *(pid for one in pair for pid in engines(one))]
        rng.shuffle(doomed)
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)
        kills += len(doomed)
        told[f"a{turn}"], told[f"b{turn}"] = await asyncio.gather(*(rest(one, n) for one, n in zip(pair, last, strict=True)))
        if turn % 10 == 9 or turn == turns - 1:
            store = EmbeddedTelemetry(folder, command=engine, memory_mb=256)
            began = time.perf_counter()
            await store.start()
            await store.groups(Filter(), [])
            opening.append(round(time.perf_counter() - began, 2))
            await store.close()
    store = EmbeddedTelemetry(folder, memory_mb=256)
    await store.start()
    await store.flush()
    facts = await store.facts()
    found = {group.values[0]: group.measures.spans for group in await store.groups(Filter(), ["name"], 1000)}
    counted = (await store.groups(Filter(), []))[0].measures.spans
    held = store._holder._held
    assert held is not None
    summed = int(held.rows("SELECT coalesce(sum(spans), 0) FROM sums", [])[0][0])
    words = (await store.groups(Filter(text="unmistakable"), []))[0].measures.spans
    await store.close()
    # One batch more may be there: stored, and its writer killed before it could say so. None may be in part, or twice.
    wrong = {name: (n, found.get(name)) for name, n in told.items() if found.get(name) not in (n * BATCH, (n + 1) * BATCH)}
    return {
        "kills": kills, "acknowledged_batches": sum(told.values()), "spans": facts.spans, "wrong": wrong,
        "unreadable": facts.unreadable, "counted_with_sums": counted, "summed": summed,
        "waiting": facts.waiting, "payloads": facts.payloads, "found_by_words": words, "opening_s": opening,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--where", choices=("apart", "inside"), default="apart")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(asyncio.run(drill(Path(scratch), given.turns, given.seed, given.where)), indent=1))

"""``python -m tests.storage.telemetry.drill --turns 50``: two processes append and store, both are killed at random, again and again.

Afterwards every batch that was acknowledged must be there, whole and once, and the sums must count as many spans as there are. The store is
opened after some turns and must answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.questions import Filter

BATCH = 50


async def writer(folder: Path, name: str) -> asyncio.subprocess.Process:
    """A process that appends batches for ever and says the number of each once it was acknowledged."""
    script = str(Path(__file__).with_name("writer.py"))
    return await asyncio.create_subprocess_exec(sys.executable, script, str(folder), name, str(BATCH), stdout=asyncio.subprocess.PIPE)


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


async def drill(folder: Path, turns: int, seed: int) -> dict[str, object]:
    """Kill both, ``turns`` times; what was acknowledged and found, and the seconds that opening took each time."""
    rng = random.Random(seed)
    told: dict[str, int] = {}
    opening: list[float] = []
    for turn in range(turns):
        pair = await asyncio.gather(writer(folder, f"a{turn}"), writer(folder, f"b{turn}"))
        last = await asyncio.gather(*(acknowledged(one, 2 + rng.randrange(60)) for one in pair))
        order = [0, 1] if rng.random() < 0.5 else [1, 0]
        for place in order:
            pair[place].send_signal(signal.SIGKILL)
        told[f"a{turn}"], told[f"b{turn}"] = await asyncio.gather(*(rest(one, n) for one, n in zip(pair, last, strict=True)))
        if turn % 10 == 9 or turn == turns - 1:
            store = EmbeddedTelemetry(folder, memory_mb=256)
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
    held = store._held
    assert held is not None
    summed = int(held.rows("SELECT coalesce(sum(spans), 0) FROM sums", [])[0][0])
    words = (await store.groups(Filter(text="unmistakable"), []))[0].measures.spans
    await store.close()
    # One batch more may be there: stored, and its writer killed before it could say so. None may be in part, or twice.
    wrong = {name: (n, found.get(name)) for name, n in told.items() if found.get(name) not in (n * BATCH, (n + 1) * BATCH)}
    return {
        "kills": 2 * turns, "acknowledged_batches": sum(told.values()), "spans": facts.spans, "wrong": wrong,
        "unreadable": facts.unreadable, "counted_with_sums": counted, "summed": summed,
        "waiting": facts.waiting, "payloads": facts.payloads, "found_by_words": words, "opening_s": opening,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(asyncio.run(drill(Path(scratch), given.turns, given.seed)), indent=1))

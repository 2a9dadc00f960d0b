"""``python writer.py FOLDER NAME BATCH WHERE``: appends batches until it is killed, saying the number of each once it is acknowledged.

The engine is in a process ``apart``, or ``inside`` this one."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from functools import partial
from pathlib import Path

from penstock.engine import command
from penstock.settings import LogSettings
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.span import Payload, Span


async def main(folder: str, name: str, each: int, where: str) -> None:
    engine = partial(command, LogSettings(level="error")) if where == "apart" else None
    # Few are summed together, so that it is also killed while it sums.
    store = EmbeddedTelemetry(Path(folder), command=engine, memory_mb=256, drain_seconds=0.01, summed_from=500)
    await store.start()
    rng = random.Random(name)
    number = 0
    while True:
        number += 1
        now = time.time_ns()
        spans = [
            Span(
                trace_id=f"{rng.getrandbits(128):032x}",
                span_id=f"{rng.getrandbits(64) or 1:016x}",
                start_ns=now,
                end_ns=now + 10**6,
                name=name,
                organisation="org_a",
                payload=None if place else Payload(input="unmistakable words", output=str(number)),
            )
            for place in range(each)
        ]
        batch = f"{name}-{number}"
        await store.append(spans, batch)
        if number % 3 == 0:
            await store.append(spans, batch)
        if number == 1:
            await store.flush()  # the engine is open from here on, so that what is killed stores, and not only appends
        print(number, flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))

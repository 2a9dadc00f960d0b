"""``python writer.py FOLDER NAME BATCH``: appends batches until it is killed, saying the number of each once it is acknowledged."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path

from penstock.storage.telemetry import held
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.span import Payload, Span


async def main(folder: str, name: str, each: int) -> None:
    held.SUMMED_FROM = 500  # so that it is also killed while it sums
    store = EmbeddedTelemetry(Path(folder), memory_mb=256, drain_seconds=0.01)
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
        print(number, flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

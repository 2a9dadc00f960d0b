"""``python -m benchmarks.telemetry.month --data FOLDER``: Penstock's own store, fed while pages ask, then filled to a month of 10 M calls.

First spans are appended in batches of 500 while another thread of the same process asks what pages ask. Then what is stored is copied, days
later and with other ids, until there are as many spans as asked for, and every question is asked again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.telemetry.spans import DAY, TASKS, generate
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.span import FIELDS, Span

BEGIN = 1_789_000_000 * 10**9
HOUR = 3600 * 10**9
BATCH = 500
MOVED = ("trace_id", "start_ns", "end_ns", "session")


def questions(store: EmbeddedTelemetry, until: int, trace: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    """What each page asks first."""
    month = Filter(organisation="org_0", since_ns=until - 30 * DAY, until_ns=until)
    calls = Filter(organisation="org_0", since_ns=until - 30 * DAY, until_ns=until, equal={"kind": ("call",)})
    # As the pages ask: their steps begin at whole multiples since 1970.
    steps = Filter(organisation="org_0", since_ns=until // (12 * HOUR) * 12 * HOUR - 30 * DAY, until_ns=until, equal={"kind": ("call",)})
    every = Filter(organisation="org_0", since_ns=steps.since_ns, until_ns=until)
    one = Filter(organisation="org_0", since_ns=steps.since_ns, until_ns=until, equal={"kind": ("call",), "task": (TASKS[0],)})
    day = Filter(organisation="org_0", since_ns=until - DAY, until_ns=until, equal={"kind": ("call",)})
    failed = Filter(organisation="org_0", equal={"status": ("failed",), "task": ("summarise-ticket",)})
    return {
        "health, a month by model": lambda: store.series(steps, 12 * HOUR, "model"),
        "health, a month of a task by model": lambda: store.series(one, 24 * HOUR, "model"),
        "health, a month of a task by the half day": lambda: store.series(one, 12 * HOUR),
        "health, a month by release": lambda: store.series(steps, 24 * HOUR, "release"),
        "health, a month by provider": lambda: store.series(steps, 12 * HOUR, "provider"),
        "health, a month by agent": lambda: store.series(steps, 12 * HOUR, "agent"),
        "health, a month by tool": lambda: store.series(every, 12 * HOUR, "tool"),
        "health, a day by task": lambda: store.series(day, HOUR // 4, "task"),
        "totals of a month": lambda: store.groups(calls, []),
        "tasks and models of a month": lambda: store.groups(calls, ["task", "model"]),
        "teams of a month": lambda: store.groups(calls, ["team"]),
        "tools of a month": lambda: store.groups(month, ["tool"]),
        "keys of a month": lambda: store.groups(calls, ["key"]),
        "search, the latest": lambda: store.search(month, 50),
        "search, failed ones of a task": lambda: store.search(failed, 50),
        "search, slow and dear": lambda: store.search(Filter(organisation="org_0", min_ms=60_000, min_cost_micros=500), 50),
        "one trace": lambda: store.trace(trace, "org_0"),
        "conversations": lambda: store.threads(Filter(organisation="org_0", since_ns=until - DAY, until_ns=until), 50),
        "conversations of a month": lambda: store.threads(month, 50),
        "words, few": lambda: store.search(Filter(organisation="org_0", text="order 120*"), 50),
        "words, many": lambda: store.search(Filter(organisation="org_0", text="world war"), 50),
    }  # fmt: skip


async def asked(store: EmbeddedTelemetry, until: int, trace: str, times: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, question in questions(store, until, trace).items():
        took: list[float] = []
        cpu = time.process_time()
        for _ in range(times):
            began = time.perf_counter()
            await question()
            took.append((time.perf_counter() - began) * 1e3)
        took.sort()
        used = (time.process_time() - cpu) / times * 1e3
        found[name] = {"p50": round(statistics.median(took)), "p95": round(took[int(len(took) * 0.95)]), "cpu_ms": round(used)}
        print(name, found[name], flush=True)
    return found


def peak_mb() -> int:
    return next(int(line.split()[1]) // 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))


async def fed(store: EmbeddedTelemetry, spans: list[list[Span]], until: int, ask: bool) -> dict[str, Any]:
    """Append all batches, with pages asked meanwhile; how long it took until the last span could be asked about."""
    over = asyncio.Event()
    waits: list[float] = []
    acks: list[float] = []

    async def pages() -> None:
        every = list(questions(store, until, spans[0][-1].trace_id).values())
        while not over.is_set():
            for question in every:
                began = time.perf_counter()
                await question()
                waits.append((time.perf_counter() - began) * 1e3)
                await asyncio.sleep(0.1)
                if over.is_set():
                    return

    task = asyncio.create_task(pages()) if ask else None
    began, cpu = time.perf_counter(), time.process_time()
    for number, batch in enumerate(spans):
        at = time.perf_counter()
        await store.append(batch, f"batch-{number}")
        acks.append((time.perf_counter() - at) * 1e3)
    acknowledged = time.perf_counter() - began
    await store.flush()
    took, used = time.perf_counter() - began, time.process_time() - cpu
    over.set()
    if task is not None:
        await task
    acks.sort()
    waits.sort()
    count = sum(len(batch) for batch in spans)
    return {
        "spans": count, "spans_per_s": round(count / took), "acknowledged_per_s": round(count / acknowledged),
        "cpu_us_a_span": round(used / count * 1e6, 1), "ack_p50_ms": round(statistics.median(acks), 2),
        "ack_p99_ms": round(acks[int(len(acks) * 0.99)], 2), "pages_meanwhile": len(waits),
        "pages_p95_ms": round(waits[int(len(waits) * 0.95)]) if waits else None,
    }  # fmt: skip


def copied(store: EmbeddedTelemetry, spans: int, days: float) -> None:
    """Fill the store up by copying what it has, ``days`` later each time."""
    held = store._holder._held
    assert held is not None
    duck = held._duck
    have = int(duck.rows("SELECT count(*) FROM spans")[0][0])
    width = int(days * DAY)
    payloads = int(duck.rows("SELECT coalesce(max(id), 0) FROM payloads")[0][0])
    rest = [name for name in FIELDS if name not in MOVED]
    duck.sum_up()
    for number in range(1, spans // have):
        with held._writing, duck.transaction() as con:
            con.execute(
                f"INSERT INTO spans ({', '.join([*MOVED, *rest, 'took', 'waited', 'payload', 'arrived'])}) "
                f"SELECT md5(trace_id::VARCHAR || '{number}')::UUID, start_ns + {number * width}, end_ns + {number * width}, "
                f"session || '.{number}', {', '.join(rest)}, took, waited, payload + {number * payloads}, {duck.summed + 1} "
                f"FROM spans WHERE start_ns < {BEGIN + width}"
            )
            # The texts are cut anew, so that copies are not compressed for being copies.
            con.execute(
                f"INSERT INTO payloads SELECT id + {number * payloads}, organisation, start_ns + {number * width}, "
                f"substr(input, 40 + {number * 17}) || md5(input || '{number}') || substr(input, 1, {number * 17}), "
                f"substr(output, {number * 11}) || id FROM payloads WHERE start_ns < {BEGIN + width} ORDER BY id"
            )
            duck.unsummed = 1
        with held._writing:
            duck.sum_up()
    duck._last = payloads * (spans // have)
    with held._writing:
        held._index()
        duck.checkpoint()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fed", type=int, default=500_000)
    parser.add_argument("--spans", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/telemetry-month.json"))
    given = parser.parse_args()
    days = 30 * given.fed / given.spans
    until = BEGIN + 30 * DAY
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "telemetry"
        store = EmbeddedTelemetry(folder, memory_mb=given.memory, idle_seconds=1e9)
        await store.start()
        batches: list[list[Span]] = [[]]
        for span in generate(given.fed, given.fed // 10, given.data, BEGIN, days):
            if len(batches[-1]) == BATCH:
                batches.append([])
            batches[-1].append(span)
        report: dict[str, Any] = {"machine": {"cpus": os.cpu_count(), "load": os.getloadavg()[0]}}
        trace = batches[len(batches) // 2][-1].trace_id
        report["fed"] = await fed(store, batches, BEGIN + int(days * DAY), True)
        print(report["fed"], flush=True)
        batches.clear()
        began = time.perf_counter()
        await asyncio.to_thread(copied, store, given.spans, days)
        print("copied", round(time.perf_counter() - began), "s", flush=True)
        facts = await store.facts()
        files = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
        report["stored"] = {
            "spans": facts.spans,
            "payloads": facts.payloads,
            "bytes": facts.bytes,
            "bytes_a_span": round(facts.bytes / facts.spans),
            "files": files,
        }
        print(report["stored"], flush=True)
        report["questions"] = await asked(store, until, trace, given.times)
        report["peak_mb"] = peak_mb()
        await store.close()
        began = time.perf_counter()
        store = EmbeddedTelemetry(folder, memory_mb=given.memory, idle_seconds=1e9)
        await store.start()
        await store.search(Filter(organisation="org_0", since_ns=until - DAY, until_ns=until), 50)
        report["open_and_first_search_s"] = round(time.perf_counter() - began, 2)
        await store.close()
    report["machine"]["load_after"] = os.getloadavg()[0]
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    asyncio.run(main())

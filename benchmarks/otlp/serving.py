"""The process that is measured: a whole Penstock on one core, asked the pages' questions while spans come in.

``python -m benchmarks.otlp.serving FOLDER CORE``: prints one JSON line with its URL and key, and one with what it saw when standard
input closes.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from pathlib import Path

import msgspec

from penstock.app import App, capabilities, load_settings, open_store
from penstock.collector import spare_collector
from penstock.edge.server import Server
from penstock.kernel.ports import FirstKey
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.span import Span
from penstock.storage.telemetry.store import TelemetryStore
from penstock.up import dispatcher

PAUSE = 0.5
"""Seconds between two rounds of questions: a person who clicks twice a second."""


async def ask(store: TelemetryStore, waits: list[float]) -> None:
    """What the pages ask, over and over."""
    while True:
        now = time.time_ns()
        hour = Filter(since_ns=now - 3600 * 10**9, until_ns=now)
        for question in (
            lambda which=hour: store.series(which, 60 * 10**9, "model"),
            lambda which=hour: store.groups(which, ("task", "model")),
            lambda which=hour: store.search(which),
        ):
            begin = time.perf_counter()
            await question()
            waits.append((time.perf_counter() - begin) * 1e3)
            await asyncio.sleep(PAUSE / 3)


def used() -> float:
    """CPU seconds of this process and of those that it started, which all have the one core."""
    tick = os.sysconf("SC_CLK_TCK")
    engines = [int(pid) for one in Path("/proc/self/task").glob("*/children") for pid in one.read_text().split()]
    spent = [Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[11:13] for pid in engines]
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(int(user) + int(system) for user, system in spent) / tick


async def serve(folder: Path) -> None:
    """Until standard input closes."""
    config = folder / "penstock.toml"
    config.write_text(f'[server]\nport = 0\ndata_dir = "{folder}/data"\n[gateway]\ndiscover = false\nlocal_embeddings = false\n', "utf-8")
    settings = load_settings(capabilities(), config)
    app = App(capabilities(), settings, open_store(settings))
    await app.start()
    server = Server(dispatcher(app), host="127.0.0.1", port=0, backlog=128, head_seconds=10)
    await server.start()
    spare_collector()
    store = app.ports.get(TelemetryStore)
    waits: list[float] = []
    asking = asyncio.create_task(ask(store, waits))
    key = await app.ports.get(FirstKey).ensure() or ""
    # The engine's process runs before anything is measured, as it does in a house that is asked.
    await store.append((Span(trace_id="ab" * 16, span_id="cd" * 8, start_ns=1, end_ns=2),), "begun")
    await store.flush()
    cpu, own = used(), time.process_time()
    print(msgspec.json.encode({"url": server.url, "key": key}).decode(), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    begin = time.perf_counter()
    await store.flush()
    behind = time.perf_counter() - begin
    cpu, own = used() - cpu, time.process_time() - own
    asking.cancel()
    facts = await store.facts()
    listed: list[float] = []
    for _ in range(40):
        begin = time.perf_counter()
        await store.search(Filter())
        listed.append((time.perf_counter() - begin) * 1e3)
    listed.sort()
    waits.sort()
    seen = {
        "stored": facts.spans - 1, "cpu_s": cpu, "cpu_s_serving": own, "behind_s": behind, "questions": len(waits),
        "question_p50_ms": waits[len(waits) // 2] if waits else None, "question_p95_ms": waits[int(len(waits) * 0.95)] if waits else None,
        "listed": {"p50_ms": round(listed[20], 1), "p95_ms": round(listed[38], 1)},
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip
    print(msgspec.json.encode(seen).decode(), flush=True)
    await server.stop()
    await app.stop()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[2])})
    import uvloop

    uvloop.run(serve(Path(sys.argv[1])))

"""One batch from its file to its results, with a Penstock that is killed on the way, and interactive calls beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from tests.system.process import Penstock

from penstock.remote import Remote

SETTINGS = """
[gateway]
discover = false
local_embeddings = false
[gateway.providers.up]
profile = "openai-compatible"
base_url = "http://127.0.0.1:{port}/v1"
models = ["m"]
[finops.prices."up/m"]
input = 1.0
output = 2.0
[log]
level = "warning"
"""
QUESTION = "Which gate puts the river to work before the turbine turns and the valley lights up? " * 4


class Phase(msgspec.Struct):
    """Latencies of interactive calls, milliseconds, while the batch ran or did not, and how many lines it did in that time."""

    batch: bool
    seconds: float
    calls: int
    p50: float
    p99: float
    lines: int


class Report(msgspec.Struct):
    """What was seen."""

    lines: int
    kills: int
    upstream_seconds: float
    seconds: float = 0.0
    lines_per_second: float = 0.0
    results: int = 0
    missing: int = 0
    doubled: int = 0
    wrong: int = 0
    repeated_calls: int = 0
    most_in_flight: int = 0
    ledger_rows: int = 0
    rss_megabytes: float = 0.0
    phases: list[Phase] = msgspec.field(default_factory=list[Phase])
    p99_without: float | None = None
    p99_with: float | None = None
    p99_rise: float | None = None
    idle_lines_per_second: float | None = None


class Memory:
    """The largest resident size of any process of the drill."""

    def __init__(self) -> None:
        self.most = 0

    def look(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    self.most = max(self.most, int(line.split()[1]))


def write_lines(path: Path, count: int) -> None:
    with path.open("w") as file:
        for number in range(count):
            body = {"model": "m", "user": f"line-{number}", "messages": [{"role": "user", "content": QUESTION}]}
            file.write(json.dumps({"custom_id": f"id-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n")


@contextlib.asynccontextmanager
async def upstream(seconds: float) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.batches.upstream", "--seconds", str(seconds), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int((await process.stdout.readline()).split()[1])
    finally:
        process.terminate()
        await process.wait()


class Drill:
    """One drill in ``folder``."""

    def __init__(self, folder: Path, report: Report, port: int, seed: int, more: str = "") -> None:
        self.folder = folder
        self.report = report
        self.port = port
        self.memory = Memory()
        self.penstock = Penstock(folder, SETTINGS.format(port=port) + more)
        self._random = random.Random(seed)
        self.id = ""

    @property
    def remote(self) -> Remote:
        return Remote(self.penstock.url, self.penstock.admin)

    async def standing(self) -> dict[str, Any]:
        self.memory.look(self.penstock.pid)
        return await asyncio.to_thread(self.remote.ask, "GET", f"/v1/batches/{self.id}")

    async def done(self) -> int:
        counts = (await self.standing())["request_counts"]
        return counts["completed"] + counts["failed"]

    async def begin(self) -> None:
        await self.penstock.start()
        file = self.folder / "in.jsonl"
        await asyncio.to_thread(write_lines, file, self.report.lines)
        id = await asyncio.to_thread(self.remote.upload, file, "batch")
        made = await asyncio.to_thread(self.remote.ask, "POST", "/v1/batches", {"input_file_id": id, "endpoint": "/v1/chat/completions"})
        self.id = made["id"]
        while (await self.standing())["status"] == "validating":
            await asyncio.sleep(0.05)

    async def kills(self) -> None:
        """Kill at random moments of what is left, and start again."""
        began, left = await self.done(), self.report.lines
        for at in sorted(began + self._random.random() * (left - began) * 0.97 for _ in range(self.report.kills)):
            while await self.done() < at:
                await asyncio.sleep(0.02)
            await asyncio.sleep(self._random.uniform(0.0, 0.5))
            self.memory.look(self.penstock.pid)
            await self.penstock.kill()
            await self.penstock.start()

    async def end(self) -> None:
        while (await self.standing())["status"] not in ("completed", "failed", "expired", "cancelled"):
            await asyncio.sleep(0.1)
        await asyncio.to_thread(self._examine)
        self.report.rss_megabytes = round(self.memory.most / 1024, 1)

    async def phases(self, rounds: int, seconds: float, rate: float) -> None:
        """Interactive calls in turns with the batch paused and running."""
        run = next(r for r in self.remote.ask("GET", "/v1/runs?name=batch")["data"] if r["labels"]["batch"] == self.id)["id"]
        latencies: dict[bool, list[float]] = {False: [], True: []}
        for number in range(2 * rounds):
            running = number % 2 == 1
            await asyncio.to_thread(self.remote.ask, "POST", f"/v1/runs/{run}/{'resume' if running else 'pause'}")
            before = await self.done()
            if running:
                while await self.done() == before:
                    await asyncio.sleep(0.05)
                before = await self.done()
            found = await self._interactive(seconds, rate)
            latencies[running] += found
            lines = await self.done() - before
            self.report.phases.append(Phase(running, seconds, len(found), _part(found, 0.5), _part(found, 0.99), lines))
        self.report.p99_without, self.report.p99_with = _part(latencies[False], 0.99), _part(latencies[True], 0.99)
        self.report.p99_rise = round(self.report.p99_with / self.report.p99_without - 1, 4)

    async def _interactive(self, seconds: float, rate: float) -> list[float]:
        """Milliseconds of calls that begin at ``rate`` a second, at random intervals, whatever the earlier ones do."""
        found: list[float] = []
        url = f"{self.penstock.url}/v1/chat/completions"
        body = json.dumps({"model": "m", "user": "person-1", "messages": [{"role": "user", "content": QUESTION}]}).encode()
        headers = {"authorization": f"Bearer {self.penstock.admin}", "content-type": "application/json"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def one() -> None:
                began = time.perf_counter()
                async with session.post(url, data=body) as reply:
                    await reply.read()
                    assert reply.status == 200, reply.status
                found.append((time.perf_counter() - began) * 1e3)

            await asyncio.gather(*(one() for _ in range(4)))  # connections are made
            found.clear()
            async with asyncio.TaskGroup() as group:
                end, at = time.monotonic() + seconds, time.monotonic()
                while at < end:
                    at += self._random.expovariate(rate)
                    await asyncio.sleep(max(0.0, at - time.monotonic()))
                    group.create_task(one())
        return found

    def _examine(self) -> None:
        report, batch = self.report, self.remote.ask("GET", f"/v1/batches/{self.id}")
        seen: Counter[str] = Counter()
        for path in ("results", "errors"):
            if batch["output_file_id" if path == "results" else "error_file_id"] is None:
                continue
            held = b""
            for piece in self.remote.pieces(f"/v1/batches/{self.id}/{path}"):
                *lines, held = (held + piece).split(b"\n")
                for line in lines:
                    result = json.loads(line)
                    seen[result["custom_id"]] += 1
                    said = result["response"]["body"]["choices"][0]["message"]["content"] if path == "results" else ""
                    report.wrong += said != f"the answer for line-{result['custom_id'].removeprefix('id-')}"
            assert not held
        report.results = seen.total()
        report.missing = sum(f"id-{number}" not in seen for number in range(report.lines))
        report.doubled = sum(count > 1 for count in seen.values())
        runs = [r["id"] for r in self.remote.ask("GET", "/v1/runs?name=batch")["data"]]
        report.ledger_rows = sum(self.remote.ask("GET", f"/v1/ledger?run={run}&limit=1")["rows"] for run in runs)
        stats = Remote(f"http://127.0.0.1:{self.port}", "nobody").ask("GET", "/stats")
        report.repeated_calls, report.most_in_flight = stats["repeated"], stats["most_in_flight"]


def _part(values: list[float], part: float) -> float:
    return round(sorted(values)[min(len(values) - 1, int(len(values) * part))], 3) if values else 0.0


async def drill(
    folder: Path,
    *,
    lines: int,
    kills: int,
    seed: int = 1,
    upstream_seconds: float = 0.05,
    rounds: int = 0,
    phase_seconds: float = 10.0,
    rate: float = 30.0,
    more: str = "",
) -> Report:
    """Run it all. ``rounds`` of interactive calls come first, then the kills."""
    report = Report(lines=lines, kills=kills, upstream_seconds=upstream_seconds)
    async with upstream(upstream_seconds) as port:
        one = Drill(folder, report, port, seed, more)
        try:
            began = time.monotonic()
            await one.begin()
            if rounds:
                await one.phases(rounds, phase_seconds, rate)
            alone, before = time.monotonic(), await one.done()
            await one.kills()
            await one.end()
            report.seconds = round(time.monotonic() - began, 1)
            report.idle_lines_per_second = round((lines - before) / (time.monotonic() - alone), 1)
            report.lines_per_second = round(lines / report.seconds, 1)
        finally:
            await one.penstock.terminate()
    return report

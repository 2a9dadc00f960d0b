"""One contestant in one process: ``python -m benchmarks.journal.contestants NAME FOLDER URL STEPS``. Prints JSON.

Each runs the same: a run of ``STEPS`` steps, one after the other, each a coroutine that returns a number; the result of each is on
disk before the next begins. A first run warms up and is not counted.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Once = Callable[[int], Awaitable[None]]


async def measured(once: Once, steps: int) -> dict[str, float]:
    await once(20)
    cpu, began = time.process_time(), time.perf_counter()
    await once(steps)
    wall = time.perf_counter() - began
    return {"ms": wall / steps * 1e3, "cpu_ms": (time.process_time() - cpu) / steps * 1e3}


async def one(value: int) -> int:
    return value + 1


async def penstock(folder: Path, url: str, steps: int) -> dict[str, float]:
    from penstock.journal.service import JournalService
    from penstock.journal.settings import JournalSettings
    from penstock.kernel.journal import Run

    if url:
        from tests.journal.conftest import migrated

        migrated(url, folder)

    async def work(run: Run, count: Any) -> int:
        value = 0
        for _ in range(count):
            value = await run.step("one", one, value)
        return value

    journal = JournalService(JournalSettings(), url, folder)
    journal.define("work", work)

    async def once(count: int) -> None:
        run = await journal.start("work", count, organisation="org")
        assert await journal.result(None, run) == count

    try:
        return await measured(once, steps)
    finally:
        await journal.close()


async def dbos(folder: Path, url: str, steps: int, *, tuned: bool = False) -> dict[str, float]:
    """DBOS as its documentation has it; ``tuned``: with our SQLite settings, so that only our own layer differs."""
    from dbos import DBOS, DBOSConfig

    config: DBOSConfig = {
        "name": "bare",
        "system_database_url": url.replace("postgresql://", "postgresql+psycopg://") or f"sqlite:///{folder}/bare.db",
        "log_level": "ERROR",
    }
    if tuned and not url:
        from penstock.journal.place import Place

        place = Place("", folder)
        place.lock()
        assert place.engine is not None
        config["system_database_url"], config["system_database_engine"] = place.url, place.engine
    DBOS(config=config)

    @DBOS.step()
    async def step(value: int) -> int:
        return await one(value)

    @DBOS.workflow()
    async def work(count: int) -> int:
        value = 0
        for _ in range(count):
            value = await step(value)
        return value

    DBOS.launch()

    async def once(count: int) -> None:
        handle = await DBOS.start_workflow_async(work, count)
        assert await handle.get_result() == count

    try:
        return await measured(once, steps)
    finally:
        DBOS.destroy()


async def langgraph(folder: Path, url: str, steps: int) -> dict[str, float]:
    """A loop of one node with the SQLite checkpointer, which writes after each step (``durability="sync"``)."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph import END, START, StateGraph
    from typing_extensions import TypedDict

    class State(TypedDict):
        value: int
        count: int

    async def node(state: State) -> dict[str, int]:
        return {"value": await one(state["value"])}

    graph: Any = StateGraph(State)
    graph.add_node("one", node)
    graph.add_edge(START, "one")
    graph.add_conditional_edges("one", lambda state: END if state["value"] >= state["count"] else "one")
    async with AsyncSqliteSaver.from_conn_string(str(folder / "langgraph.db")) as saver:
        # As durable as the others: it opens its file in WAL and leaves the level of safety to SQLite's default, which is FULL.
        compiled = graph.compile(checkpointer=saver)

        async def once(count: int) -> None:
            config = {"configurable": {"thread_id": str(count)}, "recursion_limit": count + 10}
            state = await compiled.ainvoke({"value": 0, "count": count}, config, durability="sync")
            assert state["value"] == count

        return await measured(once, steps)


async def temporal(folder: Path, url: str, steps: int) -> dict[str, float]:
    """An activity a step, on Temporal's development server with its history in an SQLite file; server and worker on this machine.

    ``cpu_ms`` is the worker's alone; the server is a process of its own.
    """
    from temporalio.client import Client
    from temporalio.worker import Worker

    from benchmarks.journal.temporal import DevelopmentServer, Work, one_activity

    async with DevelopmentServer(folder) as address:
        client = await Client.connect(address)
        async with Worker(client, task_queue="bench", workflows=[Work], activities=[one_activity]):

            async def once(count: int) -> None:
                assert await client.execute_workflow(Work.run, count, id=f"work-{count}", task_queue="bench") == count

            return await measured(once, steps)


async def tuned(folder: Path, url: str, steps: int) -> dict[str, float]:
    return await dbos(folder, url, steps, tuned=True)


CONTESTANTS: dict[str, Callable[[Path, str, int], Awaitable[dict[str, float]]]] = {
    "penstock": penstock,
    "dbos": dbos,
    "dbos-tuned": tuned,
    "langgraph": langgraph,
    "temporal": temporal,
}


if __name__ == "__main__":
    found = asyncio.run(CONTESTANTS[sys.argv[1]](Path(sys.argv[2]), "" if sys.argv[3] == "-" else sys.argv[3], int(sys.argv[4])))
    print(json.dumps(found), flush=True)
    os._exit(0)  # threads of a contestant that do not end by themselves are not what is measured

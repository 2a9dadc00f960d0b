"""LangGraph and Temporal for the comparison, each in its own words. Runs under a Python that has them; imports nothing of ours."""

from __future__ import annotations

import itertools
import operator
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

from benchmarks.agents.contestants import size


class Langgraph:
    """Graphs with the SQLite checkpointer, which writes after each step (``durability="sync"``).

    The agent keeps its messages in the state."""

    def __init__(self, saver: Any, folder: Path) -> None:
        from langgraph.graph import END, START, StateGraph
        from langgraph.types import Send
        from typing_extensions import TypedDict

        class State(TypedDict):
            value: int
            count: int

        class Fan(TypedDict):
            count: int
            values: Annotated[list[int], operator.add]

        class Talk(TypedDict):
            turns: int
            messages: Annotated[list[dict[str, str]], operator.add]

        self._folder = folder
        self._saver = saver
        self._said = ""
        self._laps: list[float] = []
        self._last = 0.0

        async def add(state: State) -> dict[str, int]:
            now = time.perf_counter()
            self._laps.append((now - self._last) * 1e3)
            self._last = now
            return {"value": state["value"] + 1}

        async def child(state: dict[str, int]) -> dict[str, list[int]]:
            return {"values": [state["value"] + 1]}

        async def model(state: Talk) -> dict[str, list[dict[str, str]]]:
            return {"messages": [{"role": "assistant", "content": self._said}]}

        async def tool(state: Talk) -> dict[str, list[dict[str, str]]]:
            return {"messages": [{"role": "tool", "content": self._said}]}

        steps: Any = StateGraph(State)
        steps.add_node("add", add)
        steps.add_edge(START, "add")
        steps.add_conditional_edges("add", lambda state: END if state["value"] >= state["count"] else "add")
        fan: Any = StateGraph(Fan)
        fan.add_node("child", child)
        fan.add_conditional_edges(START, lambda state: [Send("child", {"value": n}) for n in range(state["count"])], ["child"])
        talk: Any = StateGraph(Talk)
        talk.add_node("model", model)
        talk.add_node("tool", tool)
        talk.add_edge(START, "model")
        talk.add_edge("model", "tool")
        talk.add_conditional_edges("tool", lambda state: END if len(state["messages"]) >= 2 * state["turns"] else "model")
        self._graphs = {name: graph.compile(checkpointer=saver) for name, graph in (("steps", steps), ("fan", fan), ("talk", talk))}

    async def _ended(self, graph: str, thread: str, state: dict[str, Any]) -> Any:
        config = {"configurable": {"thread_id": thread}, "recursion_limit": 10_000}
        return await self._graphs[graph].ainvoke(state, config, durability="sync")

    async def steps(self, count: int) -> list[float]:
        self._laps, self._last = [], time.perf_counter()
        await self._ended("steps", f"steps-{count}", {"value": 0, "count": count})
        return self._laps

    async def one(self, name: str) -> None:
        await self._ended("steps", name, {"value": 0, "count": 1})

    async def fan(self, count: int) -> None:
        state = await self._ended("fan", "fan", {"count": count, "values": []})
        assert sum(state["values"]) == count * (count + 1) // 2

    async def talk(self, turns: int, said: str) -> int:
        self._said, before = said, size(self._folder)
        await self._ended("talk", "talk", {"turns": turns, "messages": []})
        return size(self._folder) - before


async def langgraph(folder: Path, stack: AsyncExitStack) -> Langgraph:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    # As durable as the others: it opens its file in WAL and leaves the level of safety to SQLite's default, which is FULL.
    saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(folder / "langgraph.db")))
    return Langgraph(saver, folder)


class Temporal:
    """An activity a step, on Temporal's development server with its history in an SQLite file; server and worker on this machine.

    The CPU is the worker's alone. The agent's model is an activity that is given the conversation."""

    def __init__(self, client: Any, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._runs = 0

    async def _ended(self, workflow: Any, given: Any, name: str = "") -> Any:
        self._runs += 1
        return await self._client.execute_workflow(workflow, given, id=name or f"run-number-{self._runs}", task_queue="bench")

    async def steps(self, count: int) -> list[float]:
        from benchmarks.agents.temporal_work import LAPS, Steps

        LAPS.clear()
        await self._ended(Steps.run, count)
        return [(later - sooner) * 1e3 for sooner, later in itertools.pairwise(LAPS)]

    async def one(self, name: str) -> None:
        from benchmarks.agents.temporal_work import Steps

        await self._ended(Steps.run, 1, name)

    async def fan(self, count: int) -> None:
        from benchmarks.agents.temporal_work import Fan

        await self._ended(Fan.run, count)

    async def talk(self, turns: int, said: str) -> int:
        from benchmarks.agents.temporal_work import Talk

        before = size(self._folder)
        await self._ended(Talk.run, [turns, said])
        return size(self._folder) - before


async def temporal(folder: Path, stack: AsyncExitStack) -> Temporal:
    from temporalio.client import Client
    from temporalio.worker import Worker

    from benchmarks.agents.temporal_work import ACTIVITIES, WORKFLOWS
    from benchmarks.journal.temporal import DevelopmentServer

    address = await stack.enter_async_context(DevelopmentServer(folder))
    client = await Client.connect(address)
    await stack.enter_async_context(Worker(client, task_queue="bench", workflows=WORKFLOWS, activities=ACTIVITIES))
    return Temporal(client, folder)

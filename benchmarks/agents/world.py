"""The world of a drill: ``python -m benchmarks.agents.world SOCKET PLAN SUITE...``. One process that nobody kills.

It holds the world of each task and is asked over a Unix socket, a line of JSON each way. A call takes a little time before and after it
takes effect; whoever hangs up before is not served, whoever hangs up after has had the effect and not the answer. It keeps count of
everything: which calls were executed under which key, how often, and when which process first asked for something.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.agents.suites import Suite, Task, changing, suites

BEFORE_SECONDS = 0.03
AFTER_SECONDS = 0.06
LINE_BYTES = 64 * 2**20


class World:
    """All tasks' worlds, and what was done to them. ``log`` has, by task and key, what was executed."""

    def __init__(self, found: list[Suite]) -> None:
        self.suite: dict[str, Suite] = {}
        self.task: dict[str, Task] = {}
        self.tools: dict[str, dict[str, Any]] = {}
        self._open: dict[str, Any] = {}
        self._log: dict[str, dict[str, dict[str, Any]]] = {}
        self._asked: list[tuple[float, int, str, str]] = []
        self._chance = random.Random(5)
        for suite in found:
            tasks = suite.tasks()
            writes = changing(suite, tasks)
            names = {call.name for task in tasks for turn in task.turns for call in turn}
            self.tools[suite.name] = {name: {"parameters": suite.parameters(name), "writes": name in writes} for name in sorted(names)}
            for task in tasks:
                self.suite[task.id], self.task[task.id], self._log[task.id] = suite, task, {}

    def plan(self) -> dict[str, Any]:
        """What the workers need to know: the tools of each suite, and the tasks with the calls that solve them."""
        tasks = {id: {"suite": self.suite[id].name, **task._asdict()} for id, task in self.task.items()}
        return {"tools": self.tools, "tasks": tasks}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One question of one connection."""
        try:
            line = await reader.readline()
            if line:
                told = await self._told(json.loads(line), reader)
                if told is not None:
                    writer.write(json.dumps(told).encode() + b"\n")
                    await writer.drain()
        except ConnectionError:
            pass  # whoever asked was killed
        finally:
            writer.close()

    async def _told(self, asked: dict[str, Any], reader: asyncio.StreamReader) -> dict[str, Any] | None:
        what, task = asked["what"], asked.get("task", "")
        if what in ("call", "think"):
            self._asked.append((time.time(), asked["pid"], task, what))
        match what:
            case "call":
                await asyncio.sleep(self._chance.uniform(0.0, BEFORE_SECONDS))
                if reader.at_eof():
                    return None
                result = self._execute(task, asked)
                await asyncio.sleep(self._chance.uniform(0.0, AFTER_SECONDS))
                return result
            case "happened":
                kept = self._log[task].get(asked["key"])
                return {"happened": kept is not None, "result": kept["result"] if kept is not None else None}
            case "asked":
                return {"asked": self._asked}
            case "verdict":
                return self._verdict(task)
            case _:
                return {}

    def _execute(self, task: str, asked: dict[str, Any]) -> dict[str, Any]:
        key, name = asked["key"], asked["name"]
        kept = self._log[task].get(key)
        if kept is not None and asked["honours_key"]:
            kept["repeated"] += 1
            return {"result": kept["result"]}
        suite = self.suite[task]
        if task not in self._open:
            self._open[task] = suite.open(task)
        try:
            result = suite.call(self._open[task], name, asked["arguments"])
        except Exception as fault:  # whatever the simulated system raises is its answer
            return {"error": f"{type(fault).__name__}: {fault}"}
        if kept is None:
            kept = self._log[task][key] = {"name": name, "arguments": asked["arguments"], "executed": 0, "repeated": 0, "result": result}
        kept["executed"] += 1
        kept["result"] = result
        return {"result": result}

    def _verdict(self, task: str) -> dict[str, Any]:
        """What is wrong with a task's end; what was executed, in the order of its calls."""
        given = self.task[task]
        log = sorted(self._log[task].items(), key=lambda item: int(item[0].rpartition("/")[2]))
        done = [(one["name"], one["arguments"]) for _, one in log]
        wanted = [(call.name, call.arguments) for turn in given.turns for call in turn]
        wrong = "" if done == wanted else f"what was executed is not the ground truth: {done} instead of {wanted}"
        if not wrong:
            rest = iter(one["result"] for _, one in log)
            results = [[next(rest) for _ in turn] for turn in given.turns]
            world = self._open[task] if task in self._open else self.suite[task].open(task)
            wrong = self.suite[task].verdict(given, world, results)
        return {"wrong": wrong, "log": {key: {"name": one["name"], "executed": one["executed"]} for key, one in log}}


async def main(socket: str, plan: Path, names: list[str]) -> None:
    """Serve until the process is told to end."""
    world = World(suites(names))
    plan.write_text(json.dumps(world.plan()))
    server = await asyncio.start_unix_server(world.answer, socket, limit=LINE_BYTES)
    print("up", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))

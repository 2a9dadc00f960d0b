"""A worker of the drill: ``python -m benchmarks.agents.work FOLDER URL SOCKET START``. Executes runs of agents until it is killed.

An agent a suite and a way of failing: its tools are those of the suite, declared as what the ground truth shows them to be, and called
over the socket. Their model is scripted: it says the calls of the ground truth turn by turn. Where a call is in doubt and nobody but a
person could tell, it asks the world, as a person would look, and calls again only what has not happened.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import random
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tests.agents.scripted import Stand

from penstock.agents import Agent, Limits, Permanent, ToolContext
from penstock.agents.loop import Start
from penstock.agents.model import Message, Question, Said, ToolCall
from penstock.agents.tools import Tool
from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.journal.terms import keyed
from penstock.kernel.journal import Queue

SETTINGS = JournalSettings(lease_seconds=3.0, recoveries=1000)
QUEUE = "drill"
ORGANISATION = "org"
WAYS = ("key", "key", "key", "check", "neither")
"""How the tools of a task can be asked about a call in doubt, by the task's id: they honour its key, they are looked at, or neither."""
LOOK = "look"
IN_DOUBT = "Nobody knows whether this happened"
THINK_SECONDS = 0.5
MOST_BYTES = 4 * 2**20


def way_of(task: str) -> str:
    """The same in every process."""
    return WAYS[zlib.crc32(task.encode()) % len(WAYS)]


def run_of(task: str) -> str:
    """The id of a task's run, which follows from its key."""
    return keyed(ORGANISATION, task)


class Client:
    """Asks the world; a connection each, which breaks when this process is killed."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    async def ask(self, what: str, **more: Any) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(self._socket, limit=64 * 2**20)
        try:
            writer.write(json.dumps({"what": what, "pid": os.getpid(), **more}).encode() + b"\n")
            return json.loads(await reader.readline())
        finally:
            writer.close()


class Truth:
    """The model: says what the ground truth calls, whatever it is told."""

    def __init__(self, client: Client, tasks: Mapping[str, dict[str, Any]], seconds: float) -> None:
        self._client = client
        self._tasks = {run_of(id): task for id, task in tasks.items()}
        self._seconds = seconds

    async def say(self, question: Question) -> Said:
        """The next turn that follows from the conversation so far."""
        task = self._tasks[question.labels["run"]]
        await self._client.ask("think", task=task["id"])
        await asyncio.sleep(random.uniform(0.0, self._seconds))
        calls = self._calls(task, question.messages)
        if calls is None:
            return Said(text=task["output"], at=time.time())
        made = tuple(ToolCall(id=f"c{n}", name=name, arguments=json.dumps(given)) for n, (name, given) in enumerate(calls))
        return Said(calls=made, at=time.time())

    def _calls(self, task: Mapping[str, Any], messages: Sequence[Message]) -> list[tuple[str, dict[str, Any]]] | None:
        turns: list[list[tuple[str, dict[str, Any]]]] = task["turns"]
        if way_of(task["id"]) != "neither":
            said = sum(message["role"] == "assistant" for message in messages)
            full = [turn for turn in turns if turn]
            return full[said] if said < len(full) else None
        # One call at a time: what follows a call in doubt must not be made before it is known.
        left = [call for turn in turns for call in turn]
        ordinal = at = 0
        look = False
        for message in messages:
            if message["role"] != "tool":
                continue
            ordinal += 1
            text = str(message["content"])
            if look:
                look, at = False, at + (text == "yes")
            elif text.startswith(IN_DOUBT):
                look = True
            else:
                at += 1
        if look:
            return [(LOOK, {"ordinal": ordinal})]
        return [left[at]] if at < len(left) else None


def agents(client: Client, plan: Mapping[str, Any]) -> dict[tuple[str, str], Agent]:
    """An agent for each suite and way."""
    tasks = {run_of(id): id for id in plan["tasks"]}

    async def look(ordinal: int, context: ToolContext) -> str:
        """Whether a call of this run has happened."""
        told = await client.ask("happened", task=tasks[context.run], key=f"{context.run}/call/{ordinal}")
        return "yes" if told["happened"] else "no"

    def tool(name: str, told: Mapping[str, Any], way: str) -> Tool[..., Any]:
        async def call(context: ToolContext, **given: Any) -> str:
            arguments = {field: value for field, value in given.items() if value is not msgspec.UNSET}
            more = {"name": name, "arguments": arguments, "key": context.key, "honours_key": told["writes"] and way == "key"}
            answer = await client.ask("call", task=tasks[context.run], **more)
            if "error" in answer:
                raise Permanent(answer["error"])
            return answer["result"]

        async def check(context: ToolContext, **_: Any) -> str | None:
            found = await client.ask("happened", task=tasks[context.run], key=context.key)
            return found["result"] if found["happened"] else None

        hints = dict.fromkeys(told["parameters"], Any | msgspec.UnsetType)
        named = [inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=msgspec.UNSET) for field in hints]
        given = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY)
        shown: Any = call
        shown.__signature__ = inspect.Signature([given, *named])
        shown.__annotations__ = {**hints, "context": ToolContext, "return": str}
        return Tool(
            shown,
            effect="write" if told["writes"] else "read",
            name=name,
            honours_key=told["writes"] and way == "key",
            check=check if told["writes"] and way == "check" else None,
            most_bytes=MOST_BYTES,
        )

    watch = Tool(look, effect="read", name=LOOK)
    return {
        (suite, way): Agent(
            f"{suite}-{way}",
            model="scripted",
            tools=[watch, *(tool(name, told, way) for name, told in tools.items())],
            limits=Limits(turns=500, calls=1000),
        )
        for suite, tools in plan["tools"].items()
        for way in sorted(set(WAYS))
    }


async def main(folder: Path, url: str, socket: str, *, start: bool, at_once: int, seconds: float) -> None:
    """Work, or with ``start`` put all tasks into the queue and end."""
    plan = json.loads((folder / "plan.json").read_text())
    client = Client(socket)
    stand = Stand(folder, url, fresh=False)
    stand.journal = JournalService(SETTINGS, url, folder, works=not start)
    stand.model = Truth(client, plan["tasks"], seconds)  # type: ignore[assignment]
    made = agents(client, plan)
    for agent in made.values():
        stand.define(agent)
    stand.journal.declare(Queue(name=QUEUE, per_process=at_once))
    engine = await stand.journal.begin()
    if start:
        for id, task in plan["tasks"].items():
            agent = made[task["suite"], way_of(id)]
            given = msgspec.to_builtins(Start(input=task["prompt"], key="key"))
            await stand.journal.start(agent.run, given, organisation=ORGANISATION, queue=QUEUE, key=id)
        await stand.close()
        return
    print(f"up {engine.node}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    words = sys.argv[1:]
    url = "" if words[1] == "-" else words[1]
    asyncio.run(main(Path(words[0]), url, words[2], start=words[3] == "start", at_once=int(words[4]), seconds=float(words[5])))

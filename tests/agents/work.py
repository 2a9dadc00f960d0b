"""A process that works on one run of an agent until it has ended: ``python -m tests.agents.work FOLDER``. What its tools do to the world
they append to a file there, a line with one ``write`` each, and one tool honours the key of its call as a system of its own would."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec
from tests.agents.scripted import Scripted, Stand, calls, says

from penstock.agents import Agent, ToolContext, tool

ROUNDS = 6
world = -1


def happened(line: str) -> None:
    """Something in the world, whole even when the process is killed the moment after."""
    os.write(world, f"{line}\n".encode())


@tool
async def read(n: int) -> str:
    """Read."""
    await asyncio.sleep(0.01)
    return f"page {n}"


@tool(effect="write", honours_key=True)
async def book(n: int, context: ToolContext) -> str:
    """Book."""
    if context.key not in {line.split()[-1] for line in Path(f"/proc/self/fd/{world}").read_text().splitlines()}:
        happened(f"book {n} {context.key}")
    await asyncio.sleep(0.01)
    return f"booked {n}"


@tool(effect="irreversible")
async def send(n: int, context: ToolContext) -> str:
    """Send."""
    await asyncio.sleep(0.01)
    happened(f"send {n} {context.key}")
    await asyncio.sleep(0.01)
    return f"sent {n}"


agent = Agent("worker", model="scripted", tools=[read, book, send])
turns = [calls(*((name, {"n": n}) for name in ("read", "read", "book", "send"))) for n in range(ROUNDS)]
SCRIPT = [*turns, says("done")]


async def main(folder: Path) -> None:
    """Start the run, once for all processes, and wait for its end."""
    stand = Stand(folder)
    stand.model = Scripted(worker=SCRIPT)
    stand.define(agent)
    await stand.open()
    run = await stand.start(agent, key="the run")
    sys.stdout.write("working\n")
    sys.stdout.flush()
    ended = await stand.result(run)
    effects = await stand.effects.of_run(None, run)
    await stand.close()
    (folder / "ended.json").write_bytes(msgspec.json.encode({"run": run, "ended": ended, "effects": effects}))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    world = os.open(place / "world", os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    asyncio.run(main(place))

"""A process that works on runs which want to pay: ``python -m tests.agents.inbox.work FOLDER URL``. It tells events of requests to ``URL``.

On its standard input it takes what people say to requests, a line of JSON each, and answers each with a line. What is paid stands in a
SQLite database of its own beside it, which knows nothing of Penstock.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from tests.agents.inbox.people import ada, ben, cem, person
from tests.agents.scripted import Scripted, Stand, Turn, calls, says

from penstock.agents import Agent, ToolContext, tool
from penstock.agents.inbox.policy import Rule
from penstock.agents.inbox.settings import InboxSettings, WebhookSettings
from penstock.agents.model import Question, Said
from penstock.agents.running import Start
from penstock.agents.tools import Amount
from penstock.kernel.errors import PenstockError

RUNS, PAYMENTS = 6, 3
MUCH, LITTLE, SOON = 50_000, 5_000, 50
"""Cents that need two people, one, and one within `EXPIRES` seconds."""
EXPIRES = 1.0
WHO = {"ada": ada, "ben": ben, "cem": cem, "eve": person("eve", admin=False)}
RULES = (
    Rule(name="much needs two", tools=("pay",), unit="EUR", above=100, people=2),
    Rule(name="soon", tools=("pay",), unit="EUR", at_most=1, people=1, expires_seconds=EXPIRES),
    Rule(name="pay", tools=("pay",), people=1),
)


def world(folder: Path) -> sqlite3.Connection:
    """What is paid: nothing in it keeps the same thing from being paid twice."""
    made = sqlite3.connect(folder / "world.db", isolation_level=None)
    made.execute("PRAGMA journal_mode = WAL")
    made.execute("CREATE TABLE IF NOT EXISTS paid (key TEXT, whom TEXT, cents INTEGER)")
    return made


@tool(effect="irreversible", amount=Amount("cents", unit="EUR", per=100))
async def pay(to: str, cents: int, context: ToolContext) -> str:
    """Pay somebody."""
    await asyncio.sleep(0.02)  # begun, and nothing has happened
    with closing(world(FOLDER)) as connection:
        connection.execute("INSERT INTO paid VALUES (?, ?, ?)", (context.key, to, cents))
    await asyncio.sleep(0.02)  # it has happened, and nobody knows
    return f"paid {cents} to {to}"


def wants(number: int, amounts: list[list[int]]) -> Turn:
    """The turn in which the model wants its payment of that number made; whose it is, it was asked."""

    def say(question: Question) -> Said:
        (run,) = re.findall(r"run (\d+)", str(question.messages))[:1]
        return calls(("pay", {"to": f"shop-{run}-{number}", "cents": amounts[int(run)][number]}))

    return say


payer = Agent("payer", model="scripted", tools=[pay])


async def hear(stand: Stand) -> None:
    """Do what people say, one line after the other."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        said = json.loads(line)
        try:
            if said["what"] == "revoke":
                done = await stand.inbox.requests.revoke(WHO[said["who"]], said["request"], "")
            else:
                told = {"approve": said["what"] == "approve", "digest": said["digest"]}
                done = await stand.inbox.requests.answer(WHO[said["who"]], said["request"], told)
            said["answer"] = done.state
        except PenstockError as fault:
            said["answer"] = fault.code
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


async def rounds(stand: Stand) -> None:
    """What the house does by itself."""
    while True:
        for step in (stand.inbox.expire, stand.inbox.tell, stand.inbox.deliver, stand.inbox.sweep):
            await step()
        await asyncio.sleep(0.03)


async def main(folder: Path, url: str) -> None:
    """Start the runs, once for all processes, and wait for their end."""
    amounts: list[list[int]] = json.loads((folder / "amounts.json").read_text())
    stand = Stand(folder, inbox=InboxSettings(rules=RULES, webhooks={"desk": WebhookSettings(url=url)}))
    stand.model = Scripted(payer=[*(wants(n, amounts) for n in range(PAYMENTS)), says("done")])
    stand.define(payer)
    await stand.open()
    work = [asyncio.create_task(hear(stand)), asyncio.create_task(rounds(stand))]
    ended: dict[str, Any] = {}
    starts = [msgspec.to_builtins(Start(input=f"run {n}", key=ada.key_id, person="ada")) for n in range(RUNS)]
    runs = [await stand.journal.start(payer.run, start, organisation="org", key=f"run {n}") for n, start in enumerate(starts)]
    sys.stdout.write("working\n")
    sys.stdout.flush()
    for run in runs:
        result = await stand.journal.result(None, run, 100.0)
        ended[run] = {"ended": result, "effects": await stand.effects.of_run(None, run)}
    while (await stand.inbox.notices.standing()).get("waiting"):
        await asyncio.sleep(0.02)
    for task in work:
        task.cancel()
    lines, _ = await stand.inbox.trail(ada, limit=10_000)
    told = {"runs": ended, "trail": lines[::-1], "broken": await stand.inbox.broken(ada)}
    await stand.inbox.notices.close()
    await stand.close()
    (folder / "ended.json").write_bytes(msgspec.json.encode(told))


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    asyncio.run(main(FOLDER, sys.argv[2]))

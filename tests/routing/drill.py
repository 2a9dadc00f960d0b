"""``python -m tests.routing.drill --kills 50``: kill -9 a process that answers through a certified cascade, and count what is missing.

The attempt to certify is killed, too, before anything is certified. Then six clients ask, half of them for streams, each question with a
mark of its own, and the process is killed at random moments. The providers live on and know which questions each has answered. After the
last start: every call that a client has seen complete has one ledger row for each model that answered it, of the amount that the reply
named; no row is there twice, and none that no provider answered; every recorded decision that ended well has its call on the ledger, and
says the same of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from tests.batches.house import until
from tests.gateway.upstream import Conversation, serving
from tests.routing.process import Working
from tests.routing.rig import recorded, reply_of
from tests.routing.work import ROWS, WORDS

CLIENTS = 6
_COST = re.compile(rb": x-penstock-cost-micros=(\d+)")


class Report(msgspec.Struct, kw_only=True):
    """What a drill found. ``missing``, ``wrong``, ``unasked``, ``undecided`` name what must not be; so do ``doubled`` rows."""

    kills: int = 0
    policies: int = 0
    attempt: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    executions: int = 0
    complete: int = 0
    streams: int = 0
    escalated: int = 0
    cut: int = 0
    rows: int = 0
    answered: int = 0
    decisions: int = 0
    doubled: int = 0
    missing: list[str] = msgspec.field(default_factory=list[str])
    wrong: list[str] = msgspec.field(default_factory=list[str])
    unasked: list[str] = msgspec.field(default_factory=list[str])
    undecided: list[str] = msgspec.field(default_factory=list[str])
    integrity: str = ""
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or made up."""
        return not (self.missing or self.wrong or self.unasked or self.undecided or self.doubled) and self.integrity == "ok"


class Seen:
    """``complete`` calls by id: the mark of their question and the amount that the reply named. ``answered`` are models by mark.
    ``over``: nothing more is asked."""

    def __init__(self) -> None:
        self.complete: dict[str, tuple[int, int]] = {}
        self.answered: dict[int, list[str]] = {}
        self.marks = 0
        self.streams = self.cut = 0
        self.over = False

    @property
    def escalated(self) -> bool:
        """Whether any question was put to both."""
        return any(len(models) > 1 for models in self.answered.values())


async def drill(kills: int, folder: Path, *, seed: int = 1, longest: float = 0.7, rows: int = 480, words: bool = False) -> Report:
    """Certify under a kill, then kill ``kills`` times under load, and compare. Uses ``folder`` for the installation;
    ``rows`` of the record are evidence, and ``words`` stand in for the embedding model (`tests.routing.work.WORDS`)."""
    chance, seen, report, began = random.Random(seed), Seen(), Report(), time.monotonic()
    async with _upstream(seen) as url:
        house = Working(folder, url, {ROWS: str(rows), **({WORDS: "1"} if words else {})})
        await house.start()
        try:
            await _certify(house, report)
            while report.kills < kills:
                clients = [asyncio.create_task(_client(house, n % 2 == 0, seen)) for n in range(CLIENTS)]
                before = len(seen.complete)
                await until(lambda before=before: len(seen.complete) > before + CLIENTS and seen.escalated, 60)  # so that the load is there
                await asyncio.sleep(chance.uniform(0.0, longest))
                await house.kill()
                report.kills += 1
                await asyncio.gather(*clients)
                await house.start()
            clients = [asyncio.create_task(_client(house, n % 2 == 0, seen)) for n in range(CLIENTS)]
            before = len(seen.complete)
            await until(lambda: len(seen.complete) > before + CLIENTS, 60)  # what a stop, other than a kill, writes down of decisions
            # Each ends its call: one that is given up is charged for what was asked by then, though nobody has answered.
            seen.over = True
            await asyncio.gather(*clients)
            await house.terminate()
        finally:
            await house.end()
    _compare(folder / "data" / "penstock.db", seen, report)
    report.seconds = round(time.monotonic() - began, 1)
    return report


async def _certify(house: Working, report: Report) -> None:
    async def running() -> bool:
        return (await house.ask("GET", f"/v1/runs/{run}"))["run"]["state"] == "running"

    async def over() -> list[dict[str, Any]] | None:
        found = (await house.ask("GET", "/v1/tasks/sums/policies"))["data"]
        return found if all(one["state"] != "fitting" for one in found) else None

    report.attempt = await house.ask("POST", "/v1/tasks/sums/policies", {})
    (run,) = [one["id"] for one in (await house.ask("GET", "/v1/runs?name=certification"))["data"]]
    await until(running, 60)
    await house.kill()
    await house.start()
    found = await until(over, 120)
    report.policies, report.attempt = len(found), {"begun": report.attempt, "ended": found[0]}
    report.executions = (await house.ask("GET", f"/v1/runs/{run}"))["run"]["executions"]


async def _client(house: Working, stream: bool, seen: Seen) -> None:
    rows, headers = recorded(), {"authorization": f"Bearer {house.key}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        while not seen.over:
            seen.marks += 1
            mark = seen.marks
            asked = f"{rows[mark % len(rows)].prompt} [{mark}]"
            body = {"model": "task:sums", "messages": [{"role": "user", "content": asked}], "stream": stream}
            try:
                async with session.post(f"{house.url}/v1/chat/completions", json=body, headers=headers) as answer:
                    data = await answer.read()
            except aiohttp.ClientConnectorError:
                return  # nobody listens any more
            except (aiohttp.ClientError, ConnectionError):
                seen.cut += 1
                continue
            assert answer.status == 200, data
            if stream and b"data: [DONE]" not in data:
                seen.cut += 1
                continue
            said = _COST.search(data) if stream else None
            cost = said.group(1) if said is not None else answer.headers.get("x-penstock-cost-micros", "-1")
            seen.complete[answer.headers["x-request-id"]] = (mark, int(cost))
            seen.streams += stream


@contextlib.asynccontextmanager
async def _upstream(seen: Seen) -> AsyncGenerator[str]:
    chance, answers = random.Random(7), {row.prompt: row for row in recorded()}

    async def provider(peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            asked = json.loads(body)
            prompt, _, mark = asked["messages"][-1]["content"].rpartition(" [")
            row, model = answers[prompt], asked["model"]
            await asyncio.sleep(chance.uniform(0, 0.02))
            # Noted before it is sent: what is not sent to its end costs the provider as well.
            seen.answered.setdefault(int(mark[:-1]), []).append(model)
            reply = reply_of(model, row.small if model == "small" else row.large, stream=bool(asked.get("stream")))
            if asked.get("stream"):
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(reply) + reply)
            else:
                await peer.json(reply)

    async with serving(provider) as upstream:
        yield upstream.url


def _compare(database: Path, seen: Seen, report: Report) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        report.integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
        found = connection.execute("SELECT id, provider_model, amount FROM ledger").fetchall()
        decided = connection.execute("SELECT id, cost_micros, choice FROM calls WHERE choice IS NOT NULL AND outcome = 'ok'").fetchall()
    report.rows, report.doubled = len(found), len(found) - len({id for id, _, _ in found})
    report.answered = sum(map(len, seen.answered.values()))
    report.complete, report.streams, report.cut, report.decisions = len(seen.complete), seen.streams, seen.cut, len(decided)
    rows: dict[str, list[tuple[str, int]]] = {}
    for id, model, amount in found:
        rows.setdefault(id.split(".")[0], []).append((model, amount))
    for id, (mark, cost) in seen.complete.items():
        own = rows.get(id, [])
        report.escalated += len(own) == 2
        if Counter(model for model, _ in own) != Counter(seen.answered[mark]):
            report.missing.append(f"{id}: the ledger has {own}, answered have {seen.answered[mark]}")
        elif sum(amount for _, amount in own) != cost:
            report.wrong.append(f"{id}: the reply said {cost}, the ledger has {own}")
    told = {mark for mark, _ in seen.complete.values()}
    cut = Counter(model for mark, models in seen.answered.items() if mark not in told for model in models)
    charged = Counter(model for id, own in rows.items() if id not in seen.complete for model, _ in own)
    report.unasked = [f"{n} rows of {model} for {cut[model]} answers that were cut" for model, n in charged.items() if n > cut[model]]
    for id, cost, choice in decided:
        own, escalated = rows.get(id, []), json.loads(choice).get("escalated")
        if sum(amount for _, amount in own) != cost or len(own) != 1 + bool(escalated):
            report.undecided.append(f"{id}: decided {'to escalate' if escalated else 'to accept'} for {cost}, the ledger has {own}")


def main() -> int:
    """Run a drill, print and write what it found."""
    parser = argparse.ArgumentParser(prog="python -m tests.routing.drill", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=None, help="Write the report as JSON here.")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-drill-") as folder:
        report = asyncio.run(drill(chosen.kills, Path(folder), seed=chosen.seed))
    text = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(report, attempt={})), indent=2).decode()
    print(text)
    if chosen.output is not None:
        chosen.output.write_text(text + "\n", "utf-8")
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())

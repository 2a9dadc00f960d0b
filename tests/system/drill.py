"""``python -m tests.system.drill --kills 200``: kill -9 at random moments under load, start again, and count what is missing.

The load is 12 clients, half of them on a key with a hard budget that is too small, whole replies and streams mixed. A kill comes during
the start, under load, or after SIGTERM, and also in the very first start of a fresh installation, with its migrations. What a client has
seen complete (a whole body, or a stream's end mark) is compared with the ledger after the last start: exactly one row each, with the
amount that the reply named; spending within each budget; the database sound; ``penstock ledger verify`` content; one admin key in all.
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

import aiohttp
import msgspec
from tests.gateway.upstream import Conversation, serving
from tests.system.process import Penstock

CLIENTS = 12
PROMPT, ANSWER = 10, 100
COST = 1000
"""Micro-dollars of a call: 100 output tokens at 10 USD per million."""

BUDGET = 60 * COST
KILLS_PER_BUDGET = 10
USAGE = {"prompt_tokens": PROMPT, "completion_tokens": ANSWER, "total_tokens": PROMPT + ANSWER}
WHOLE = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 60}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()


class Report(msgspec.Struct, kw_only=True):
    """What a drill found. ``missing``, ``wrong``, ``over`` and ``first_faults`` name what must not be.

    ``first_keys_untold`` counts first starts that were killed between storing the admin key and telling it: its secret is
    gone, the next start tells none, and ``penstock keys create --admin`` must then make another.
    """

    kills: int = 0
    by_moment: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    complete: int = 0
    streams: int = 0
    cut: int = 0
    refused: int = 0
    rows: int = 0
    answered_upstream: int = 0
    missing: list[str] = msgspec.field(default_factory=list[str])
    wrong: list[str] = msgspec.field(default_factory=list[str])
    doubled: int = 0
    over: list[str] = msgspec.field(default_factory=list[str])
    budgets: int = 0
    exhausted: int = 0
    admin_keys: int = 0
    first_starts: int = 0
    first_keys_untold: int = 0
    first_faults: list[str] = msgspec.field(default_factory=list[str])
    integrity: str = ""
    verify: str = ""
    verify_code: int = -1
    slowest_start_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or overspent, and the store is sound."""
        lost = self.missing or self.wrong or self.over or self.doubled or self.first_faults
        return not lost and self.integrity == "ok" and self.verify_code == 0 and self.admin_keys == 1


class Seen:
    """What the clients saw: amounts of complete replies by call id, which of them were streams, and how other calls ended."""

    def __init__(self) -> None:
        self.amounts: dict[str, int | None] = {}
        self.streams = 0
        self.ends: Counter[str] = Counter()
        self.upstream = 0


async def drill(kills: int, folder: Path, *, seed: int = 1, show: bool = False) -> Report:
    """Kill and restart ``kills`` times, then compare. Uses ``folder`` for the installation."""
    chance = random.Random(seed)
    report, seen, began = Report(), Seen(), time.monotonic()
    async with _upstream(seen) as url:
        text = (
            f'[gateway]\ndiscover = false\nlocal_embeddings = false\n[gateway.providers.up]\nprofile = "openai-compatible"\n'
            f'base_url = "{url}"\nmodels = ["m"]\n[finops.prices."up/m"]\ninput = 0\noutput = 10\n'
        )
        house = Penstock(folder, text)
        await house.start()
        free = (await _key(house, "free"))[0]
        capped: dict[str, str] = {}
        await house.kill()
        report.kills, moments = 1, Counter({"idle": 1})
        while report.kills < kills:
            begun, moment = time.monotonic(), "load"
            if chance.random() < 0.1:
                await _first_start(Penstock(folder / f"first {report.first_starts}", text), chance, report, moments)
                continue
            await house.spawn()
            if chance.random() < 0.2:
                await asyncio.sleep(chance.uniform(0, 1.2))
                killed, moment = await house.kill(), "start"
            else:
                await house.up()
                report.slowest_start_seconds = max(report.slowest_start_seconds, time.monotonic() - begun)
                if not capped or report.kills // KILLS_PER_BUDGET >= len(capped):
                    secret, id = await _key(house, f"capped {len(capped)}", BUDGET)
                    capped[secret] = id
                kinds = [free, list(capped)[-1]]
                clients = [asyncio.create_task(_client(house.url, kinds[n % 2], n % 4 < 2, seen)) for n in range(CLIENTS)]
                await asyncio.sleep(chance.uniform(0.01, 0.8))
                if chance.random() < 0.15:
                    house.signal()
                    await asyncio.sleep(chance.uniform(0, 0.3))
                    moment = "stop"
                killed = await house.kill()
                await asyncio.gather(*clients)
            # A stop that came to its end by itself is no kill.
            report.kills += killed
            moments[moment] += killed
            if show and report.kills % 10 == 0:
                print(f"{report.kills} kills, {len(seen.amounts)} complete replies, {time.monotonic() - began:.0f} s", flush=True)
        await house.start()
        assert await house.terminate() == 0
        report.by_moment = dict(moments)
        report.admin_keys = len(house.admin_keys)
        report.verify_code, report.verify = await house.command("ledger", "verify")
    _compare(folder / "data" / "penstock.db", seen, capped, report)
    report.seconds = round(time.monotonic() - began, 1)
    return report


async def _first_start(house: Penstock, chance: random.Random, report: Report, moments: Counter[str]) -> None:
    """Kill the first start of a fresh installation, start it again, and see that it serves whoever has its key."""
    await house.spawn()
    await asyncio.sleep(chance.uniform(0, 0.9))
    killed = await house.kill()
    report.kills += killed
    moments["first start"] += killed
    report.first_starts += 1
    name = house.folder.name
    try:
        await house.start()
        code = await house.terminate()  # what it has told is read to its end by now
        told = len(house.admin_keys)
        if told == 0:
            report.first_keys_untold += 1
            _, said = await house.command("keys", "create", "--name", "again", "--admin")
            house.admin_keys += re.findall(r"psk_\S+", said)
        await house.start()
        await house.ask("GET", "/v1/keys")
        if told > 1:
            report.first_faults.append(f"{name}: {told} admin keys")
        codes = (code, await house.terminate())
        if codes != (0, 0):
            report.first_faults.append(f"{name}: ended with {codes}")
    except (AssertionError, IndexError) as fault:
        report.first_faults.append(f"{name}: {fault}")
        await house.kill()
    with contextlib.closing(sqlite3.connect(house.data / "penstock.db")) as connection:
        if (sound := connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            report.first_faults.append(f"{name}: {sound}")


def _compare(database: Path, seen: Seen, capped: dict[str, str], report: Report) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        report.integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
        found = connection.execute("SELECT id, amount FROM ledger").fetchall()
        spent = dict(connection.execute("SELECT key_id, sum(amount) FROM ledger GROUP BY key_id").fetchall())
    rows = Counter(id for id, _ in found)
    report.doubled = len(found) - len(rows)
    amounts = dict(found)
    report.rows = len(found)
    report.complete, report.streams = len(seen.amounts), seen.streams
    report.cut, report.refused, report.answered_upstream = seen.ends["cut"], seen.ends["refused"], seen.upstream
    report.budgets = len(capped)
    for id, amount in seen.amounts.items():
        if rows[id] != 1:
            report.missing.append(f"{id}: {rows[id]} rows")
        elif amount is not None and amounts[id] != amount:
            report.wrong.append(f"{id}: the reply said {amount}, the ledger says {amounts[id]}")
    for id in capped.values():
        report.exhausted += spent.get(id, 0) + COST > BUDGET
        # Reservations hold while a process lives; what a killed one had in flight was never answered, so it is not on the ledger.
        if spent.get(id, 0) > BUDGET + CLIENTS // 2 * COST:
            report.over.append(f"{id}: {spent[id]} of {BUDGET}")


async def _key(house: Penstock, name: str, limit: int | None = None) -> tuple[str, str]:
    made = await house.ask("POST", "/v1/keys", {"name": name, "scopes": ["call"]})
    id = made["key"]["id"]
    if limit is not None:
        budget = {"name": name, "limit": limit, "period": "total", "subject_kind": "key", "subject": id, "hard": True}
        await house.ask("POST", "/v1/budgets", budget)
    return made["secret"], id


async def _client(url: str, key: str, stream: bool, seen: Seen) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": ANSWER, "stream": stream}
    headers = {"authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        while True:
            try:
                async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
                    data = await answer.read() if not stream or answer.status != 200 else await _events(answer)
            except aiohttp.ClientConnectorError:
                return  # nobody listens any more
            except (aiohttp.ClientError, ConnectionError):
                seen.ends["cut"] += 1
                continue
            if answer.status != 200:
                seen.ends["refused"] += 1
                await asyncio.sleep(0.02)
                continue
            if stream and b"data: [DONE]" not in data:
                seen.ends["cut"] += 1
                continue
            said = answer.headers.get("x-penstock-cost-micros")
            seen.amounts[answer.headers["x-request-id"]] = int(said) if said else None
            seen.streams += stream


async def _events(answer: aiohttp.ClientResponse) -> bytes:
    data = b""
    try:
        async for part in answer.content.iter_any():
            data += part
    except (aiohttp.ClientError, ConnectionError):
        # A stream is complete for whoever has read its end mark, however the connection ends after it.
        if b"data: [DONE]" not in data:
            raise
    return data


@contextlib.asynccontextmanager
async def _upstream(seen: Seen) -> AsyncGenerator[str]:
    chance = random.Random(7)
    words = [f'data: {{"choices":[{{"index":0,"delta":{{"content":"word {n} "}},"finish_reason":null}}]}}\n\n'.encode() for n in range(12)]
    end = (
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        b'data: {"choices":[],"usage":' + json.dumps(USAGE).encode() + b"}\n\ndata: [DONE]\n\n"
    )

    async def answer(peer: Conversation) -> None:
        while True:
            _, body = await peer.request()
            if b'"stream":true' not in body.replace(b" ", b""):
                await asyncio.sleep(chance.uniform(0, 0.01))
                await peer.json(WHOLE)
            else:
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
                for word in [*words, end]:
                    await peer.send(b"%x\r\n%s\r\n" % (len(word), word))
                    await asyncio.sleep(chance.uniform(0, 0.002))
                await peer.send(b"0\r\n\r\n")
            seen.upstream += 1

    async with serving(answer) as upstream:
        yield upstream.url


def main() -> int:
    """Run a drill, print and write what it found."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.drill", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=None, help="Write the report as JSON here.")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-drill-") as folder:
        report = asyncio.run(drill(chosen.kills, Path(folder), seed=chosen.seed, show=True))
    text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
    print(text)
    if chosen.output is not None:
        chosen.output.write_text(text + "\n", "utf-8")
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())

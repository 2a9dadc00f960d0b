"""Batches with two real workers: whichever is asked, whoever dies; on SQLite one of them holds the journal, on PostgreSQL both work."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.batches.house import DONE, Provider, jsonl, line, until
from tests.crew import Crew
from tests.gateway.upstream import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ENOUGH = 12
"""Connections, each of which the kernel gives to one of two workers: all of them to the same one once in two thousand times."""

SETTINGS = "[journal]\npoll_seconds = 0.05\nlease_seconds = 2\n[batches]\nmax_in_flight = 8\n"


@asynccontextmanager
async def two(folder: Path, settings: str = SETTINGS) -> AsyncGenerator[tuple[Crew, Provider]]:
    provider = Provider()
    async with serving(provider) as up:
        crew = Crew(folder, up.url, settings=settings)
        await crew.start()
        try:
            await crew.all_up()
            await crew.known(crew.admin)
            yield crew, provider
            provider.held.set()
            assert await crew.terminate() == 0
        finally:
            await crew.kill()


async def asked(crew: Crew, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str, Any]:
    """One request on a connection of its own: status, Retry-After, body; 0 where the connection broke."""
    given = {"authorization": f"Bearer {crew.admin}", **headers}
    try:
        async with aiohttp.ClientSession() as session, session.request(method, crew.url + path, json=body, headers=given) as answer:
            return answer.status, answer.headers.get("retry-after", ""), await answer.text()
    except aiohttp.ClientError:
        return 0, "", ""


async def good(crew: Crew, method: str, path: str, body: object = None) -> Any:
    status, _, text = await asked(crew, method, path, body)
    assert status == 200, f"{method} {path}: {status} {text}"
    return json.loads(text)


async def file(crew: Crew, *lines: Any) -> str:
    form = aiohttp.FormData()
    form.add_field("purpose", "batch")
    form.add_field("file", jsonl(*lines), filename="in.jsonl")
    headers = {"authorization": f"Bearer {crew.admin}"}
    async with aiohttp.ClientSession() as session, session.post(f"{crew.url}/v1/files", data=form, headers=headers) as answer:
        assert answer.status == 200
        return (await answer.json())["id"]


async def begun(crew: Crew, *lines: Any) -> str:
    body = {"input_file_id": await file(crew, *lines), "endpoint": "/v1/chat/completions"}
    return (await good(crew, "POST", "/v1/batches", body))["id"]


async def results(crew: Crew, batch: str) -> Counter[str]:
    status, _, text = await asked(crew, "GET", f"/v1/batches/{batch}/results")
    assert status == 200
    return Counter(json.loads(each)["custom_id"] for each in text.splitlines())


async def ended(crew: Crew, batch: str) -> dict[str, Any]:
    """The batch once it has ended. Meanwhile every answer is the batch, or says when to ask again."""

    async def look() -> dict[str, Any] | None:
        status, again, text = await asked(crew, "GET", f"/v1/batches/{batch}")
        if status == 200:
            found = json.loads(text)
            return found if found["status"] in DONE else None
        assert status == 0 or (status == 503 and again), text
        return None

    return await until(look, 60)


def holder(crew: Crew) -> int:
    return int((crew.data / "journal.lock").read_text())


async def test_on_sqlite_either_worker_answers_and_the_other_takes_over(tmp_path: Path) -> None:
    async with two(tmp_path) as (crew, provider):
        # Before there is a journal, asked of both at once; and the first batches, which make one.
        for path in ("/v1/runs", "/v1/queues", "/v1/batches", "/v1/messages/batches"):
            assert not any([(await good(crew, "GET", path))["data"] for _ in range(ENOUGH)])
        provider.held.clear()
        batches = await asyncio.gather(*(begun(crew, line("a"), line("b")) for _ in range(ENOUGH)))
        params = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "inline"}]}
        for _ in range(3):
            batches.append((await good(crew, "POST", "/v1/messages/batches", {"requests": [{"custom_id": "c", "params": params}]}))["id"])

        assert holder(crew) in crew.children()
        for _ in range(ENOUGH):
            runs = {run["labels"]["batch"] for run in (await good(crew, "GET", "/v1/runs"))["data"]}
            assert runs == set(batches)
            status, _, page = await asked(crew, "GET", "/console/runs")
            assert status == 200
            assert "journal_in_use" not in page
            assert "works on the journal" not in page
            assert page.count("/console/runs/run_") + page.count('href="/console/runs/') >= len(batches)
        for n, batch in enumerate(batches):
            assert (await good(crew, "GET", f"/v1/batches/{batch}"))["id"] == batch
            if n % 2:
                assert (await asked(crew, "GET", f"/console/batches/{batch}"))[0] == 200
                assert (await good(crew, "POST", f"/v1/batches/{batch}/cancel"))["status"] == "cancelling"
        # A key that is not valid is refused by whoever answers, in the called API's own words.
        refused = await asyncio.gather(*(asked(crew, "GET", "/v1/runs", authorization="Bearer psk_nobody") for _ in range(ENOUGH)))
        assert {status for status, _, _ in refused} == {401}
        provider.held.set()
        assert {(await ended(crew, batch))["status"] for batch in batches[1::2]} == {"cancelled"}
        assert {(await ended(crew, batch))["status"] for batch in batches[0::2]} == {"completed"}

        count = 300
        provider.seconds = 0.02
        names = [f"line-{n}" for n in range(count)]
        batch = await begun(crew, *(line(name) for name in names))
        first = holder(crew)
        await until(lambda: sum(provider.seen[name] for name in names) > 40)
        os.kill(first, signal.SIGKILL)
        found = await ended(crew, batch)
        assert (found["status"], found["request_counts"]["completed"]) == ("completed", count)
        assert await results(crew, batch) == Counter(names)
        assert holder(crew) != first
        await crew.all_up(without=first)
        assert len((await good(crew, "GET", "/v1/runs"))["data"]) == len(batches) + 1


async def test_on_postgresql_both_workers_work_on_batches(tmp_path: Path, postgres: str) -> None:
    settings = f'[storage]\nrecords = "{postgres}"\nmigrate_on_start = true\n{SETTINGS}per_process = 1\n'
    async with two(tmp_path, settings) as (crew, provider):
        provider.seconds = 0.05
        count = 100
        names = {f"{n}-{m}" for n in range(4) for m in range(count)}
        batches = [await begun(crew, *(line(f"{n}-{m}") for m in range(count))) for n in range(4)]
        await until(lambda: _both_work(crew))
        assert len(names) > sum(provider.seen[name] for name in names)
        victim = min(crew.children())
        os.kill(victim, signal.SIGKILL)
        for n, batch in enumerate(batches):
            assert (await ended(crew, batch))["request_counts"]["completed"] == count
            assert await results(crew, batch) == Counter(f"{n}-{m}" for m in range(count))
        await crew.all_up(without=victim)


async def _both_work(crew: Crew) -> bool:
    _, _, text = await asked(crew, "GET", "/metrics")
    found = [each for each in text.splitlines() if each.startswith("penstock_batch_lines_in_flight{")]
    return [float(each.rpartition(" ")[2]) > 0 for each in found] == [True, True]

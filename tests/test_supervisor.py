"""``penstock up --workers`` as processes: one port, one announcement, dead workers replaced, nobody left behind, one count for all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sqlite3
import sys
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest
from tests.crew import COST, Crew, alive, upstream

from penstock.kernel.seat import Told
from penstock.settings import ServerSettings
from penstock.supervisor import Supervisor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

NOWHERE = "http://127.0.0.1:9/v1"


async def test_a_dead_worker_is_replaced_and_nobody_is_left_behind(tmp_path: Path) -> None:
    crew = Crew(tmp_path, NOWHERE)
    await crew.start()
    first = await crew.all_up()
    victim = max(first)
    os.kill(victim, signal.SIGKILL)
    second = await crew.all_up(without=victim)
    assert len(second & first) == 1
    assert "a worker has ended and is started again" in crew.log
    assert await crew.terminate() == 0
    assert len(crew.admin_keys) == 1
    assert not [pid for pid in first | second if alive(pid)]


async def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    crew = Crew(tmp_path, NOWHERE)
    await crew.start()
    workers = await crew.all_up()
    await crew.kill()
    async with asyncio.timeout(30):
        while [pid for pid in workers if alive(pid)]:
            await asyncio.sleep(0.05)


async def _refused(crew: Crew, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock", "up", "-c", str(crew.config), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 1
    return out.decode()


async def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = await _refused(Crew(tmp_path, NOWHERE), "--port", str(taken.getsockname()[1]))
    assert "cannot listen on" in said


async def test_one_for_which_there_is_no_room_now_is_started_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = asyncio.create_subprocess_exec
    refused, cut_off = 2, 1

    async def some_time(*_: object, pass_fds: tuple[int, ...], **__: object) -> asyncio.subprocess.Process:
        nonlocal refused, cut_off
        if refused:
            refused -= 1
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        if cut_off:
            cut_off -= 1
            return await says(pass_fds[-1], b'{"url"', 0)
        return await says(pass_fds[-1], msgspec.json.encode(Told(url="http://here")) + b"\n", 60)

    async def says(pipe: int, what: bytes, seconds: int) -> asyncio.subprocess.Process:
        script = f"import os, time; os.write({pipe}, {what!r}); os.close({pipe}); time.sleep({seconds})"
        return await start(sys.executable, "-S", "-c", script, pass_fds=(pipe,))

    monkeypatch.setattr(asyncio, "create_subprocess_exec", some_time)
    monkeypatch.setattr("penstock.supervisor.FIRST_PAUSE", 0.01)
    supervisor = Supervisor(None, "127.0.0.1", 0, ServerSettings(workers=2))
    others = asyncio.Event()
    others.set()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    seat = asyncio.create_task(supervisor._keep(1, others), name="seat 1")
    async with asyncio.timeout(20):
        while 1 not in supervisor._serving:
            assert not seat.done()
            await asyncio.sleep(0.01)
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 1, "by one the worker is watched"
    assert "a worker cannot be started" in caplog.text
    supervisor._stopping = True
    await supervisor._stop([seat])


async def test_workers_that_cannot_start_end_the_supervisor(tmp_path: Path) -> None:
    crew = Crew(tmp_path, NOWHERE)
    crew.data.mkdir()
    (crew.data / "penstock.db").write_bytes(b"this is no database" * 100)
    said = await _refused(crew)
    assert "restore it from a backup" in said
    assert "the workers cannot start" in said


async def test_limits_and_revocations_hold_for_all_workers_together(tmp_path: Path) -> None:
    async with upstream() as provider:
        crew = Crew(tmp_path, provider.url)
        await crew.start()
        await crew.all_up()
        made = await crew.ask("POST", "/v1/keys", {"name": "ten", "scopes": ["call"], "limits": {"requests_per_minute": 10}})
        key = made["secret"]
        await crew.known(key)
        # A connection each, which the kernel spreads: two workers that counted for themselves would let up to twenty in.
        codes = [status for status, _, _ in await asyncio.gather(*(crew.call(key) for _ in range(60)))]
        assert codes.count(200) == 10
        assert codes.count(429) == 50
        assert provider.seen == 10

        made = await crew.ask("POST", "/v1/keys", {"name": "three", "scopes": ["call"], "limits": {"concurrency": 3}})
        three = made["secret"]
        await crew.known(three)
        provider.most = 0
        provider.gate.clear()
        calls = [asyncio.create_task(crew.call(three)) for _ in range(30)]
        async with asyncio.timeout(20):
            while sum(call.done() for call in calls) < 27:
                await asyncio.sleep(0.01)
        provider.gate.set()
        assert sorted(status for status, _, _ in await asyncio.gather(*calls)) == [200] * 3 + [429] * 27
        assert provider.most == 3

        await crew.ask("POST", f"/v1/keys/{made['key']['id']}/revoke")
        revoked = time.monotonic()
        while time.monotonic() < revoked + 1:
            await asyncio.gather(*(crew.call(three) for _ in range(4)))
        # One second after a revocation was answered no worker takes the key any more.
        assert {status for status, _, _ in [await crew.call(three) for _ in range(20)]} == {401}
        assert await crew.terminate() == 0


async def test_whichever_worker_answers_tells_of_all(tmp_path: Path) -> None:
    calls = 24
    async with upstream() as provider:
        crew = Crew(tmp_path, provider.url)
        await crew.start()
        await crew.all_up()
        await crew.known(crew.admin)
        headers = {"authorization": f"Bearer {crew.admin}"}
        async with aiohttp.ClientSession() as live, live.get(f"{crew.url}/console/live", headers=headers) as events:
            assert events.status == 200
            for _ in range(calls):
                assert (await crew.call(crew.admin))[0] == 200
            async with asyncio.timeout(10):
                while b"event: calls" not in await events.content.readline():
                    pass
        for _ in range(8):
            async with aiohttp.ClientSession() as session, session.get(f"{crew.url}/metrics", headers=headers) as answer:
                lines = (await answer.text()).splitlines()
            told = [line for line in lines if line.startswith("penstock_calls_total{")]
            by_worker = {line.partition('worker="')[2].partition('"')[0]: float(line.rpartition(" ")[2]) for line in told}
            assert sum(by_worker.values()) == calls
            # Connections are spread: each of the two has a part of them.
            assert min(by_worker.values()) >= 1
            assert set(by_worker) == {"0", "1"}
            assert {line for line in lines if line.startswith("penstock_worker_up")} == {
                'penstock_worker_up{worker="0"} 1.0',
                'penstock_worker_up{worker="1"} 1.0',
            }
            view = next(p for p in (await crew.ask("GET", "/v1/providers"))["data"] if p["name"] == "up")
            assert view["targets"][0]["calls"] == calls
        async with asyncio.timeout(10):
            while len((await crew.ask("GET", "/v1/calls?limit=100"))["data"]) < calls:
                await asyncio.sleep(0.05)
        assert await crew.terminate() == 0


async def test_a_worker_that_is_killed_loses_no_row_and_frees_its_slots(tmp_path: Path) -> None:
    async with upstream() as provider:
        crew = Crew(tmp_path, provider.url)
        await crew.start()
        workers = await crew.all_up()
        key = (await crew.ask("POST", "/v1/keys", {"name": "four", "scopes": ["call"], "limits": {"concurrency": 4}}))["secret"]
        await crew.known(key)
        answered = 0
        for _ in range(5):
            answers = await asyncio.gather(*(crew.call(key) for _ in range(4)))
            answered += sum(status == 200 for status, _, _ in answers)
        provider.gate.clear()
        held = [asyncio.create_task(crew.call(key)) for _ in range(4)]
        async with asyncio.timeout(20):
            while provider.now < 4:
                await asyncio.sleep(0.01)
        for victim in workers:
            os.kill(victim, signal.SIGKILL)
        await asyncio.gather(*held, return_exceptions=True)
        provider.gate.set()
        async with asyncio.timeout(30):
            while not workers.isdisjoint(crew.children()):
                await asyncio.sleep(0.05)
        await crew.all_up()
        assert [status for status, _, _ in await asyncio.gather(*(crew.call(key) for _ in range(4)))] == [200] * 4
        assert await crew.terminate() == 0
        with contextlib.closing(sqlite3.connect(crew.data / "penstock.db")) as connection:
            rows = connection.execute("SELECT count(*), count(DISTINCT id), sum(amount) FROM ledger").fetchone()
        assert rows == (answered + 4, answered + 4, (answered + 4) * COST)

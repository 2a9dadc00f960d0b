"""A disk that is really full: calls are refused before they spend, nothing that was paid for is lost, and service comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from tests.gateway.upstream import serving
from tests.system.process import Penstock
from tests.system.test_faults import good

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SIZE = 40 << 20
CALLERS = 16


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 40 MiB: room for all that is served until it is refused, twice."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system can only be mounted by root: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left."""
    file = disk / "ballast"
    with file.open("ab") as ballast:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    os.posix_fallocate(ballast.fileno(), ballast.seek(0, os.SEEK_END), size)
                    ballast.seek(0, os.SEEK_END)
    return file


def settings(url: str) -> str:
    return (
        "[observability]\nflush_seconds = 0.1\n[gateway]\ndiscover = false\nlocal_embeddings = false\n"
        f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{url}"\nmodels = ["m"]\n'
        '[finops.prices."up/m"]\ninput = 1\noutput = 2\n'
    )


async def test_calls_are_refused_while_there_is_no_room_and_served_again_when_there_is(tmp_path: Path, disk: Path) -> None:
    complete: list[str] = []
    async with serving(good) as upstream:
        house = Penstock(tmp_path, settings(upstream.url), data=disk / "data")
        await house.start()
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        headers = {"authorization": f"Bearer {house.admin}", "x-penstock-labels": "pad=" + "x" * 200}

        async def call(session: aiohttp.ClientSession) -> tuple[int, dict[str, str]]:
            async with session.post(f"{house.url}/v1/chat/completions", json=body) as answer:
                text = await answer.text()
                if answer.status == 200:
                    complete.append(answer.headers["x-request-id"])
                return answer.status, json.loads(text).get("error", {})

        async def until_refused(session: aiohttp.ClientSession) -> dict[str, str]:
            while True:
                status, error = await call(session)
                if status != 200:
                    assert status == 503, error
                    return error

        async with aiohttp.ClientSession(headers=headers) as session:
            assert (await call(session))[0] == 200
            ballast = fill(disk)
            refused = await asyncio.gather(*(until_refused(session) for _ in range(CALLERS)))
            assert {error["code"] for error in refused} == {"storage_full"}
            assert all("free disk space" in error["message"] for error in refused)
            served = len(complete)
            ballast.unlink()
            while (await call(session))[0] != 200:
                await asyncio.sleep(0.05)
            assert len(complete) > served
        assert await house.terminate() == 0
        code, said = await house.command("ledger", "verify")
        assert code == 0, said
    with contextlib.closing(sqlite3.connect(disk / "data" / "penstock.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = [row[0] for row in connection.execute("SELECT id FROM ledger")]
    assert sorted(rows) == sorted(complete)


async def test_a_start_without_room_says_so_and_ends(tmp_path: Path, disk: Path) -> None:
    fill(disk)
    house = Penstock(tmp_path, settings("http://127.0.0.1:1/v1"), data=disk / "data")
    await house.spawn()
    assert await house.ended() == 1
    assert "disk" in house.log
    assert "Traceback" not in house.log

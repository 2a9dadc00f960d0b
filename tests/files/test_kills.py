"""A process that is killed while files arrive leaves whole files only, the rest is swept; and memory does not grow with a file."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.system.process import Penstock

SETTINGS = "[gateway]\ndiscover = false\nlocal_embeddings = false\n[files]\norphan_seconds = 60\n"
LARGE = 96 * 1024 * 1024
PIECE = os.urandom(1 << 20)
HEAD = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
TAIL = b'\r\n--XX\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--XX--\r\n'


async def form(size: int) -> AsyncIterator[bytes]:
    yield HEAD
    for start in range(0, size, len(PIECE)):
        yield PIECE[: size - start]
    yield TAIL


async def put(penstock: Penstock, size: int) -> str:
    headers = {"authorization": f"Bearer {penstock.admin}", "content-type": "multipart/form-data; boundary=XX"}
    async with aiohttp.ClientSession() as session, session.post(f"{penstock.url}/v1/files", data=form(size), headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["id"])


async def got(penstock: Penstock, id: str) -> tuple[int, str]:
    """Size and digest of what is downloaded."""
    sha, size = hashlib.sha256(), 0
    headers = {"authorization": f"Bearer {penstock.admin}"}
    async with aiohttp.ClientSession() as session, session.get(f"{penstock.url}/v1/files/{id}/content", headers=headers) as answer:
        assert answer.status == 200
        async for piece in answer.content.iter_chunked(1 << 20):
            sha.update(piece)
            size += len(piece)
    return size, sha.hexdigest()


def digest(size: int) -> str:
    sha = hashlib.sha256()
    for start in range(0, size, len(PIECE)):
        sha.update(PIECE[: size - start])
    return sha.hexdigest()


def resident(penstock: Penstock) -> int:
    """The most memory that the process has had, in bytes."""
    status = Path(f"/proc/{penstock.pid}/status").read_text("utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def kept(penstock: Penstock) -> set[str]:
    return {path.name for path in (penstock.data / "blobs").rglob("*") if path.is_file()}


@pytest.mark.timeout(120)
async def test_a_large_file_costs_no_memory(tmp_path: Path) -> None:
    penstock = Penstock(tmp_path, SETTINGS)
    await penstock.start()
    try:
        await put(penstock, 1 << 20)
        before = resident(penstock)
        id = await put(penstock, LARGE)
        assert await got(penstock, id) == (LARGE, digest(LARGE))
        assert resident(penstock) - before < 48 * 1024 * 1024
        code, listed = await penstock.command("files", "list")
        assert (code, id in listed, str(LARGE) in listed) == (0, True, True)
    finally:
        await penstock.kill()


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_kill_leaves_whole_files_only(tmp_path: Path) -> None:
    penstock = Penstock(tmp_path, SETTINGS)
    told: set[str] = set()

    async def uploads() -> None:
        number = 0
        while True:
            number += 1
            told.add(await put(penstock, 200_000 + number * 37_000 % 3_000_000))

    for _ in range(2):
        await penstock.start()
        known = len(told)
        work = [asyncio.create_task(uploads()) for _ in range(3)]
        async with asyncio.timeout(60):
            while len(told) < known + 4:
                await asyncio.sleep(0.01)
        await penstock.kill()
        for one in await asyncio.gather(*work, return_exceptions=True):
            assert isinstance(one, aiohttp.ClientError | OSError), repr(one)
    for path in (penstock.data / "blobs").rglob("*"):
        if path.is_file():
            os.utime(path, (0, 0))
    await penstock.start()
    try:
        listed = {file["id"]: file for file in (await penstock.ask("GET", "/v1/files"))["data"]}
        assert told <= set(listed)
        for id, file in listed.items():
            assert await got(penstock, id) == (file["bytes"], digest(file["bytes"]))
        async with asyncio.timeout(20):
            while kept(penstock) != set(listed):
                await asyncio.sleep(0.02)
    finally:
        await penstock.kill()

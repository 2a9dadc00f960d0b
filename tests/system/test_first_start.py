"""Several real processes that start for the first time at the same moment, on one data folder or one database."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PROCESSES = 3
START_SECONDS = 60.0


async def spawn(config: Path) -> asyncio.subprocess.Process:
    words = (sys.executable, "-m", "penstock", "up", "-c", str(config))
    return await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)


async def announced(process: asyncio.subprocess.Process) -> str:
    """The address that the process tells when it answers."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stdout.readline(), START_SECONDS)).decode()
    found = re.search(r"http://[\d.:]+", line)
    if found is None:
        raise AssertionError(f"a process did not start: {line}{(await process.stderr.read()).decode()}")
    return found[0]


async def test_they_make_one_organisation_and_one_admin_key_and_all_serve(database: str, tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    storage = f'[storage]\nrecords = "{database}"\nmigrate_on_start = true\n' if database else ""
    gateway = "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
    config.write_text(f'[server]\nport = 0\ndata_dir = "{tmp_path / "data"}"\ndrain_seconds = 1\n{storage}{gateway}')
    processes = await asyncio.gather(*(spawn(config) for _ in range(PROCESSES)))
    try:
        urls = await asyncio.gather(*map(announced, processes))
        # The key follows the address in what the one that made it says.
        for process in processes:
            process.terminate()
        said = [tuple(text.decode() for text in await process.communicate()) for process in processes]
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert [process.returncode for process in processes] == [0] * PROCESSES, said
    keys = [key for out, _ in said for key in re.findall(r"psk_\S+", out)]
    assert len(keys) == 1, said
    assert not [log for _, log in said if keys[0] in log]
    assert len(set(urls)) == PROCESSES

    again = await spawn(config)
    try:
        url = await announced(again)

        async def ask(path: str) -> Any:
            async with (
                aiohttp.ClientSession(headers={"authorization": f"Bearer {keys[0]}"}) as session,
                session.get(url + path) as answer,
            ):
                assert answer.status == 200, await answer.text()
                return (await answer.json())["data"]

        assert [(o["name"], o["home"]) for o in await ask("/v1/organisations")] == [("Default", True)]
        assert [p["name"] for p in await ask("/v1/projects")] == ["default"]
        assert [k["name"] for k in await ask("/v1/keys")] == ["first admin key"]
    finally:
        again.terminate()
        out, _ = await again.communicate()
    assert b"psk_" not in out

"""What the examples run on in tests: the stand-in that they come with, on a real socket, and a house with their own settings."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
import tomllib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from examples.stand_in import app
from tests.house import House, open_house

ROOT = Path(__file__).parent.parent.parent / "examples"
QUICK = "[journal]\npoll_seconds = 0.02\n"


def settings(example: str, model: str) -> str:
    """The settings that the example comes with, its model at another address, and nothing waited for longer than a test has time."""
    text = (ROOT / example / "penstock.toml").read_text("utf-8")
    assert "http://127.0.0.1:8099" in text
    assert "[journal]" not in text
    tomllib.loads(text)
    return text.replace("http://127.0.0.1:8099", model) + QUICK


def fresh(example: str) -> None:
    """Have the example's modules read their environment anew."""
    for name in [name for name in sys.modules if name.startswith(f"examples.{example}")]:
        del sys.modules[name]


@asynccontextmanager
async def serving(application: web.Application) -> AsyncGenerator[str]:
    """Serve an application on a free port; its address."""
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def open_example(example: str, folder: Path, changed: Mapping[str, str] = {}) -> AsyncGenerator[House]:
    """A house on the settings of an example, with its stand-in; ``changed`` are words of the settings that stand for something else."""
    fresh(example)
    scripts = importlib.import_module(f"examples.{example}.script").SCRIPTS
    async with serving(app(scripts)) as model:
        text = settings(example, model)
        for word, instead in changed.items():
            assert word in text
            text = text.replace(word, instead)
        async with open_house(folder, text) as house:
            yield house


async def begun(house: House, name: str, given: Any, *, key: str | None = None) -> str:
    """The id of a run that was started over the API."""
    made = await house.made(f"/v1/agents/{name}/runs", {"input": given}, key=key)
    return made["run"]["id"]


async def until(house: House, path: str, enough: Any, seconds: float = 60.0) -> Any:
    """What a route tells, once it is enough."""
    async with asyncio.timeout(seconds):
        while True:
            answer = await house.ask("GET", path)
            assert answer.status == 200, answer.text
            if enough(answer.json):
                return answer.json
            await asyncio.sleep(0.02)


async def over(house: House, run: str) -> Mapping[str, Any]:
    """How a run of an agent ended."""
    shown = await until(house, f"/v1/agents/runs/{run}", lambda found: found["ended"] is not None)
    return msgspec.to_builtins(shown["ended"])


def tools(shown: Mapping[str, Any]) -> list[str]:
    """The tools that a run called, in their order, from its journal."""
    return [found[1] for one in shown["steps"] if (found := re.fullmatch(r"tool (\w+)", one["name"]))]

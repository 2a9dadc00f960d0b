"""Penstock under the drill: ``penstock up`` as a process of its own, asked over HTTP at a steady rate."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from benchmarks.gateway.processes import Running
from benchmarks.resilience.judge import Outcome

START_SECONDS = 60.0


def settings(ports: Mapping[str, int], try_seconds: float) -> str:
    """Six equal targets under one name; everything else as Penstock comes."""
    common = 'profile = "openai-compatible"\nmodels = ["m"]\nfree = true\n'
    bases = {name: f"http://127.0.0.1:{port}/v1" for name, port in ports.items() if name != "tls"}
    bases |= {"tls": f"https://127.0.0.1:{ports['tls']}/v1", "dns": "http://provider.invalid/v1"}
    providers = "".join(f'[gateway.providers.{name}]\n{common}base_url = "{base}"\n' for name, base in bases.items())
    group = json.dumps([f"{name}/m" for name in bases])
    return (
        "[server]\nport = 0\n[gateway]\ndiscover = false\nlocal_embeddings = false\n"
        f"{providers}[gateway.models.drill]\ntargets = [{group}]\ntry_seconds = {try_seconds}\n"
    )


class Penstock:
    """A running one."""

    def __init__(self, work: Path, ports: Mapping[str, int], try_seconds: float) -> None:
        config = work / "penstock.toml"
        config.write_text(settings(ports, try_seconds))
        command = [sys.executable, "-m", "penstock", "up", "-c", str(config)]
        self._running = Running(command, log=work / "penstock.log", cwd=work)
        self.url = self._key = ""

    async def ready(self) -> None:
        """Return when it answers. Raises RuntimeError with its log when it does not."""
        until = time.monotonic() + START_SECONDS
        while not (self.url and self._key):
            if time.monotonic() > until or not self._running.alive:
                raise RuntimeError(f"Penstock did not start:\n{self._running.last_lines()}")
            await asyncio.sleep(0.1)
            said = self._running.log.read_text()
            address, key = re.search(r"http://[\d.:]+\d", said), re.search(r"psk_\S+", said)
            self.url, self._key = address.group(0) if address else "", key.group(0) if key else ""

    async def drill(self, rate: float, seconds: float) -> list[Outcome]:
        """Ask at ``rate`` for ``seconds``, every fifth call a stream."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers={"authorization": f"Bearer {self._key}"}) as session:
            began, tasks = time.monotonic(), list[asyncio.Task[Outcome]]()
            for number in range(int(seconds * rate)):
                wait = began + number / rate - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                tasks.append(asyncio.create_task(self._one(session, began, stream=number % 5 == 0)))
            return await asyncio.gather(*tasks)

    async def providers(self) -> object:
        """What it says of its providers."""
        async with aiohttp.ClientSession(headers={"authorization": f"Bearer {self._key}"}) as session:
            answer = await session.get(f"{self.url}/v1/providers")
            return await answer.json()

    def stop(self) -> None:
        """End the process."""
        self._running.stop()

    async def _one(self, session: aiohttp.ClientSession, began: float, *, stream: bool) -> Outcome:
        at = time.monotonic()
        body = {"model": "drill", "messages": [{"role": "user", "content": "hello"}], "stream": stream}
        try:
            async with session.post(f"{self.url}/v1/chat/completions", json=body) as answer:
                text = await answer.read()
                said = "ok" if answer.status == 200 else f"{answer.status} {_code(text)}"
                if said == "ok" and (b"data: [DONE]" if stream else b'"finish_reason":') not in text.replace(b'": ', b'":'):
                    said = "cut off"
        except aiohttp.ClientError as fault:
            said = type(fault).__name__
        return Outcome(at - began, time.monotonic() - at, stream, said)


def _code(text: bytes) -> str:
    try:
        return str(json.loads(text)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "?"

"""``python -m benchmarks.gateway.account``: what each station of the line spends on one call, in microseconds of CPU.

Opens the house in this process with the settings of the benchmark's Penstock, puts a clock around every stage, and sends calls one at
a time through the gateway's endpoint against the mock upstream. A stage's figure is its own, without the stages further in.
``edge`` is what is spent outside the line (reading, parsing, answering), without Granian.
With ``--profile FILE`` it writes a cProfile of the same.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.gateway.load import Request
from benchmarks.gateway.measure import SMALL
from benchmarks.gateway.ours import ROOT, Penstock
from benchmarks.gateway.processes import Running, free_port

_clock = time.thread_time_ns


class _Headers:
    def __init__(self, pairs: dict[str, str]) -> None:
        self._pairs = pairs
        self.get = pairs.get

    def items(self) -> list[tuple[str, str]]:
        return list(self._pairs.items())

    def keys(self) -> list[str]:
        return list(self._pairs)


class _Scope:
    proto, http_version, client, scheme, method, query_string = "http", "1.1", "127.0.0.1:1", "http", "POST", ""

    def __init__(self, path: str, headers: dict[str, str]) -> None:
        self.path = path
        self.headers = _Headers(headers)


class _Protocol:
    """The request's body in, the answer's status out."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.status = 0

    async def __call__(self) -> bytes:
        return self._body

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> _Protocol:
        self.status = status
        return self

    async def send_bytes(self, data: bytes) -> None:
        """Taken and forgotten."""


class Clocked:
    """A stage with a clock around it. ``spent`` holds nanoseconds by stage name, of which the stages further in are taken off."""

    def __init__(self, stage: Any, spent: dict[str, int]) -> None:
        self._stage = stage
        self._spent = spent
        self.name = stage.name
        self.slot = stage.slot

    async def __call__(self, call: Any, proceed: Any) -> Any:
        inner = 0

        async def timed(call: Any) -> Any:
            nonlocal inner
            began = _clock()
            try:
                return await proceed(call)
            finally:
                inner += _clock() - began

        began = _clock()
        try:
            return await self._stage(call, timed)
        finally:
            self._spent[self.name] += _clock() - began - inner


async def _account(config: Path, request: Request, calls: int, profile: Path | None) -> dict[str, float]:
    from penstock.app import App, capabilities, load_settings, open_store
    from penstock.kernel.stage import Line

    rooms = capabilities()
    settings = load_settings(rooms, config)
    spent: dict[str, int] = defaultdict(int)
    app = App(rooms, settings, open_store(settings))
    if profile is None:
        stages = [(name, Clocked(stage, spent)) for name, offer in app.offers.items() for stage in offer.stages]
        app.line.walk = Line(stages).walk  # type: ignore[arg-type]
    await app.start()
    try:
        endpoints = [endpoint for offer in app.offers.values() for endpoint in offer.endpoints]
        handler = next(e.handler for e in endpoints if (e.method, e.path) == ("POST", request.path))
        body = request.body()
        scope = _Scope(request.path, {name.lower(): value for name, value in request.headers.items()} | {"content-length": str(len(body))})

        async def call() -> None:
            protocol = _Protocol(body)
            await asyncio.get_running_loop().create_task(handler(scope, protocol))  # type: ignore[arg-type]  # Granian gives each request a task
            if protocol.status != 200:
                raise RuntimeError(f"The gateway answered {protocol.status}.")

        for _ in range(500):
            await call()
        spent.clear()
        clock = cProfile.Profile() if profile is not None else None
        if clock is not None:
            clock.enable()
        began = _clock()
        for _ in range(calls):
            await call()
        total = _clock() - began
        if clock is not None and profile is not None:
            clock.disable()
            clock.dump_stats(profile)
    finally:
        await app.stop()
    found = {name: nanoseconds / calls / 1000 for name, nanoseconds in spent.items()}
    return {"edge": total / calls / 1000 - sum(found.values()), **found, "total": total / calls / 1000}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway.account", description=__doc__)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--profile", type=Path, default=None, help="Write a cProfile of the calls here instead of clocking the stages.")
    parser.add_argument("--stream", action="store_true", help="Ask for streams. What is spent while a stream runs counts as the edge's.")
    chosen = parser.parse_args()
    import uvloop

    folder = Path(tempfile.mkdtemp(prefix="penstock-account-"))
    port = free_port()
    mock = Running([sys.executable, "-m", "benchmarks.gateway.mock", "--port", str(port)], log=folder / "mock.log", cwd=ROOT)
    try:
        while "ready" not in mock.log.read_text():
            time.sleep(0.01)
        ours = Penstock()
        ours.install(ROOT / ".bench" / "penstock")
        ours.prepare(ROOT / ".bench" / "penstock", folder, port, 0)
        found = uvloop.run(_account(folder / "penstock.toml", ours.request(0, SMALL, stream=chosen.stream), chosen.calls, chosen.profile))
    finally:
        mock.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for name, micros in found.items():
        print(f"{name:14} {micros:8.1f} us")
    return 0


if __name__ == "__main__":
    sys.exit(main())

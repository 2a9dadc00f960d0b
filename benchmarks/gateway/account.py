"""``python -m benchmarks.gateway.account``: what each station of the line spends on one call, in microseconds of CPU.

Opens the house in this process with the settings of the benchmark's Penstock, puts a clock around every stage and sends calls, 32 at
once, through the gateway's endpoint against the mock upstream. A stage's figure is its own, without the stages further in. ``edge`` is what
is spent outside the line (reading, parsing, answering), ``loop`` the event loop, the sockets and the client's parser, ``behind`` the
threads behind the line (the ledger's drain, the recorder). Granian is not in it. The figures are those of the cheapest of five batches; the
clocks cost about 3 us a stage. With ``--profile FILE`` it writes a cProfile of the same instead.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.gateway.load import Request
from benchmarks.gateway.machine import describe
from benchmarks.gateway.measure import SMALL
from benchmarks.gateway.ours import ROOT, Penstock
from benchmarks.gateway.processes import Running, free_port

AT_ONCE = 32


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


class Clock:
    """Nanoseconds by name. Steps nest: what runs inside another step is taken off that one."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = defaultdict(int)
        self._inner: list[int] = []

    def run(self, name: str, work: Coroutine[Any, Any, Any]) -> _Steps:
        return _Steps(self, name, work)

    def enter(self) -> int:
        self._inner.append(0)
        return time.thread_time_ns()

    def leave(self, name: str, began: int) -> None:
        took = time.thread_time_ns() - began
        self.spent[name] += took - self._inner.pop()
        if self._inner:
            self._inner[-1] += took


class _Steps:
    """A coroutine of which only the time between two suspensions is counted, so that many may run at once."""

    def __init__(self, clock: Clock, name: str, work: Coroutine[Any, Any, Any]) -> None:
        self._clock = clock
        self._name = name
        self._work = work

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = lambda: self._work.send(None)  # noqa: E731
        while True:
            began = self._clock.enter()
            try:
                waits_for = step()
            except StopIteration as end:
                return end.value
            finally:
                self._clock.leave(self._name, began)
            try:
                yield waits_for
                step = lambda: self._work.send(None)  # noqa: E731
            except BaseException as error:  # handed on to the coroutine that it was meant for
                step = partial(self._work.throw, error)


class Clocked:
    """A stage with a clock around it."""

    def __init__(self, stage: Any, clock: Clock) -> None:
        self._stage = stage
        self._clock = clock
        self.name = stage.name
        self.slot = stage.slot

    def concerns(self, call: Any) -> bool:
        """What the stage itself says; one that does not choose concerns every call."""
        concerns = getattr(self._stage, "concerns", None)
        return concerns is None or concerns(call)

    async def __call__(self, call: Any, proceed: Any) -> Any:
        return await self._clock.run(self.name, self._stage(call, proceed))


async def _account(config: Path, request: Request, calls: int, profile: Path | None) -> dict[str, float]:
    from penstock.app import App, capabilities, load_settings, open_store
    from penstock.collector import spare_collector
    from penstock.kernel.stage import Line

    rooms = capabilities()
    settings = load_settings(rooms, config)
    clock = Clock()
    app = App(rooms, settings, open_store(settings))
    if profile is None:
        stages = [(name, Clocked(stage, clock)) for name, offer in app.offers.items() for stage in offer.stages]
        app.line.walk = Line(stages).walk  # type: ignore[arg-type]
    await app.start()
    spare_collector()
    try:
        endpoints = [endpoint for offer in app.offers.values() for endpoint in offer.endpoints]
        handler = next(e.handler for e in endpoints if (e.method, e.path) == ("POST", request.path))
        body = request.body()
        scope = _Scope(request.path, {name.lower(): value for name, value in request.headers.items()} | {"content-length": str(len(body))})

        async def caller(count: int) -> None:
            for _ in range(count):
                protocol = _Protocol(body)
                work = handler(scope, protocol)  # type: ignore[arg-type]
                if profile is None:
                    work = _as_coroutine(clock.run("edge", work))  # type: ignore[arg-type]
                await asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]  # as Granian does
                if protocol.status != 200:
                    raise RuntimeError(f"The gateway answered {protocol.status}.")

        async def batch(each: int) -> tuple[int, int, dict[str, int]]:
            clock.spent.clear()
            began, all_began = time.thread_time_ns(), time.process_time_ns()
            await asyncio.gather(*(caller(each) for _ in range(AT_ONCE)))
            return time.process_time_ns() - all_began, time.thread_time_ns() - began, dict(clock.spent)

        await batch(20)
        profiler = cProfile.Profile() if profile is not None else None
        if profiler is not None:
            profiler.enable()
        total, loop, spent = min([await batch(calls // AT_ONCE // 5) for _ in range(5)], key=itemgetter(0))
        if profiler is not None and profile is not None:
            profiler.disable()
            profiler.dump_stats(profile)
    finally:
        await app.stop()
    done = calls // AT_ONCE // 5 * AT_ONCE * 1000
    found = {name: nanoseconds / done for name, nanoseconds in sorted(spent.items(), key=itemgetter(1), reverse=True)}
    return {**found, "loop": loop / done - sum(found.values()), "behind": (total - loop) / done, "total": total / done}


async def _as_coroutine(steps: _Steps) -> Any:
    return await steps


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway.account", description=__doc__)
    parser.add_argument("--calls", type=int, default=16_000)
    parser.add_argument("--profile", type=Path, default=None, help="Write a cProfile of the calls here instead of clocking the stages.")
    parser.add_argument("--stream", action="store_true", help="Ask for streams. What is spent while a stream runs counts as the edge's.")
    parser.add_argument("--output", type=Path, default=None, help="Write the account as JSON too, for docs/performance.md.")
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
        work = folder / "penstock" / "0"
        ours.prepare(ROOT / ".bench" / "penstock", work, port, 0)
        found = uvloop.run(_account(work / "penstock.toml", ours.request(0, SMALL, stream=chosen.stream), chosen.calls, chosen.profile))
    finally:
        mock.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for name, micros in found.items():
        print(f"{name:14} {micros:8.1f} us")
    if chosen.output:
        document = {"machine": describe(), "calls": chosen.calls, "microseconds": {name: round(value, 1) for name, value in found.items()}}
        chosen.output.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

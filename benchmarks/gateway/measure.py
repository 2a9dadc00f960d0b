"""One round of one contestant: started cold, asked in every way that the report shows, and stopped."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.gateway.contestants import CannotRun, Contestant
from benchmarks.gateway.load import Connection, LoadFailed, Request, latency, throughput
from benchmarks.gateway.mock import ANSWER, STREAM_EVENTS
from benchmarks.gateway.processes import Running, free_port

SMALL, LARGE = 1024, 102_400
START_SECONDS = 120.0
LONGEST_SECONDS = 45.0


@dataclass(frozen=True)
class Phase:
    """One way of asking. ``concurrency`` 1 takes latencies; more takes replies per second and processor time."""

    name: str
    size: int
    stream: bool
    concurrency: int


PHASES = (
    Phase("c1", SMALL, False, 1),
    Phase("c32", SMALL, False, 32),
    Phase("c256", SMALL, False, 256),
    Phase("c1_100k", LARGE, False, 1),
    Phase("c32_100k", LARGE, False, 32),
    Phase("c1_stream", SMALL, True, 1),
    Phase("c32_stream", SMALL, True, 32),
)

Sample = dict[str, float]
"""Figure name -> value. ``<phase>.p5`` and so on in milliseconds, ``<phase>.per_second``, ``<phase>.cpu_ms`` a reply,
``start.cpu_seconds``,
``start.wall_seconds``, ``rss.idle_mb``, ``rss.after_mb``."""


class Started:
    """A contestant that has answered its first request with 200. Use as a context manager."""

    def __init__(self, contestant: Contestant, home: Path, work: Path, mock_port: int) -> None:
        self.contestant = contestant
        port = free_port()
        work.mkdir(parents=True, exist_ok=True)
        launch = contestant.prepare(home, work, mock_port, port)
        self.process = Running(launch.command, log=work / "output.log", env=launch.env, cwd=launch.cwd)
        try:
            self.port = self._named_port(launch.port_pattern) if launch.port_pattern else port
            self._first_reply()
        except BaseException:
            self.process.stop()
            raise

    def _named_port(self, pattern: str) -> int:
        while True:
            found = re.search(pattern, self.process.log.read_text(errors="replace"))
            if found:
                return int(found.group(1))
            self._still_starting("It has not named its port")
            time.sleep(0.005)

    def _first_reply(self) -> None:
        """Wait until a chat request is answered with 200, and note what that took. Refusals and other statuses are tried again."""
        wire = self.contestant.request(self.port, SMALL, stream=False).wire()
        last = "It does not listen"
        while True:
            try:
                connection = Connection(self.port, timeout=10)
                try:
                    status, body, _ = connection.exchange(wire)
                finally:
                    connection.close()
                if status == 200:
                    break
                last = f"It answers {status}: {body[:300]!r}"
            except (OSError, LoadFailed) as error:
                last = f"It does not answer ({error})"
            self._still_starting(last)
            time.sleep(0.01)
        self.start_wall = time.perf_counter() - self.process.started
        self.start_cpu = self.process.usage().cpu_seconds

    def _still_starting(self, state: str) -> None:
        if not self.process.alive:
            raise CannotRun(f"{self.contestant.name} ended while starting:\n{self.process.last_lines()}")
        if time.perf_counter() - self.process.started > START_SECONDS:
            raise CannotRun(f"{self.contestant.name} was not ready in {START_SECONDS:.0f} s. {state}.\n{self.process.last_lines()}")

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *unused: object) -> None:
        self.process.stop()


def check(contestant: Contestant, port: int) -> None:
    """The replies are what the mock sent, at both sizes, streamed and not. Raises CannotRun with what came instead."""
    connection = Connection(port)
    for size in (SMALL, LARGE):
        for stream in (False, True):
            request = contestant.request(port, size, stream=stream)
            assert len(request.body()) == size
            status, body, _ = connection.exchange(request.wire())
            events = body.count(b"data: ")
            whole = (events >= STREAM_EVENTS and b"word0" in body and b"completion_tokens" in body) if stream else ANSWER.encode() in body
            if status != 200 or not whole:
                kind = "stream" if stream else "reply"
                raise CannotRun(f"{contestant.name}: a {kind} for {size} bytes came back wrong: {status}, {events} events, {body[:300]!r}")
    connection.close()


def measure(started: Started, seconds: float, folder: Path) -> tuple[Sample, list[str]]:
    """Every phase once, about ``seconds`` each, on a contestant that has just started: figures, and why a phase has none."""
    sample: Sample = {"start.wall_seconds": started.start_wall, "start.cpu_seconds": started.start_cpu}
    failures: list[str] = []
    time.sleep(1.0)  # background work of the start comes to rest
    sample["rss.idle_mb"] = started.process.usage().rss_mb
    _warm(started, folder)
    for phase in PHASES:
        request = started.contestant.request(started.port, phase.size, stream=phase.stream)
        _rest(started)
        try:
            figures = _phase(started, phase, request, seconds, folder)
        except (LoadFailed, OSError) as error:
            failures.append(f"{phase.name}: {error}")
            continue
        sample |= {f"{phase.name}.{name}": value for name, value in figures.items()}
    sample["rss.after_mb"] = started.process.usage().rss_mb
    return sample, failures


def _warm(started: Started, folder: Path) -> None:
    for stream in (False, True):
        throughput(started.contestant.request(started.port, SMALL, stream=stream), 32, 1, folder=folder)


def _rest(started: Started) -> None:
    """Wait until the process is idle, or fifteen seconds: some go on for long with requests whose clients left when a phase ended."""
    deadline = time.monotonic() + 15
    used = started.process.usage().cpu_seconds
    while time.monotonic() < deadline:
        time.sleep(0.3)
        now = started.process.usage().cpu_seconds
        if now - used < 0.05:
            return
        used = now


def _phase(started: Started, phase: Phase, request: Request, seconds: float, folder: Path) -> Sample:
    if phase.concurrency == 1:
        return {name: float(value) for name, value in asdict(latency(request, seconds)).items()}
    while True:
        before = started.process.usage().cpu_seconds
        result = throughput(request, phase.concurrency, seconds, folder=folder)
        cpu = started.process.usage().cpu_seconds - before
        # Requests in flight when the time is up were worked on but are not counted; few replies would blur the figure.
        if result.count >= 8 * phase.concurrency or seconds >= LONGEST_SECONDS:
            break
        seconds = min(LONGEST_SECONDS, seconds * max(2.0, 10 * phase.concurrency / max(result.count, phase.concurrency)))
    if not result.count:
        raise LoadFailed(f"No reply within {seconds:.0f} s at concurrency {phase.concurrency}.")
    return {"per_second": result.per_second, "cpu_ms": cpu * 1000 / result.count, "p50": result.p50, "p99": result.p99}

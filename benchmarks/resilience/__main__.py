"""``python -m benchmarks.resilience``: the failure drill, for Penstock and LiteLLM's router at the same time, each with its own providers.

Four providers go through brown-outs, waves of 429, latency spikes, resets and partial replies (`script.py`); two more cannot be reached at
all (a name that does not resolve, a peer that fails TLS). At every moment one of the four is well. Both are asked at the same steady rate,
every fifth call a stream. Without ``--minutes 20`` the same script runs in two. LiteLLM is installed into ``.bench/litellm-router`` from
its public package.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path

from benchmarks.gateway.machine import describe
from benchmarks.resilience.judge import Asked, Figures, Outcome, judge
from benchmarks.resilience.ours import Penstock

ROOT = Path(__file__).resolve().parents[2]
BARS = (
    ("success", 0.999, "at least 99.9 % answered"),
    ("amplification", 1.1, "at most 1.1 requests a call"),
    ("herd", 1.5, "herd at most 1.5"),
)


class Upstreams:
    """The providers' process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.ports: dict[str, int] = {}

    @classmethod
    async def start(cls, seconds: float) -> Upstreams:
        found = cls(await _python(sys.executable, "-m", "benchmarks.resilience.upstreams", str(seconds)))
        found.ports = json.loads(await _line(found._process))
        return found

    def begin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def asked(self) -> Asked:
        """End the process: what the providers were asked."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        found: Asked = json.loads(await _line(self._process))
        await self._process.wait()
        return found


async def _python(*command: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT, limit=2**28)


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of the drill ended with {await process.wait()}")
    return line


async def ours(rate: float, seconds: float, try_seconds: float, start: asyncio.Barrier) -> Figures:
    upstreams = await Upstreams.start(seconds)
    with tempfile.TemporaryDirectory(prefix="penstock-drill-") as folder:
        house = Penstock(Path(folder), upstreams.ports, try_seconds)
        try:
            await house.ready()
            async with start:
                upstreams.begin()
            outcomes = await house.drill(rate, seconds)
        finally:
            house.stop()
    return judge(outcomes, await upstreams.asked(), rate, seconds)


async def litellm(python: str, rate: float, seconds: float, try_seconds: float, start: asyncio.Barrier) -> Figures:
    upstreams = await Upstreams.start(seconds)
    given = {"ports": upstreams.ports, "rate": rate, "seconds": seconds, "try_seconds": try_seconds}
    worker = await _python(python, str(ROOT / "benchmarks/resilience/litellm_router.py"), json.dumps(given))
    while await _line(worker) != b"ready\n":
        """LiteLLM may print a word of its own before."""
    assert worker.stdin is not None
    async with start:
        upstreams.begin()
        worker.stdin.write(b"\n")
    outcomes = [Outcome(*one) for one in json.loads(await _line(worker))]
    await worker.wait()
    return judge(outcomes, await upstreams.asked(), rate, seconds)


def _installed() -> tuple[str, str]:
    home = ROOT / ".bench" / "litellm-router"
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "litellm"], check=True)
    version = subprocess.run(
        [str(python), "-c", "import importlib.metadata as m; print(m.version('litellm'))"], check=True, capture_output=True, text=True
    )
    return str(python), version.stdout.strip()


async def _told(name: str, run: Awaitable[Figures]) -> Figures:
    """The figures, printed as soon as they are known: the other contestant may take long to end."""
    figures = await run
    lines = [f"  {figure:16} {value:.5g}" if isinstance(value, float) else f"  {figure:16} {value}" for figure, value in figures.items()]
    print("\n".join([name, *lines]), flush=True)
    return figures


async def _both(rate: float, seconds: float, try_seconds: float, python: str | None) -> dict[str, Figures]:
    start = asyncio.Barrier(1 if python is None else 2)
    runs = {"penstock": ours(rate, seconds, try_seconds, start)}
    if python is not None:
        runs["litellm"] = litellm(python, rate, seconds, try_seconds, start)
    found = await asyncio.gather(*(_told(name, run) for name, run in runs.items()))
    return dict(zip(runs, found, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resilience", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=40.0, help="Calls a second for each contestant.")
    parser.add_argument("--try-seconds", type=float, default=1.5, help="Longest wait for one try, the same for both.")
    parser.add_argument("--alone", action="store_true", help="Without LiteLLM.")
    parser.add_argument("--output", type=Path, default=None)
    chosen = parser.parse_args()
    python, version = (None, None) if chosen.alone else _installed()
    seconds = chosen.minutes * 60
    if version is not None:
        print(f"litellm {version}")
    found = asyncio.run(_both(chosen.rate, seconds, chosen.try_seconds, python))
    mine = found["penstock"]
    missed = [text for figure, bar, text in BARS if (mine[figure] < bar if figure == "success" else mine[figure] > bar)]  # type: ignore[literal-required]
    if chosen.output:
        document = {"machine": describe(), "minutes": chosen.minutes, "rate": chosen.rate, "litellm": version, "contestants": found}
        chosen.output.write_text(json.dumps(document, indent=1) + "\n")
    print("every bar holds" if not missed else f"missed: {'; '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

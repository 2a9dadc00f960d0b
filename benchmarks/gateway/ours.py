"""Our own contestants: Penstock with everything on that a call can go through, and the bare proxy that shows what its line costs."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.gateway.contestants import KEY, MODEL, CannotRun, Launch
from benchmarks.gateway.load import Request

ROOT = Path(__file__).resolve().parents[2]


class Bare:
    """Penstock's server and client with nothing between them; see ``bare.py``."""

    name = "bare"

    def install(self, home: Path) -> str:
        return "-"

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        return Launch([sys.executable, "-m", "benchmarks.gateway.bare", str(port), str(mock_port)], cwd=ROOT)

    def request(self, port: int, size: int, *, stream: bool) -> Request:
        return Request(port, "/v1/chat/completions", MODEL, size, stream, {"Authorization": f"Bearer {KEY}"})


class Penstock:
    name = "penstock"

    def install(self, home: Path) -> str:
        raise CannotRun("penstock cannot be started yet")

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        raise CannotRun("penstock cannot be started yet")

    def request(self, port: int, size: int, *, stream: bool) -> Request:
        raise CannotRun("penstock cannot be started yet")

"""Penstock as a contestant: everything on that a call can go through, none of it at a setting that would refuse the load."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gateway.contestants import CannotRun, Launch
from benchmarks.gateway.load import Request


class Penstock:
    name = "penstock"

    def install(self, home: Path) -> str:
        raise CannotRun("penstock cannot be started yet")

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        raise CannotRun("penstock cannot be started yet")

    def request(self, port: int, size: int, *, stream: bool) -> Request:
        raise CannotRun("penstock cannot be started yet")

"""``python -m benchmarks.realtime``: how much later a message of a realtime session arrives through Penstock, beside a bare proxy.

A provider echoes; one message is under way at a time. Direct, bare and Penstock take turns, and what is added is the percentile minus the
direct one's of the same round; figures are medians over rounds. Writes ``benchmarks/results/realtime.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop
from websockets.asyncio.client import connect

from benchmarks.gateway.contestants import MODEL
from benchmarks.gateway.machine import describe
from benchmarks.gateway.ours import Penstock
from benchmarks.gateway.processes import Running, free_port
from benchmarks.realtime.peers import OPTIONS

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "realtime.json"
READY_SECONDS = 30.0
SIZES = {"text": 200, "sound": 12_800}
"""Bytes of a short text event, and of 200 ms of PCM at 24 kHz in base64."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=1500)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = _measure(Path(folder), given.rounds, given.messages)
    report: dict[str, Any] = {"machine": describe(), "websockets": version("websockets"), "rounds": given.rounds, **found}
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    for name, figures in found["added_ms"].items():
        print(name, json.dumps(figures))
    return 0


def _measure(folder: Path, rounds: int, messages: int) -> dict[str, Any]:
    echo, bare, ours = free_port(), free_port(), free_port()
    peers = [sys.executable, "-m", "benchmarks.realtime.peers"]
    running = [
        Running([*peers, "echo", str(echo)], log=folder / "echo.log", cwd=ROOT),
        Running([*peers, "bare", str(bare), str(echo)], log=folder / "bare.log", cwd=ROOT),
    ]
    try:
        contestant = Penstock()
        launch = contestant.prepare(folder, folder / "penstock", echo, ours)
        running.append(Running(launch.command, log=folder / "penstock.log", cwd=launch.cwd))
        key = contestant.request(ours, 0, stream=False).headers["Authorization"]
        ports = {"direct": echo, "bare": bare, "penstock": ours}
        return uvloop.run(_rounds(ports, key, rounds, messages))
    finally:
        for process in running:
            process.stop()


async def _rounds(ports: dict[str, int], key: str, rounds: int, messages: int) -> dict[str, Any]:
    taken: list[dict[str, dict[str, float]]] = []
    for number in range(rounds + 1):
        one = {name: await _session(port, key, messages if number else 50) for name, port in ports.items()}
        if number:  # the first only warms up
            taken.append(one)
    figures = [f"{size} {share}" for size in SIZES for share in ("p50", "p95")] + ["open"]
    added = {
        name: {f: round(statistics.median(r[name][f] - r["direct"][f] for r in taken), 4) for f in figures}
        for name in ports
        if name != "direct"
    }
    direct = {f: round(statistics.median(r["direct"][f] for r in taken), 4) for f in figures}
    return {"messages": messages, "direct_ms": direct, "added_ms": added}


async def _session(port: int, key: str, messages: int) -> dict[str, float]:
    """Milliseconds: of a round trip by size, p50 and p95, and until the session was open."""
    began = time.perf_counter()
    socket = await _opened(port, key)
    found = {"open": (time.perf_counter() - began) * 1e3}
    async with socket:
        for name, size in SIZES.items():
            message = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * (size - 60)})
            times: list[float] = []
            for _ in range(messages):
                sent = time.perf_counter()
                await socket.send(message)
                await socket.recv()
                times.append((time.perf_counter() - sent) * 1e3)
            cuts = statistics.quantiles(times, n=20)
            found |= {f"{name} p50": cuts[9], f"{name} p95": cuts[18]}
    return found


async def _opened(port: int, key: str) -> Any:
    url = f"ws://127.0.0.1:{port}/v1/realtime?model={MODEL}"
    until = time.monotonic() + READY_SECONDS
    while True:
        try:
            return await connect(url, additional_headers={"Authorization": key}, proxy=None, **OPTIONS)
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())

"""What the figures were taken on, and how fast it was at that moment, so that two reports can be compared."""

from __future__ import annotations

import os
import platform
import socket
import sysconfig
import time
from pathlib import Path


def describe() -> dict[str, object]:
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ""
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "python_optimised_build": "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""),
        "load_average": os.getloadavg()[0],
        "python_loop_ns": _python_loop(),
        "loopback_us": _loopback(),
    }


def _python_loop() -> float:
    """Nanoseconds of one method call in a loop: the speed of Python on one core here; best of five."""

    class Counter:
        value = 0

        def up(self) -> None:
            self.value += 1

    counter = Counter()
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter_ns()
        for _ in range(100_000):
            counter.up()
        best = min(best, (time.perf_counter_ns() - began) / 100_000)
    return round(best, 1)


def _loopback() -> float:
    """Microseconds to send 400 bytes over loopback TCP and receive them in the same thread: the price of the kernel here; best of five."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as out:
        into, _ = server.accept()
        out.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        best = float("inf")
        with into:
            for _ in range(5):
                began = time.perf_counter_ns()
                for _ in range(2000):
                    out.sendall(b"x" * 400)
                    into.recv(4096)
                best = min(best, (time.perf_counter_ns() - began) / 2000)
    return round(best / 1000, 2)

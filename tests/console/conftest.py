"""The sample site in a process of its own, and a real Chromium to look at it with."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium: the one that PENSTOCK_CHROMIUM names, or the first on the path. Without one browser tests say so and skip."""
    found = os.environ.get("PENSTOCK_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no Chromium here ({', '.join(BROWSERS)}); set PENSTOCK_CHROMIUM to one")
    return found


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """Address of the sample site, served by Granian as the product is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--log-level", "error", "console_sample:app"],
        cwd=HERE,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    pause = Event()
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"{address}/console/gallery", timeout=5):
                break
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, "the sample site ended before it answered"
            pause.wait(0.05)
    else:
        process.kill()
        pytest.fail("the sample site did not answer in time")
    yield address
    process.terminate()
    process.wait(10)

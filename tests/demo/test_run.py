"""The whole demo, as `make demo-check` runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "penstock", "demo"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_unattended_demo_verifies_itself(tmp_path: Path):
    done = subprocess.run([*COMMAND, "--check", "--dir", str(tmp_path / "demo")], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WRONG" not in done.stdout
    assert "psk_" not in done.stdout
    assert "exactly one refund" in done.stdout
    assert "mail to ada@example.com" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_the_attended_demo_shows_the_way_in_and_ends_with_ctrl_c(tmp_path: Path):
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [*COMMAND, "--port", "0", "--dir", str(tmp_path / "demo")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ, start_new_session=True
    ) as demo:
        assert demo.stdout is not None
        try:
            told = ""
            while "Ctrl-C ends the demo" not in told:
                line = demo.stdout.readline()
                assert line, told
                told += line
            assert "/console/" in told
            assert "psk_" in told
            assert "/console/inbox/request_" in told
            demo.send_signal(signal.SIGINT)
            told += demo.stdout.read()
            assert demo.wait(30) == 0, told
        finally:
            if demo.poll() is None:
                os.killpg(demo.pid, signal.SIGKILL)

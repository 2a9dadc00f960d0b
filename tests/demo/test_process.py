from __future__ import annotations

from pathlib import Path

import pytest

from penstock.demo.process import Process
from penstock.kernel.errors import Unavailable


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_child_that_does_not_start_says_why(tmp_path: Path):
    config = tmp_path / "penstock.toml"
    config.write_text("[server]\nprot = 8080\n", "utf-8")
    with pytest.raises(Unavailable, match=r"(?s)did not start.*unknown setting 'prot'; did you mean 'port'"):
        await Process.start(config, tmp_path / "penstock.log")


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_started_killed_started_again_and_stopped(tmp_path: Path):
    config = tmp_path / "penstock.toml"
    config.write_text(f'[server]\nport = 0\ndata_dir = "{tmp_path / "data"}"\n[gateway]\ndiscover = false\n', "utf-8")
    process = await Process.start(config, tmp_path / "penstock.log")
    try:
        assert process.url.startswith("http://127.0.0.1:")
        assert process.admin_key.startswith("psk_")
        # The key is shown on the terminal once and never logged.
        assert process.admin_key not in (tmp_path / "penstock.log").read_text("utf-8")
        key, logged = process.admin_key, (tmp_path / "penstock.log").read_text("utf-8")
        assert await process.kill()
        await process.again()
        assert process.url.startswith("http://127.0.0.1:")
        assert process.admin_key == key
        assert (tmp_path / "penstock.log").read_text("utf-8").startswith(logged), "the log goes on"
    finally:
        assert await process.stop() == 0
    assert await process.ended() == 0

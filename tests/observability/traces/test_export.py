"""Spans as files, over a real socket."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.house import open_house
from tests.observability.health.conftest import call

from penstock.observability.health import files
from penstock.storage.telemetry.store import TelemetryStore


async def test_what_a_page_shows_as_a_file_that_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house(tmp_path) as house:
        home, now = await house.home(), time.time()
        store = house.app.ports.get(TelemetryStore)
        await store.append([call(now - 60 - n, organisation=home, status="failed" if n < 4 else "ok", team="t") for n in range(9)], "b")
        await store.flush()
        folder = house.app.data_dir
        left = folder / "export-of-the-dead"
        left.mkdir()
        os.utime(left, (1, 1))
        answer = await house.ask("GET", f"/v1/traces/export?format=csv&status=failed&team=t&since={now - 3600:.0f}")
        assert (answer.status, answer.headers["x-penstock-spans"], len(answer.text.splitlines())) == (200, "4", 5)
        assert "prompt" in answer.text.splitlines()[0]
        assert "input," not in answer.text.splitlines()[0].replace("input_tokens", "")
        whole = await house.ask("GET", "/v1/traces/export")
        assert whole.text.startswith("PAR1")
        assert whole.headers["x-penstock-spans"] == "9"
        secret, _ = await house.outsider()
        assert (await house.ask("GET", "/v1/traces/export?format=csv", key=secret)).headers["x-penstock-spans"] == "0"
        monkeypatch.setattr(files, "MOST_SPANS", 8)
        refused = await house.ask("GET", "/v1/traces/export")
        assert (refused.status, refused.json["error"]["param"]) == (400, "since")
        assert list(folder.glob("export-*")) == []

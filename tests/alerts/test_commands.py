from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.alerts.rig import alarmed
from tests.alerts.series import NOW, steps
from typer.testing import CliRunner

from penstock.alerts.commands import app

pytestmark = pytest.mark.timeout(60)

SETTINGS = '[alerts.rules.slow]\nmeasure = "toy_latency_ms"\nseverity = "page"\nthreshold = { above = 2000 }\n'


async def test_alerts_at_the_command_line(tmp_path: Path) -> None:
    async with alarmed(tmp_path, SETTINGS) as one:
        environ = {"PENSTOCK_KEY": one.house.admin, "PENSTOCK_URL": one.house.url}

        async def asked(*words: str) -> tuple[int, str]:
            result = await asyncio.to_thread(CliRunner().invoke, app, words, env=environ)
            return result.exit_code, result.output

        assert await asked("list") == (0, "no alert is open\n")
        one.at(NOW)
        one.source.put("toy_latency_ms", steps([2500] * 5))
        await one.round()
        code, said = await asked("list")
        assert (code, "page" in said, "2.5 s" in said) == (1, True, True)
        alert = said.split()[0]
        assert "acknowledged by" in (await asked("acknowledge", alert))[1]
        assert "1 open" in (await asked("rules"))[1]
        one.at(time.time())
        code, said = await asked("silence", "moving", "--hours", "2", "--rule", "sl*")
        assert (code, said.startswith("silence_")) == (0, True)
        assert await asked("deliveries") == (0, "nothing was sent\n")
        assert (await asked("acknowledge", "alert_none"))[0] != 0

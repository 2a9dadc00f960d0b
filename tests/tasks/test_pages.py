"""The pages show what is declared, who may serve, and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.tasks.people import rig

SETTINGS = """
[finops.prices."up/*"]
input = 2.0
output = 8.0

[tasks."support.intent"]
owner = "support <b>"
kpi = "first-contact resolution"
candidates = ["up/a", "far/big"]
judge = { kind = "regex", pattern = "<script>" }
floor = { level = 0.95, reference = "far/big" }
slices = [{ by = "language", level = 0.8 }]
data_class = "confidential"
budget = { amount = 50.0, period = "week" }
latency_ms = 800
sample = 0.02
"""


@pytest.mark.timeout(60)
async def test_the_pages(tmp_path: Path) -> None:
    async with rig(tmp_path, SETTINGS) as house:
        listed = (await house.house.ask("GET", "/console/tasks")).text
        assert "support &lt;b&gt;" in listed
        assert "$50.00 a week" in listed
        page = (await house.house.ask("GET", "/console/tasks/support.intent")).text
        for said in (
            "0.95 of far/big, at 0.95 confidence",
            "regex: &lt;script&gt;",
            "800 ms for 0.95 of the calls",
            "confidential data of the task",
            "$2.00",
            "$8.00",
            "penstock.toml",
            "nobody registered it",
            "Floor by language",
        ):
            assert said in page, said
        theirs, _ = await house.house.outsider()
        made = (await house.declare("own", key=theirs)).json
        assert "Last changed by their admin" in (await house.house.ask("GET", "/console/tasks/own", key=theirs)).text
        assert (await house.house.ask("GET", "/console/tasks/own")).status == 404
        all_of_them = (await house.house.ask("GET", "/console/tasks")).text
        assert f"/console/tasks/own?organisation={made['organisation']}" in all_of_them
        assert (await house.house.ask("GET", f"/console/tasks/own?organisation={made['organisation']}")).status == 200
        assert (await house.house.ask("GET", "/console/tasks/none")).status == 404


@pytest.mark.timeout(60)
async def test_without_a_task_the_way_is_shown(tmp_path: Path) -> None:
    async with rig(tmp_path, "") as house:
        assert "docs/tasks.md shows the way" in (await house.house.ask("GET", "/console/tasks")).text

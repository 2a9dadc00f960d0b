"""A few of the kills of ``make kill-drill``, which does two hundred."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.system.drill import drill


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_six_kills_under_load_lose_nothing(tmp_path: Path) -> None:
    report = await drill(6, tmp_path, seed=3)
    assert report.complete > 100
    assert report.streams > 20
    assert report.missing == []
    assert report.wrong == []
    assert report.over == []
    assert report.integrity == "ok"
    assert report.verify_code == 0, report.verify
    assert report.admin_keys == 1

"""A process that is really killed: while it certifies, and while it answers through the cascade that came of it.

Once each, for a start takes seconds of a core; `python -m tests.routing.drill --kills 50` is for whoever looks for what is rare.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.routing.drill import drill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def test_kills_lose_no_attempt_no_row_and_no_decision(tmp_path: Path) -> None:
    report = await drill(1, tmp_path, seed=3, longest=0.3, words=True)
    begun, ended = report.attempt["begun"], report.attempt["ended"]
    assert (begun["state"], begun["durable"]) == ("fitting", True)
    assert (report.policies, ended["id"], ended["attempt"], ended["state"]) == (1, begun["id"], 1, "active"), ended["why"]
    assert ended["kind"] == "cascade"
    assert report.executions >= 2
    assert report.complete > 10
    assert report.escalated > 0
    assert report.streams > 2
    assert report.decisions > 0
    assert (report.missing, report.wrong, report.unasked, report.undecided) == ([], [], [], [])
    assert (report.doubled, report.integrity) == (0, "ok")

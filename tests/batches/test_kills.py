"""A few of the kills of ``make batch-drill``, which kills a batch of 100,000 lines ten times."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.batches.drill import drill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


async def test_a_batch_that_is_killed_ends_with_exactly_one_result_a_line(tmp_path: Path) -> None:
    in_flight = 8
    more = f"[batches]\nmax_in_flight = {in_flight}\n[journal]\npoll_seconds = 0.05\n"
    report = await drill(tmp_path, lines=400, kills=3, seed=4, upstream_seconds=0.02, more=more)
    assert (report.results, report.missing, report.doubled, report.wrong) == (400, 0, 0, 0)
    # What a kill costs is what was in flight; whatever the provider was asked for and had answered before is on the ledger.
    assert report.repeated_calls <= 3 * in_flight
    assert 400 <= report.ledger_rows <= 400 + report.repeated_calls
    assert report.rss_megabytes <= 300

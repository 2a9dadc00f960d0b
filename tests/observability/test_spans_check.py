from __future__ import annotations

from pathlib import Path

from penstock.observability.spans_check import LATE_SECONDS, check, found
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.questions import Condition


async def test_a_house_without_a_store_of_spans_says_how_to_have_one() -> None:
    (finding,) = await check(lambda: None)()
    assert (finding.name, finding.status) == ("spans", "off")
    assert "penstock[telemetry]" in finding.what


async def test_the_store_that_there_is_is_looked_at(tmp_path: Path) -> None:
    store = EmbeddedTelemetry(tmp_path / "telemetry")
    (finding,) = await check(lambda: store)()
    assert (finding.status, finding.what) == ("ok", f"{tmp_path}/telemetry: 0.0 MB")


def test_what_has_waited_for_long_or_was_set_aside_is_a_warning_with_what_to_do() -> None:
    soon = Condition(where="here", bytes=2_500_000_000, waiting=1, waiting_seconds=LATE_SECONDS)
    (finding,) = found(soon)
    assert (finding.status, finding.what) == ("ok", "here: 2.5 GB, 1 batch waits to be stored, the oldest for 10 min")

    late, aside = found(Condition(where="here", bytes=1, waiting=3, waiting_seconds=LATE_SECONDS + 60, set_aside=2))
    assert (late.status, aside.status) == ("warn", "warn")
    assert "3 batches wait" in late.what
    assert late.mend is not None
    assert "penstock up" in late.mend
    assert aside.mend is not None
    assert "here/inbox/*.unreadable" in aside.mend

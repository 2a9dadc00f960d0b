"""Releases found in spans."""

from __future__ import annotations

from pathlib import Path

from tests.observability.health.conftest import FROM, HOUR, call

from penstock.observability.health.marks import ReleaseMarks
from penstock.storage.telemetry.store import open_telemetry


async def test_a_release_is_told_once_and_a_services_first_not_at_all(tmp_path: Path) -> None:
    store = open_telemetry("", tmp_path, memory_mb=128)
    await store.start()
    spans = [call(FROM + n * 600, service="desk", release="1" if n < 9 else "2") for n in range(18)]
    spans += [call(FROM + 2 * HOUR, service="fresh", release="1"), call(FROM + HOUR, service="none")]
    spans += [call(FROM + HOUR, service="desk", release="9", organisation="org_b")]
    await store.append(spans, "batch")
    await store.flush()
    marks = ReleaseMarks(lambda: store)
    found = await marks.marks("org_a", FROM, FROM + 3 * HOUR)
    assert [(one.kind, one.title) for one in found] == [("release", "desk 2")]
    assert abs(found[0].at - (FROM + 5400)) <= 60
    assert found[0].href.startswith("/console/traces?service=desk&release=2&since=")
    later = await marks.marks("org_a", FROM + 6000, FROM + 3 * HOUR)
    assert later == []
    assert await marks.marks("org_a", FROM, FROM) == ()
    await store.close()


async def test_without_a_store_there_are_none() -> None:
    assert await ReleaseMarks(lambda: None).marks(None, 0, 1) == ()

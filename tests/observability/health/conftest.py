from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.storage.telemetry.conftest import a_span

from penstock.kernel.measures import Asked
from penstock.observability.health.measured import SpanMeasures
from penstock.storage.telemetry.span import Span
from penstock.storage.telemetry.store import TelemetryStore, open_telemetry

SECOND = 10**9
HOUR = 3600
FROM = 1_800_000_000 // HOUR * HOUR


def call(at: float, took_ms: float = 100.0, **said: object) -> Span:
    start = int(at * SECOND)
    return a_span(start_ns=start, end_ns=start + int(took_ms * 1e6), **said)


def asked(**said: object) -> Asked:
    return Asked(**{"organisation": "org_a", "since": FROM, "until": FROM + 3 * HOUR, "step": HOUR, **said})  # type: ignore[arg-type]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TelemetryStore]:
    opened = open_telemetry("", tmp_path_factory.mktemp("spans"), memory_mb=128)
    await opened.start()
    spans = [call(FROM + n, 100 + n, model="big", first_token_ns=20 * 10**6, cost_micros=2_000_000) for n in range(8)]
    spans += [call(FROM + 10 + n, 900, model="small", status="failed", error_code="timeout", cost_micros=0) for n in range(2)]
    spans += [call(FROM + 2 * HOUR + n, 50, model="small", verdict="block", status="refused", task="other") for n in range(4)]
    spans += [call(FROM + 2 * HOUR + 10, 50, model="rare", verdict="block", flagged=True)]
    spans += [call(FROM, 5000, organisation="org_b"), call(FROM, 5000, kind="tool")]
    await opened.append(spans, "batch")
    await opened.flush()
    yield opened
    await opened.close()


@pytest.fixture
def source(store: TelemetryStore) -> SpanMeasures:
    return SpanMeasures(lambda: store)

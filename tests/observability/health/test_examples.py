"""The calls behind a figure, found in the embedded store itself."""

from __future__ import annotations

import pytest
from tests.observability.health.conftest import FROM, asked

from penstock.observability.health.measured import SpanMeasures


@pytest.mark.asyncio(loop_scope="module")
async def test_the_calls_behind_a_figure(source: SpanMeasures) -> None:
    slow = await source.examples("latency_p95_ms", asked(), 3)
    assert [e.value for e in slow] == [900.0, 900.0, 107.0]
    assert slow[0].why == "failed, answer, small, timeout"
    assert slow[0].href.startswith("/console/traces/0")
    assert [e.at for e in await source.examples("error_rate", asked())] == [FROM + 11, FROM + 10]
    assert len(await source.examples("blocked_rate", asked(), 10)) == 5
    assert len(await source.examples("flagged_rate", asked())) == 1
    assert [e.value for e in await source.examples("spend_usd", asked(), 2)] == [2.0, 2.0]
    assert (await source.examples("first_token_p95_ms", asked(), 1))[0].value == 20.0
    assert len(await source.examples("calls", asked(), 2)) == 2
    assert await source.examples("latency_p95_ms", asked(organisation="org_c")) == []

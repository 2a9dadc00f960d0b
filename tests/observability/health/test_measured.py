"""Measures of spans, asked of the embedded store itself."""

from __future__ import annotations

import pytest
from tests.observability.health.conftest import FROM, HOUR, asked

from penstock.kernel.errors import RequestError, StorageError
from penstock.kernel.measures import MeasureSources
from penstock.observability.health.measured import FIGURES, REST, SpanMeasures


@pytest.mark.asyncio(loop_scope="module")
async def test_several_measures_at_once_by_step(source: SpanMeasures) -> None:
    found = await source.readings(["calls", "error_rate", "spend_usd", "blocked_rate", "first_token_p50_ms", "latency_p50_ms"], asked())
    assert [(r.at, r.value) for r in found["calls"]] == [(FROM, 10.0), (FROM + 2 * HOUR, 5.0)]
    assert [r.value for r in found["error_rate"]] == [0.2, 0.0]
    assert [r.value for r in found["blocked_rate"]] == [0.0, 1.0]
    assert found["spend_usd"][0].value == 16.0
    assert found["first_token_p50_ms"][0].value == pytest.approx(20, rel=0.01)
    assert found["first_token_p50_ms"][1].value is None
    assert found["latency_p50_ms"][0].value == pytest.approx(104, rel=0.02)
    assert {r.count for r in found["error_rate"]} == {10, 5}
    assert found["error_rate"][0].low is None


@pytest.mark.asyncio(loop_scope="module")
async def test_groups_and_what_is_not_among_the_largest(source: SpanMeasures) -> None:
    found = await source.readings(["blocked_rate", "calls"], asked(by="model", groups=2))
    assert {(r.at, r.group): r.value for r in found["calls"]} == {
        (FROM, "big"): 8.0,
        (FROM, "small"): 2.0,
        (FROM + 2 * HOUR, "small"): 4.0,
        (FROM + 2 * HOUR, REST): 1.0,
    }
    assert {(r.at, r.group): r.value for r in found["blocked_rate"]}[(FROM + 2 * HOUR, REST)] == 1.0


@pytest.mark.asyncio(loop_scope="module")
async def test_a_period_that_begins_within_a_step(source: SpanMeasures) -> None:
    found = await source.readings(["calls"], asked(since=FROM + 5))
    assert [(r.at, r.value) for r in found["calls"]] == [(FROM, 5.0), (FROM + 2 * HOUR, 5.0)]
    found = await source.readings(["calls"], asked(since=FROM + 2 * HOUR + 2, until=FROM + 2 * HOUR + 4))
    assert [(r.at, r.value) for r in found["calls"]] == [(FROM + 2 * HOUR, 2.0)]


@pytest.mark.asyncio(loop_scope="module")
async def test_reach_kind_and_narrowing(source: SpanMeasures) -> None:
    async def calls(**said: object) -> float:
        return sum(r.value or 0 for r in (await source.readings(["calls"], asked(**said)))["calls"])

    assert await calls() == 15
    assert await calls(organisation=None) == 16
    assert await calls(equal={"kind": ("tool",)}) == 1
    assert await calls(equal={"task": ("other", "unheard of")}) == 4
    assert await calls(organisation="org_c") == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_what_cannot_be_asked(source: SpanMeasures) -> None:
    with pytest.raises(RequestError, match="'colour'"):
        await source.readings(["calls"], asked(by="colour"))
    with pytest.raises(RequestError, match="'colour'"):
        await source.examples("calls", asked(equal={"colour": ("red",)}))
    for step in (1.0, 0.0):
        with pytest.raises(RequestError, match="2000 steps"):
            await source.readings(["calls"], asked(step=step))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", sorted(FIGURES))
async def test_every_measure_has_an_answer_and_says_what_it_is(source: SpanMeasures, name: str) -> None:
    found = await MeasureSources([source]).readings([name], asked())
    assert [r.count for r in found[name]] == [10, 5]
    for example in await source.examples(name, asked()):
        assert FROM <= example.at < FROM + 3 * HOUR


async def test_without_a_store_there_are_none() -> None:
    source = SpanMeasures(lambda: None)
    assert source.measures == ()
    with pytest.raises(StorageError, match=r"storage\.telemetry"):
        await source.readings(["calls"], asked())

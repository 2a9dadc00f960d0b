"""Spans go when the settings say so, from the embedded store itself; figures are told; a store in trouble is asked again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.storage.telemetry.conftest import DAY, NOW, a_span, said

from penstock.kernel.errors import StorageError
from penstock.observability.settings import SpanRetention, SpansSettings
from penstock.observability.spans_kept import SpansKept, rules_of
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.store import TelemetryStore, open_telemetry


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[TelemetryStore]:
    opened = open_telemetry("", tmp_path)
    await opened.start()
    yield opened
    await opened.close()


async def kept(store: TelemetryStore) -> set[str]:
    return {span.name for span in (await store.search(Filter())).spans}


async def test_each_organisation_has_its_time_and_what_matters_has_longer(store: TelemetryStore) -> None:
    settings = SpansSettings(
        days=10, interesting_days=20, payload_days=5, organisations={"org_b": SpanRetention(days=2, interesting_days=2)}
    )
    spans = SpansKept(lambda: store, rules_of(settings), clock_ns=lambda: NOW)
    ages = {"new": 1, "old": 11, "older": 21}
    await store.append(
        [
            a_span(name=f"{name} {status}", status=status, start_ns=NOW - age * DAY)
            for name, age in ages.items()
            for status in ("ok", "failed")
        ]
        + [a_span(name="theirs", organisation="org_b", start_ns=NOW - 3 * DAY)]
        + [a_span(name="with text", start_ns=NOW - 6 * DAY, payload=said("a prompt"))],
        "batch",
    )
    await store.flush()
    assert list(spans.metrics()) == []
    await spans.look()
    assert await kept(store) == {"new ok", "new failed", "old failed", "with text"}
    told = {metric.name: metric.samples[0][1] for metric in spans.metrics()}
    assert told["penstock_spans"] == 4
    assert told["penstock_spans_expired"] == 4
    assert told["penstock_spans_payloads"] == 0
    assert told["penstock_spans_bytes"] > 0


async def test_who_has_no_rules_takes_nothing_away(store: TelemetryStore) -> None:
    await store.append([a_span(name="ancient", start_ns=NOW - 4000 * DAY)], "batch")
    await store.flush()
    spans = SpansKept(lambda: store, (), clock_ns=lambda: NOW)
    await spans.look()
    assert await kept(store) == {"ancient"}
    assert spans.facts is not None
    assert spans.facts.spans == 1


def test_rules_never_keep_what_matters_for_less_than_the_rest() -> None:
    (rule,) = rules_of(SpansSettings(days=100, costly_usd=0.25))
    assert (rule.span_days, rule.keep_days, rule.costly_micros, rule.organisation) == (100, 100, 250_000, None)


@pytest.mark.parametrize("fault", [StorageError("the disk is away"), FileNotFoundError("a file that was there a moment ago")])
async def test_a_store_in_trouble_is_told_once_and_asked_again(
    store: TelemetryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    facts, asked = store.facts, 0

    async def troubled() -> object:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise fault
        return await facts()

    monkeypatch.setattr(store, "facts", troubled)
    monkeypatch.setattr("penstock.observability.spans_kept.LOOK_SECONDS", 0.0)
    spans = SpansKept(lambda: store, ())
    with caplog.at_level(logging.WARNING, "penstock.observability"):
        await spans.start()
        seen: list[float] = []
        while spans.facts is None or seen[-1]:
            await asyncio.sleep(0)
            seen += [one.samples[0][1] for one in spans.metrics() if one.name == "penstock_spans_unanswered"]
        await spans.stop()
    assert 1.0 in seen
    assert [record.message for record in caplog.records] == ["the store of spans is not looked after"]


async def test_without_a_store_there_is_nothing_to_do() -> None:
    spans = SpansKept(lambda: None, rules_of(SpansSettings()))
    await spans.start()
    await spans.look()
    await spans.stop()
    assert list(spans.metrics()) == []

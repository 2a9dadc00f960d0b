from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from tests.observability.otlp.exports import NOW, a_span, request
from tests.observability.otlp.keeping import Keeping

from penstock.kernel.call import Usage
from penstock.kernel.errors import BodyTooLarge, Forbidden, LimitExceeded, Overloaded, StorageFull, Unavailable
from penstock.kernel.principal import Principal, Scope
from penstock.observability.otlp.answer import PROTOBUF
from penstock.observability.otlp.intake import Intake, clean
from penstock.observability.redaction import Redactor
from penstock.observability.settings import ObservabilitySettings, OtlpSettings
from penstock.storage.telemetry.span import Payload, Span
from penstock.storage.telemetry.store import TelemetryStore

ANN = Principal(key_id="k1", name="ann's", organisation="one", person="ann")
BEN = Principal(key_id="k2", name="ben's", organisation="two")
ROOM = OtlpSettings(max_body_bytes=5000, waiting_bytes=3000)


class Slow(Keeping):
    """A store that is as full as its test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def append(self, spans: Sequence[Span], batch: str) -> None:
        self.begun.set()
        await self.go.wait()
        await super().append(spans, batch)


class List:
    """A price list with one price."""

    def estimate(self, provider: str, model: str, usage: Usage) -> int | None:
        return usage.total if model == "m" else None


def intake(store: Keeping | None, otlp: OtlpSettings | None = None, **settings: Any) -> Intake:
    whole = ObservabilitySettings(otlp=otlp or OtlpSettings(), **settings)
    return Intake(whole, Redactor(), lambda: cast("TelemetryStore | None", store), lambda: List(), lambda: NOW)


def export(*spans: dict[str, Any]) -> bytes:
    return request(*(spans or (a_span(),))).SerializeToString()


async def test_an_export_is_stored_before_it_is_acknowledged() -> None:
    store = Slow()
    taking = intake(store)
    task = asyncio.create_task(taking.take(ANN, export(), "", PROTOBUF))
    await store.begun.wait()
    assert not task.done()
    store.go.set()
    taken = await task
    assert (taken.stored, taken.refused, taken.message, len(store.spans)) == (1, 0, "", 1)


async def test_an_export_sent_again_is_stored_once_but_not_anothers() -> None:
    store = Keeping()
    taking = intake(store)
    for who in (ANN, ANN, BEN):
        await taking.take(who, export(), "", PROTOBUF)
    assert [(span.organisation, span.person, span.key) for span in store.spans] == [("one", "ann", "k1"), ("two", "", "k2")]


async def test_costs_come_from_the_list_of_prices() -> None:
    store = Keeping()
    counts = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4}
    spans = [a_span(counts | {"gen_ai.request.model": model}, id=n + 1) for n, model in enumerate("mx")]
    await intake(store).take(ANN, export(*spans), "", PROTOBUF)
    assert [(span.cost_micros, "cost_estimated" in span.attributes) for span in store.spans] == [(7, True), (None, False)]


async def test_one_organisation_leaves_room_for_the_others() -> None:
    store = Slow()
    taking = intake(store, ROOM)
    body = export(a_span({"x": "y" * 900}))
    first = asyncio.create_task(taking.take(ANN, body, "", PROTOBUF))
    await store.begun.wait()
    with pytest.raises(LimitExceeded) as mine:
        await taking.take(ANN, body, "", PROTOBUF)
    second = asyncio.create_task(taking.take(BEN, body, "", PROTOBUF))
    await asyncio.sleep(0)
    third = Principal(key_id="k3", name="c", organisation="three")
    with pytest.raises(Overloaded) as all_:
        await taking.take(third, body, "", PROTOBUF)
    assert (mine.value.retry_after, all_.value.retry_after) == (1.0, 1.0)
    store.go.set()
    await asyncio.gather(first, second)
    await taking.take(ANN, body, "", PROTOBUF)  # there is room again
    assert dict(taking.of("one").failures) == {"rate_limit_exceeded": 1}
    assert taking.of(None).failures.total() == 2


async def test_what_may_not_be_taken_is_not_read() -> None:
    store = Keeping()
    taking = intake(store, ROOM)
    reader = Principal(key_id="r", name="r", organisation="one", scopes=frozenset({Scope.READ}))
    with pytest.raises(Forbidden, match="lacks the scope 'call'"):
        await taking.take(reader, export(), "", PROTOBUF)
    with pytest.raises(BodyTooLarge):
        await taking.take(ANN, b"x" * 5001, "", PROTOBUF)
    with pytest.raises(Unavailable, match="no telemetry store"):
        await intake(None).take(ANN, export(), "", PROTOBUF)


async def test_a_store_that_refuses_leaves_nothing_counted_as_stored() -> None:
    store = Keeping()
    store.fault = StorageFull("no room", retry_after=1)
    taking = intake(store)
    with pytest.raises(StorageFull):
        await taking.take(ANN, export(), "", PROTOBUF)
    assert (taking.figures.stored, dict(taking.figures.failures)) == (0, {"storage_full": 1})
    assert {metric.name: metric.samples[0][1] for metric in taking.metrics()}["penstock_otlp_waiting_bytes"] == 0


async def test_others_get_their_turn_while_a_large_export_is_read() -> None:
    store = Keeping()
    task = asyncio.create_task(intake(store).take(ANN, export(*(a_span(id=n + 1) for n in range(500))), "", PROTOBUF))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 20
    assert len(store.spans) == 500


@pytest.mark.parametrize(("mode", "stored"), [("full", "sk-"), ("redacted", "[redacted: api-key]"), ("none", None)])
async def test_prompts_are_kept_as_the_settings_say(mode: str, stored: str | None) -> None:
    store = Keeping()
    await intake(store, payloads=mode).take(ANN, export(a_span({"input.value": "sk-" + "a1" * 20})), "", PROTOBUF)
    payload = store.spans[0].payload
    assert (payload is None) if stored is None else (payload is not None and payload.input.startswith(stored))


def test_only_what_is_suspected_is_cleaned() -> None:
    secret = "sk-" + "a1" * 20
    spans = [Span(trace_id="t", span_id=str(n), start_ns=0, end_ns=0, name="fine", payload=Payload(input=f"x {n}")) for n in range(3)]
    clean(spans, Redactor())
    assert [span.payload for span in spans] == [Payload(input=f"x {n}") for n in range(3)]
    spans[1].message, spans[2].events = f"it was {secret}", f'[{{"name":"{secret}"}}]'
    clean(spans, Redactor())
    assert (spans[1].message, spans[2].events) == ("it was [redacted: api-key]", '[{"name":"[redacted: api-key]"}]')


async def test_a_large_export_is_appended_in_pieces_which_are_the_same_the_next_time() -> None:
    store = Keeping()
    taking = intake(store, payload_max_bytes=1 << 20)
    body = export(*(a_span({"input.value": "x" * 120_000}, id=n + 1) for n in range(100)))
    for _ in range(2):
        assert (await taking.take(ANN, body, "", PROTOBUF)).stored == 100
    assert [span.span_id for span in store.spans] == [f"{n + 1:016x}" for n in range(100)]
    assert len(store.batches) == 3

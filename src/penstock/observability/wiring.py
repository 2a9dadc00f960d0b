"""How the parts of observability are put together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from penstock.kernel.beside import Beside
from penstock.kernel.capability import Check, Finding, House, Offer, joined
from penstock.kernel.events import CallEnded, RunEnded, StepEnded
from penstock.kernel.evidence import CallRecords
from penstock.kernel.ports import AllPersonalRecords, Authenticator, Metric, MetricSources, Peers
from penstock.kernel.principal import Scope
from penstock.kernel.recall import Prices
from penstock.kernel.seat import Seat
from penstock.kernel.web import NavItem
from penstock.observability.access.erasing import Erasing
from penstock.observability.access.routes import access_routes
from penstock.observability.access.service import PayloadAccess
from penstock.observability.beside import Assistant
from penstock.observability.health.wiring import health
from penstock.observability.live import SPANS, SPANS_TOPIC, Live
from penstock.observability.metrics import CallMeasures, Exposition
from penstock.observability.otlp.grpc import GrpcIn
from penstock.observability.otlp.http import TracesIn
from penstock.observability.otlp.intake import Intake
from penstock.observability.otlp.routes import intake_routes
from penstock.observability.otlp.through import Through
from penstock.observability.out.check import check as otel_check
from penstock.observability.out.destination import destinations
from penstock.observability.out.outgoing import Outgoing
from penstock.observability.own.outbox import Outbox
from penstock.observability.pages import pages
from penstock.observability.payloads import PayloadKeeper, keep_bytes
from penstock.observability.record import RecordStage
from penstock.observability.recorded import Recorded
from penstock.observability.recorder import Recorder
from penstock.observability.redaction import Redactor
from penstock.observability.routes import routes
from penstock.observability.service import Questions
from penstock.observability.settings import ObservabilitySettings
from penstock.observability.spans_check import check as spans_check
from penstock.observability.spans_kept import SpansKept, rules_of
from penstock.observability.traces.wiring import trace_parts
from penstock.storage.records import Records
from penstock.storage.telemetry.span import Span
from penstock.storage.telemetry.store import TelemetryStore


def wire(house: House) -> Offer:
    """Build observability inside ``house``."""
    settings = house.settings(ObservabilitySettings)
    records = house.ports.get(Records)
    redactor = Redactor(emails=settings.redact_emails, phones=settings.redact_phones, patterns=settings.redact_patterns)
    keeper = PayloadKeeper(settings.payloads, settings.payload_max_bytes, redactor)
    receivers = destinations(settings, os.environ)
    out = [Outgoing(settings, receivers, redactor)] if receivers else []
    onward = next((one.ours for one in out if one.wanted(lambda terms: terms.calls)), None)
    forward = next((one.forward for one in out if one.wanted(lambda terms: terms.forward)), None)
    arrivals = Live(event=SPANS, topic=SPANS_TOPIC)
    own = Outbox(lambda: house.ports.find(TelemetryStore), settings, redactor, onward, arrivals.came_of)
    through = Through() if own.wanted else None
    if through is not None:
        house.events.subscribe(CallEnded, through.ended)
        house.events.subscribe(RunEnded, own.run_ended)
        house.events.subscribe(StepEnded, own.step_ended)
    beside = house.ports.find(Beside) if settings.beside else None
    recorder = Recorder(records, settings, redactor, keeper, own, Assistant(beside, settings) if beside is not None else None)
    questions = Questions(records, recorder.flush)
    access = PayloadAccess(records, Scope(settings.payload_scope))

    async def flush() -> None:
        await recorder.flush()
        await own.flush()

    others = house.ports.find(AllPersonalRecords)  # rooms that are opened later add themselves
    erasing = Erasing(records, lambda: house.ports.find(TelemetryStore), flush, () if others is None else others)
    measures = CallMeasures(settings.metrics_series)
    live = Live()
    house.events.subscribe(CallEnded, measures.ended)
    house.events.subscribe(CallEnded, live.ended)
    exposition = Exposition(measures)
    peers = house.ports.find(Peers)
    if peers is not None:
        live.join(peers)
        arrivals.join(peers)
        exposition.serve(lambda: house.ports.get(MetricSources), peers)

    def came(spans: Sequence[Span]) -> None:
        arrivals.came(spans)
        if forward is not None:
            forward(spans)

    store, prices = (lambda: house.ports.find(TelemetryStore)), (lambda: house.ports.find(Prices))
    intake = Intake(settings, redactor, store, prices, forward=came, through=through)
    traces = TracesIn(intake, lambda: house.ports.get(Authenticator), settings.otlp.max_body_bytes)
    grpc = [GrpcIn(intake, lambda: house.ports.get(Authenticator), settings.otlp)] if settings.otlp.grpc_port is not None else []
    seat = house.ports.find(Seat)
    # One of several workers takes spans away; all tell how many there are.
    rules = rules_of(settings.spans) if seat is None or seat.index == 0 else ()
    spans = SpansKept(lambda: house.ports.find(TelemetryStore), rules)
    keep = keep_bytes(settings.payloads, settings.payload_max_bytes)
    return joined(
        Offer(
            stages=(RecordStage(recorder, house.events, keep),),
            endpoints=(traces.endpoint(),),
            routes=(*routes(questions, house.ports, access), *access_routes(access, erasing), *intake_routes(intake)),
            pages=pages(house.ports, questions, exposition, live, recorder.drops, access, metrics_open=settings.metrics_open),
            nav=(
                NavItem("Overview", "/console/", "overview", "Observe", 10, "o"),
                NavItem("Calls", "/console/calls", "calls", "Observe", 20, "c"),
            ),
            services=(*out, own, recorder, *grpc, spans),
            drains=(live, arrivals),
            checks=(_check(settings), spans_check(store), otel_check(receivers)),
            metrics=(_RecorderMetrics(recorder), own, *out, intake, spans),
            ports={CallRecords: Recorded(records, recorder.flush, redactor, settings.payloads, access)},
        ),
        health(house),
        trace_parts(house, arrivals, intake, redactor.text if settings.payloads != "full" else str, access),
    )


class _RecorderMetrics:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def metrics(self) -> Iterable[Metric]:
        recorder = self._recorder
        yield Metric(
            name="penstock_records_waiting", help="Finished calls not stored yet.", kind="gauge", samples=(({}, recorder.waiting),)
        )
        yield Metric(name="penstock_records_stored", help="Calls stored.", kind="counter", samples=(({}, recorder.stored),))
        drops = tuple(({"reason": reason}, float(count)) for reason, count in sorted(recorder.drops.items()))
        yield Metric(
            name="penstock_records_dropped",
            help="Calls or payloads dropped because the queue was full.",
            kind="counter",
            samples=drops or (({"reason": "queue_full"}, 0.0),),
        )


def _check(settings: ObservabilitySettings) -> Check:
    async def check() -> Sequence[Finding]:
        kept = f"payloads {settings.payloads}, calls for {settings.call_retention_days:g} days"
        return [Finding(name="records of calls", status="ok", what=kept)]

    return check

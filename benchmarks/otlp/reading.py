"""What reading a span costs: our scan, our whole way to a stored span, and OpenTelemetry's classes on protobuf's own runtime."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from penstock.observability.otlp.intake import clean
from penstock.observability.otlp.mend import mend
from penstock.observability.otlp.normalise import Normaliser, Owner
from penstock.observability.otlp.protobuf import Reader
from penstock.observability.otlp.sent import Limits, Sent, Tally
from penstock.observability.otlp.table import Table
from penstock.observability.redaction import Redactor

_limits, _table, _redactor, _owner = Limits(), Table(), Redactor(), Owner("org")


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(one) for one in value.array_value.values]
    if which == "kvlist_value":
        return {one.key: _value(one.value) for one in value.kvlist_value.values}
    return getattr(value, which) if which else None


def parse_only(body: bytes) -> None:
    """Protobuf's runtime, without looking at anything."""
    ExportTraceServiceRequest.FromString(body)


def opentelemetry(body: bytes) -> int:
    """The same facts as `ours`, from OpenTelemetry's classes."""
    found: list[Any] = []
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scoped in group.scope_spans:
            for span in scoped.spans:
                found.append(
                    (
                        span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.name, span.kind,
                        span.start_time_unix_nano, span.end_time_unix_nano,
                        {pair.key: _value(pair.value) for pair in span.attributes},
                        [(one.name, one.time_unix_nano) for one in span.events],
                        [one.span_id for one in span.links], span.status.code, span.status.message,
                    )
                )  # fmt: skip
    return len(found)


def _read(body: bytes, tally: Tally) -> list[Sent]:
    return [one for one in Reader(body, _limits, tally).spans() if one is not None]


def ours(body: bytes) -> int:
    """Our scan."""
    return len(_read(body, Tally()))


def whole(body: bytes) -> int:
    """From bytes to spans that are ready to be stored: read, mended, normalised, priced, cleaned of secrets."""
    tally = Tally()
    kept = mend(_read(body, tally), time.time_ns(), 60 * 10**9, tally)
    normaliser = Normaliser(_table, _owner, tally, lambda provider, model, usage: usage.total)
    for at in range(0, len(kept), 50):
        clean([normaliser.span(one) for one in kept[at : at + 50]], _redactor)
    return len(kept)


CONTESTANTS: dict[str, Callable[[bytes], Any]] = {
    "protobuf parse alone": parse_only,
    "opentelemetry-proto, read": opentelemetry,
    "penstock, read": ours,
    "penstock, read to stored form": whole,
}


def measure(bodies: list[bytes], spans: int, rounds: int) -> dict[str, float]:
    """Microseconds of CPU a span, the best of interleaved rounds: the machine's other work only ever adds."""
    best = dict.fromkeys(CONTESTANTS, float("inf"))
    for _ in range(rounds):
        for name, read in CONTESTANTS.items():
            begin = time.process_time()
            for body in bodies:
                read(body)
            best[name] = min(best[name], (time.process_time() - begin) / (spans * len(bodies)) * 1e6)
    return best

"""Exports as senders make them, with OpenTelemetry's own classes."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from penstock.observability.otlp.normalise import Normaliser, Owner, Price
from penstock.observability.otlp.protobuf import Reader
from penstock.observability.otlp.sent import Limits, Sent, Tally
from penstock.observability.otlp.table import Table
from penstock.storage.telemetry.span import Span

TRACE = "0af7651916cd43dd8448eb211c80319c"
NOW = 1_800_000_000_000_000_000
OWNER = Owner("org", "team", "project", "", "key")


def value(into: AnyValue, given: Any) -> None:
    """Say ``given`` in an AnyValue; None leaves it empty."""
    if isinstance(given, bool):
        into.bool_value = given
    elif isinstance(given, str):
        into.string_value = given
    elif isinstance(given, int):
        into.int_value = given
    elif isinstance(given, float):
        into.double_value = given
    elif isinstance(given, bytes):
        into.bytes_value = given
    elif isinstance(given, list):
        into.array_value.SetInParent()
        for one in given:
            value(into.array_value.values.add(), one)
    elif isinstance(given, dict):
        into.kvlist_value.SetInParent()
        for name, one in given.items():
            pair = into.kvlist_value.values.add()
            pair.key = name
            value(pair.value, one)


def say(into: Any, attributes: dict[str, Any]) -> None:
    """Add attributes."""
    for name, one in attributes.items():
        pair = into.add()
        pair.key = name
        value(pair.value, one)


def a_span(attributes: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """What `request` makes a span of; ``events`` are names with their attributes."""
    return {"id": 1, "parent": 0, "name": "a span", "start": NOW - 10**9, "end": NOW, "attributes": attributes or {}, **fields}


def request(*spans: dict[str, Any], resource: dict[str, Any] | None = None, scope: str = "a.library") -> ExportTraceServiceRequest:
    """An export with one resource and one library."""
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    say(group.resource.attributes, resource if resource is not None else {"service.name": "agent", "service.version": "1.2"})
    scoped = group.scope_spans.add()
    scoped.scope.name, scoped.scope.version = scope, "3"
    for told in spans:
        span = scoped.spans.add()
        span.trace_id = bytes.fromhex(told.get("trace", TRACE))
        span.span_id = told["id"].to_bytes(8, "big")
        if told["parent"]:
            span.parent_span_id = told["parent"].to_bytes(8, "big")
        span.name, span.kind = told["name"], 3
        span.start_time_unix_nano, span.end_time_unix_nano = told["start"], told["end"]
        say(span.attributes, told["attributes"])
        for name, attributes in told.get("events", ()):
            event = span.events.add()
            event.name, event.time_unix_nano = name, told["start"]
            say(event.attributes, attributes)
        span.status.code, span.status.message = told.get("status", 0), told.get("message", "")
    return made


def read(data: bytes, limits: Limits | None = None) -> tuple[list[Sent], Tally]:
    """What the scan makes of an export."""
    tally = Tally()
    return [one for one in Reader(data, limits or Limits(), tally).spans() if one is not None], tally


def normal(
    attributes: dict[str, Any], *, price: Price | None = None, resource: dict[str, Any] | None = None, owner: Owner = OWNER, **fields: Any
) -> Span:
    """A span with these attributes, normalised."""
    (sent,), tally = read(request(a_span(attributes, **fields), resource=resource).SerializeToString())
    return Normaliser(Table(), owner, tally, price).span(sent)

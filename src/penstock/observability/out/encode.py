"""Spans as the bytes of an export, in OTLP's protobuf.

https://opentelemetry.io/docs/specs/otlp/. Made with OpenTelemetry's own generated classes, which come with the extra ``otel``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, cast

import msgspec

from penstock.observability.otlp.intake import clean
from penstock.observability.out.words import CONVENTIONS
from penstock.observability.own.calls import SERVICE
from penstock.observability.redaction import Redactor
from penstock.observability.settings import OtelDestination
from penstock.storage.telemetry.span import Span

OURS = "penstock."
"""How the source of our own spans begins. A gateway's call is answered for somebody, and an attempt asks a provider."""

BRIEF = 256
"""Characters of an attribute that goes out where prompts and replies do not: a longer one may be made of them."""

_INTERNAL, _SERVER, _CLIENT = 1, 2, 3
_ERROR = 2
_ASKING = frozenset({"call", "embedding", "rerank"})
_WHOLE = 1 << 63


def encoder(terms: OtelDestination, redactor: Redactor | None = None) -> Encoder:
    """What makes exports for a destination, with secrets replaced by ``redactor``. Raises `ImportError` without the extra."""
    traces: Any = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    # 20 ms and more to import, and only who sends spans needs it.
    return Encoder(terms, traces.ExportTraceServiceRequest, redactor)


class Encoder:
    """Makes exports by the terms of one destination; may be used from any thread."""

    def __init__(self, terms: OtelDestination, request: Any, redactor: Redactor | None) -> None:
        self._terms = terms
        self._request = request
        self._redactor = redactor
        self._words = CONVENTIONS[terms.convention]
        self._payloads = terms.payloads != "none"

    def encode(self, spans: Sequence[Span]) -> bytes:
        """An ``ExportTraceServiceRequest`` of these spans, grouped by resource and library."""
        if self._redactor is not None:
            spans = [copy(span) for span in spans]
            clean(spans, self._redactor)
        export = self._request()
        groups: dict[tuple[str, str, str, str], Any] = {}
        scopes: dict[tuple[str, str, str, str, str], Any] = {}
        for span in spans:
            whose = (span.resource, span.service, span.release, span.environment)
            group = groups.get(whose)
            if group is None:
                group = groups[whose] = export.resource_spans.add()
                _say(group.resource.attributes, self._resource(span))
            scope = scopes.get((*whose, span.source))
            if scope is None:
                scope = scopes[*whose, span.source] = group.scope_spans.add()
                scope.scope.name, _, scope.scope.version = span.source.partition("@")
            self._span(scope.spans.add(), span)
        return export.SerializeToString()

    def _resource(self, span: Span) -> dict[str, Any]:
        found = _object(span.resource)
        found.pop("scope", None)
        ours = span.source.startswith(OURS) and span.service == SERVICE
        named = {
            "service.name": self._terms.service_name if ours else span.service,
            "service.version": span.release,
            "deployment.environment.name": span.environment,
        }
        return {**found, **{name: value for name, value in named.items() if value}, **self._terms.resource}

    def _span(self, made: Any, span: Span) -> None:
        made.trace_id = bytes.fromhex(span.trace_id)
        made.span_id = bytes.fromhex(span.span_id)
        if span.parent_id:
            made.parent_span_id = bytes.fromhex(span.parent_id)
        made.name = span.name or span.kind
        made.start_time_unix_nano, made.end_time_unix_nano = span.start_ns, span.end_ns
        ours = span.source.startswith(OURS)
        if span.kind in _ASKING:
            made.kind = _SERVER if ours else _CLIENT
        else:
            made.kind = _CLIENT if ours and span.provider else _INTERNAL
        payloads = self._payloads
        if span.status != "ok":
            made.status.code = _ERROR
            told = span.message if payloads else ""
            made.status.message = told or span.error_code or span.status
        attributes = _object(span.attributes)
        if not payloads:
            attributes = {name: value for name, value in attributes.items() if _brief(value)}
            if span.payload is not None:
                span = msgspec.structs.replace(span, payload=None)
        _say(made.attributes, {**attributes, **self._words(span)})
        for event in _objects(span.events):
            one = made.events.add()
            one.name, one.time_unix_nano = str(event.get("name", "")), int(event.get("at_ns", 0))
            told_attributes = cast("dict[str, Any]", event.get("attributes") or {})
            if not payloads:
                # An exception's words quote what went wrong, which may be a prompt.
                told_attributes = {name: value for name, value in told_attributes.items() if name == "exception.type"}
            _say(one.attributes, told_attributes)
        for link in _objects(span.links):
            trace, other = str(link.get("trace", "")), str(link.get("span", ""))
            if len(trace) == 32 and len(other) == 16:
                two = made.links.add()
                two.trace_id, two.span_id = bytes.fromhex(trace), bytes.fromhex(other)
                _say(two.attributes, cast("dict[str, Any]", link.get("attributes") or {}) if payloads else {})


def _brief(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= BRIEF
    return isinstance(value, bool | int | float)


def _object(text: str) -> dict[str, Any]:
    return cast("dict[str, Any]", msgspec.json.decode(text)) if text else {}


def _objects(text: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", msgspec.json.decode(text)) if text else []


def _say(into: Any, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        if value is not None:
            pair = into.add()
            pair.key = name
            _value(pair.value, value)


def _value(into: Any, value: Any) -> None:
    if isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, str):
        # Half a pair of surrogates is no text that protobuf takes.
        into.string_value = value if value.isascii() else value.encode("utf-8", "replace").decode()
    elif isinstance(value, int) and -_WHOLE <= value < _WHOLE:
        into.int_value = value
    elif isinstance(value, int | float):
        into.double_value = float(value)
    elif isinstance(value, list):
        into.array_value.SetInParent()
        for one in cast("list[Any]", value):
            _value(into.array_value.values.add(), one)
    elif isinstance(value, dict):
        into.kvlist_value.SetInParent()
        _say(into.kvlist_value.values, cast("dict[str, Any]", value))

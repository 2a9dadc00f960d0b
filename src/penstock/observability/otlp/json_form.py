"""Reading an ``ExportTraceServiceRequest`` in JSON.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: ids in hexadecimal, whole numbers of 64
bits as text or number, enumerations as numbers; protobuf's own mapping would have base64 and names. Unknown fields are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from penstock.kernel.errors import MalformedRequest
from penstock.observability.otlp.sent import Attributes, Limits, Origin, Sent, SentEvent, SentLink, Tally

_Int = int | str


class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Int | None = None
    double_value: float | str | None = None
    array_value: _List | None = None
    kvlist_value: _Pairs | None = None
    bytes_value: str | None = None


class _List(msgspec.Struct):
    values: list[_Value | None] = []


class _Pair(msgspec.Struct):
    key: str = ""
    value: _Value | None = None


class _Pairs(msgspec.Struct):
    values: list[_Pair] = []


class _Event(msgspec.Struct, rename="camel"):
    time_unix_nano: _Int = 0
    name: str = ""
    attributes: list[_Pair] = []


class _Link(msgspec.Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    attributes: list[_Pair] = []


class _Status(msgspec.Struct):
    code: int | str = 0
    message: str = ""


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    kind: int | str = 0
    start_time_unix_nano: _Int = 0
    end_time_unix_nano: _Int = 0
    attributes: list[_Pair] = []
    events: list[_Event] = []
    links: list[_Link] = []
    status: _Status | None = None


class _Scope(msgspec.Struct):
    name: str = ""
    version: str = ""
    attributes: list[_Pair] = []


class _Resource(msgspec.Struct):
    attributes: list[_Pair] = []


class _ScopeSpans(msgspec.Struct):
    scope: _Scope | None = None
    spans: list[msgspec.Raw] = []


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] = []


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] = []


_request = msgspec.json.Decoder(_Request, strict=False)
_span = msgspec.json.Decoder(_Span)
_FAULTS = (msgspec.DecodeError, ValueError, RecursionError, OverflowError)


class JsonReader:
    """Reads one request, as `penstock.observability.otlp.protobuf.Reader` does."""

    def __init__(self, data: bytes, limits: Limits, tally: Tally) -> None:
        self._data = data
        self._limits = limits
        self._tally = tally
        self._room = 0

    def spans(self) -> Iterator[Sent | None]:
        """The spans in order; None for one that was refused. Raises `MalformedRequest`, before the first, when the rest is not sound."""
        try:
            request = _request.decode(self._data)
        except _FAULTS as fault:
            raise MalformedRequest(f"the body is not an ExportTraceServiceRequest in JSON: {str(fault)[:200]}") from fault
        return self._each(request)

    def _each(self, request: _Request) -> Iterator[Sent | None]:
        for group in request.resource_spans:
            self._room = self._limits.span_bytes
            resource = self._attributes(group.resource.attributes) if group.resource is not None else {}
            for scoped in group.scope_spans:
                scope = scoped.scope or _Scope()
                origin = Origin(resource, self._text(scope.name), self._text(scope.version), self._attributes(scope.attributes))
                for raw in scoped.spans:
                    self._tally.spans += 1
                    self._room = self._limits.span_bytes
                    try:
                        yield self._one(raw, origin)
                    except _FAULTS:
                        self._tally.refused["malformed_span"] += 1
                        yield None

    def _one(self, raw: msgspec.Raw, origin: Origin) -> Sent:
        told = _span.decode(raw)
        limits, repaired = self._limits, self._tally.repaired
        if (beyond := max(0, len(told.events) - limits.events) + max(0, len(told.links) - limits.events)) > 0:
            repaired["events_dropped"] += beyond
        status = told.status or _Status()
        return Sent(
            _id(told.trace_id),
            _id(told.span_id),
            _id(told.parent_span_id),
            self._text(told.name),
            told.kind if isinstance(told.kind, int) else 0,
            _nanoseconds(told.start_time_unix_nano),
            _nanoseconds(told.end_time_unix_nano),
            self._attributes(told.attributes),
            [
                SentEvent(self._text(one.name), _nanoseconds(one.time_unix_nano), self._attributes(one.attributes))
                for one in told.events[: limits.events]
            ],
            [
                SentLink(_id(one.trace_id)[:32], _id(one.span_id)[:16], self._attributes(one.attributes))
                for one in told.links[: limits.events]
            ],
            2 if status.code in (2, "STATUS_CODE_ERROR") else 0,
            self._text(status.message),
            origin,
        )

    def _attributes(self, pairs: Sequence[_Pair], depth: int = 0) -> Attributes:
        if len(pairs) > self._limits.attributes:
            self._tally.repaired["attributes_dropped"] += len(pairs) - self._limits.attributes
            pairs = pairs[: self._limits.attributes]
        return {self._text(pair.key): self._value(pair.value, depth) for pair in pairs}

    def _value(self, value: _Value | None, depth: int) -> Any:
        if value is None:
            return None
        if value.string_value is not None:
            return self._text(value.string_value)
        if value.int_value is not None:
            return _whole(value.int_value)
        if value.bool_value is not None:
            return value.bool_value
        if value.double_value is not None:
            return float(value.double_value)
        if value.bytes_value is not None:
            return self._text(value.bytes_value)
        if value.array_value is None and value.kvlist_value is None:
            return None
        if depth >= self._limits.depth:
            self._tally.repaired["too_deep"] += 1
            return None
        if value.kvlist_value is not None:
            return self._attributes(value.kvlist_value.values, depth + 1)
        values = value.array_value.values if value.array_value is not None else []
        if len(values) > self._limits.attributes:
            self._tally.repaired["attributes_dropped"] += len(values) - self._limits.attributes
        return [self._value(one, depth + 1) for one in values[: self._limits.attributes]]

    def _text(self, text: str) -> str:
        most = min(self._limits.text_bytes, self._room)
        if len(text) > most or (len(text) * 4 > most and len(text.encode("utf-8", "replace")) > most):
            text = text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
            self._tally.repaired["text_cut"] += 1
        self._room -= len(text)
        if "\0" in text:
            text = text.replace("\0", "\ufffd")
            self._tally.repaired["nul"] += 1
        return text


def _whole(value: _Int) -> int:
    number = int(value)
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError("a whole number has 64 bits")
    return number


def _nanoseconds(value: _Int) -> int:
    number = int(value)
    if not 0 <= number < 1 << 64:
        raise ValueError("a time has 64 bits and no sign")
    return number


def _id(text: str) -> str:
    if len(text) > 64:
        raise ValueError("an id has at most 16 bytes")
    # What is no hexadecimal becomes an id of no length, which is refused.
    return text.lower() if text.isascii() and not text.lower().strip("0123456789abcdef") else "0"

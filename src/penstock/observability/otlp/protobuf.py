"""Reading an ``ExportTraceServiceRequest`` in protobuf, by hand.

A runtime of protobuf takes 2 us to parse a span and 30 more to let Python look at its attributes (benchmarks/otlp), and refuses a whole
request for one wrong byte of text. This scan makes what we need in half of the time: most attributes are small and repeat (the name of
a model, of a host), so their encoded bytes are looked up whole in a bounded table of those seen before, and they are found by splitting a
span where one may begin.

https://protobuf.dev/programming-guides/encoding/ and opentelemetry/proto/trace/v1/trace.proto. Unknown fields are skipped, as protobuf
promises; groups, which it gave up, are malformed.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any

from penstock.kernel.errors import MalformedRequest
from penstock.observability.otlp.seen import SMALL, Pair, learn, plain, seen
from penstock.observability.otlp.sent import Attributes, Limits, Origin, Sent, SentEvent, SentLink, Tally
from penstock.observability.otlp.wire import Wrong, fields, skip, varint

_RUN = 16_384
_RUNS = 8
"""How long a span is at most that is split, and how often it is: what is worse is read field by field, at no more than that costs."""

_fixed64 = struct.Struct("<Q").unpack_from
_ids = struct.Struct("<2s16s2s8s").unpack_from
_times = struct.Struct("<BBBQBQ").unpack_from
_double = struct.Struct("<d").unpack_from
_SPAN_FAULTS = (IndexError, struct.error, ValueError, OverflowError)
"""What reading a span whose bytes are wrong comes to."""


class Reader:
    """Reads one request. What is repaired or refused on the way is counted in its ``tally``."""

    def __init__(self, data: bytes, limits: Limits, tally: Tally) -> None:
        self._data = data
        self._limits = limits
        self._tally = tally
        self._room = 0
        self._wrong = False

    def spans(self) -> Iterator[Sent | None]:
        """The spans in order; None for one that was refused. Raises `MalformedRequest` when the frame around them is not sound, at the
        latest before the first span is given: a request is read whole or not at all."""
        groups: list[tuple[int, int, list[tuple[int, int, int, int, list[tuple[int, int]]]]]] = []
        data = self._data
        try:
            for tag, begin, stop in fields(data, 0, len(data)):
                if tag == 0x0A:
                    groups.append(self._resource_spans(begin, stop))
        except _SPAN_FAULTS as fault:
            raise MalformedRequest(f"the body is not an ExportTraceServiceRequest in protobuf: {_why(fault)}") from fault
        return self._each(groups)

    def _resource_spans(self, at: int, end: int) -> tuple[int, int, list[tuple[int, int, int, int, list[tuple[int, int]]]]]:
        resource = (at, at)
        scopes: list[tuple[int, int, int, int, list[tuple[int, int]]]] = []
        for tag, begin, stop in fields(self._data, at, end):
            if tag == 0x0A:
                resource = (begin, stop)
            elif tag == 0x12:
                scope = (begin, begin)
                spans: list[tuple[int, int]] = []
                for inner, first, last in fields(self._data, begin, stop):
                    if inner == 0x0A:
                        scope = (first, last)
                    elif inner == 0x12:
                        spans.append((first, last))
                scopes.append((*scope, begin, stop, spans))
        return (*resource, scopes)

    def _each(self, groups: list[tuple[int, int, list[tuple[int, int, int, int, list[tuple[int, int]]]]]]) -> Iterator[Sent | None]:
        tally = self._tally
        for begin, stop, scopes in groups:
            resource = self._resource(begin, stop)
            for first, last, _, _, spans in scopes:
                origin = self._origin(resource, first, last)
                for at, end in spans:
                    tally.spans += 1
                    try:
                        self._room = self._limits.span_bytes
                        yield self._span(at, end, origin)
                    except _SPAN_FAULTS:
                        tally.refused["malformed_span"] += 1
                        yield None

    def _resource(self, at: int, end: int) -> Attributes:
        self._room = self._limits.span_bytes
        try:
            return self._attributes(at, end, 0x0A)
        except _SPAN_FAULTS:
            self._tally.repaired["attributes_dropped"] += 1
            return {}

    def _origin(self, resource: Attributes, at: int, end: int) -> Origin:
        name = version = ""
        try:
            for tag, begin, stop in fields(self._data, at, end):
                if tag == 0x0A:
                    name = self._text(begin, stop)
                elif tag == 0x12:
                    version = self._text(begin, stop)
            return Origin(resource, name, version, self._attributes(at, end, 0x1A))
        except _SPAN_FAULTS:
            self._tally.repaired["attributes_dropped"] += 1
            return Origin(resource, name, version)

    def _span(self, at: int, end: int, origin: Origin) -> Sent:
        data = self._data
        trace = span = parent = b""
        name = message = ""
        kind = start = stopped = status = 0
        attributes: Attributes = {}
        events: list[SentEvent] = []
        links: list[SentLink] = []
        # How every encoder begins, in the order of the fields' numbers; whatever is written otherwise is read field by field.
        if end - at > 50 and data[at : at + 2] == b"\x0a\x10" and data[at + 18 : at + 20] == b"\x12\x08":
            _, trace, _, span = _ids(data, at)
            at += 28
            if data[at : at + 2] == b"\x22\x08":
                parent = data[at + 2 : at + 10]
                at += 10
            if data[at] == 0x2A and (stop := at + 2 + data[at + 1]) + 20 <= end and data[at + 1] < 128:
                name = self._text(at + 2, stop)
                at = stop
                first, number, second, begin, third, last = _times(data, at)
                if first == 0x30 and number < 128 and second == 0x39 and third == 0x41:
                    kind, start, stopped = number, begin, last
                    at += 20
        runs = _RUNS if end - at < _RUN else 0
        while at < end:
            tag = data[at]
            at += 1
            if tag == 0x4A:  # attributes: nearly all fields of a span, so this is where the time goes
                if runs:
                    runs -= 1
                    at = self._run(data, at, end, attributes)
                else:
                    at = self._attribute(data, at, end, attributes)
                continue
            wire = tag & 7
            if wire == 2:
                length = data[at]
                at += 1
                if tag > 127 or length > 127:
                    if tag > 127:  # a field number beyond 15, none of which hold text or messages that we know
                        tag, at = varint(data, at - 2)
                        length, at = varint(data, at)
                    else:
                        length, at = varint(data, at - 1)
                stop = at + length
                if stop > end:
                    raise Wrong("a field is longer than its span")
                if tag == 0x0A:
                    trace = data[at:stop]
                elif tag == 0x12:
                    span = data[at:stop]
                elif tag == 0x22:
                    parent = data[at:stop]
                elif tag == 0x2A:
                    name = self._text(at, stop)
                elif tag == 0x5A:
                    if len(events) < self._limits.events:
                        events.append(self._event(at, stop))
                    else:
                        self._tally.repaired["events_dropped"] += 1
                elif tag == 0x6A:
                    if len(links) < self._limits.events:
                        links.append(self._link(at, stop))
                    else:
                        self._tally.repaired["events_dropped"] += 1
                elif tag == 0x7A and length == 2 and data[at] == 0x18 and data[at + 1] < 128:
                    status = data[at + 1]
                elif tag == 0x7A:
                    for inner, first, last in fields(data, at, stop):
                        if inner == 0x18:
                            status = first
                        elif inner == 0x12:
                            message = self._text(first, last)
                at = stop
            elif tag == 0x39:
                start = _fixed64(data, at)[0]
                at += 8
            elif tag == 0x41:
                stopped = _fixed64(data, at)[0]
                at += 8
            elif tag == 0x30:
                kind, at = varint(data, at)
            else:
                at = skip(data, at - 1)
        if at != end:
            raise Wrong("a span ends inside a field")
        if len(attributes) > self._limits.attributes:
            self._tally.repaired["attributes_dropped"] += len(attributes) - self._limits.attributes
            attributes = dict(islice(attributes.items(), self._limits.attributes))
        return Sent(trace.hex(), span.hex(), parent.hex(), name, kind, start, stopped, attributes, events, links, status, message, origin)

    def _run(self, data: bytes, at: int, end: int, into: Attributes) -> int:
        """Read attributes that follow each other, from the length of the first one on; returns where the field after them begins.

        Their tag is the letter J. Split there, a piece that is as long as its first byte says is a whole attribute, if those before it
        were. One that is not, which has a J within, is long, or has another field behind it, is the last that is read.
        """
        pieces = data[at:end].split(b"J")
        for number, known in enumerate(map(seen.get, pieces)):
            if known is not None:
                key, value = known
            else:
                piece = pieces[number]
                if not 2 < len(piece) < SMALL or piece[0] != len(piece) - 1:
                    left = pieces[number:]
                    return self._attribute(data, end - sum(map(len, left)) - len(left) + 1, end, into)
                key, value = plain(piece) or self._unknown(piece)
            into[key] = value
        return end

    def _attribute(self, data: bytes, at: int, end: int, into: Attributes) -> int:
        """Read one attribute, from its length on; returns where the field after it begins."""
        length, begin = data[at], at + 1
        if length > 127:
            length, begin = varint(data, at)
        stop = begin + length
        if stop > end:
            raise Wrong("an attribute is longer than its span")
        if 1 < length < SMALL - 1:
            piece = data[at:stop]
            key, value = seen.get(piece) or plain(piece) or self._unknown(piece)
        else:
            key, value = self._pair(data, begin, stop, 0)
        into[key] = value
        return stop

    def _unknown(self, data: bytes) -> Pair:
        """A small attribute, with its length before it, that takes the long way."""
        self._wrong = False
        pair = self._pair(data, 1, len(data), 0)
        # What was repaired is told each time, so it must not come out of the table.
        if not self._wrong:
            learn(data, pair)
        return pair

    def _pair(self, data: bytes, at: int, end: int, depth: int) -> Pair:
        key, value = "", None
        for tag, begin, stop in fields(data, at, end):
            if tag == 0x0A:
                key = self._text(begin, stop, data)
            elif tag == 0x12:
                value = self._value(data, begin, stop, depth)
        return key, value

    def _value(self, data: bytes, at: int, end: int, depth: int) -> Any:
        value: Any = None
        for tag, begin, stop in fields(data, at, end):
            if tag == 0x0A:
                value = self._text(begin, stop, data)
            elif tag == 0x18:
                value = begin - 0x1_0000_0000_0000_0000 if begin >> 63 else begin
            elif tag == 0x10:
                value = begin != 0
            elif tag == 0x21:
                value = _double(data, begin)[0]
            elif tag == 0x2A:
                value = self._list(data, begin, stop, depth + 1)
            elif tag == 0x32:
                value = self._dictionary(data, begin, stop, depth + 1)
            elif tag == 0x3A:
                value = base64.b64encode(data[begin : self._within(begin, stop)]).decode()
        return value

    def _list(self, data: bytes, at: int, end: int, depth: int) -> list[Any] | None:
        if depth > self._limits.depth:
            self._note("too_deep")
            return None
        found: list[Any] = []
        for tag, begin, stop in fields(data, at, end):
            if tag == 0x0A:
                if len(found) >= self._limits.attributes:
                    self._note("attributes_dropped")
                    break
                found.append(self._value(data, begin, stop, depth))
        return found

    def _dictionary(self, data: bytes, at: int, end: int, depth: int) -> Attributes | None:
        if depth > self._limits.depth:
            self._note("too_deep")
            return None
        found: Attributes = {}
        for tag, begin, stop in fields(data, at, end):
            if tag == 0x0A:
                if len(found) >= self._limits.attributes:
                    self._note("attributes_dropped")
                    break
                key, value = self._pair(data, begin, stop, depth)
                found[key] = value
        return found

    def _attributes(self, at: int, end: int, wanted: int) -> Attributes:
        """The attributes under the field ``wanted`` of a message."""
        found: Attributes = {}
        for tag, begin, stop in fields(self._data, at, end):
            if tag == wanted:
                if len(found) >= self._limits.attributes:
                    self._note("attributes_dropped")
                    break
                key, value = self._pair(self._data, begin, stop, 0)
                found[key] = value
        return found

    def _event(self, at: int, end: int) -> SentEvent:
        name, moment = "", 0
        for tag, begin, stop in fields(self._data, at, end):
            if tag == 0x09:
                moment = _fixed64(self._data, begin)[0]
            elif tag == 0x12:
                name = self._text(begin, stop)
        return SentEvent(name, moment, self._attributes(at, end, 0x1A))

    def _link(self, at: int, end: int) -> SentLink:
        trace = span = b""
        for tag, begin, stop in fields(self._data, at, end):
            if tag == 0x0A:
                trace = self._data[begin:stop]
            elif tag == 0x12:
                span = self._data[begin:stop]
        return SentLink(trace[:16].hex(), span[:8].hex(), self._attributes(at, end, 0x22))

    def _within(self, at: int, end: int) -> int:
        """Where a text ends that may have no more bytes than there is room for."""
        most = min(self._limits.text_bytes, self._room)
        if end - at > most:
            self._note("text_cut")
            end = at + most
        self._room -= end - at
        return end

    def _text(self, at: int, end: int, data: bytes | None = None) -> str:
        raw = (self._data if data is None else data)[at : (cut := self._within(at, end))]
        try:
            text = raw.decode()
        except UnicodeDecodeError as fault:
            if cut < end and fault.start >= len(raw) - 3 and fault.reason == "unexpected end of data":
                text = raw[: fault.start].decode()  # the cut went through a character
            else:
                text = raw.decode("utf-8", "replace")
                self._note("invalid_utf8")
        if "\0" in text:
            text = text.replace("\0", "\ufffd")
            self._note("nul")
        return text

    def _note(self, reason: str) -> None:
        self._wrong = True
        self._tally.repaired[reason] += 1


def _why(fault: Exception) -> str:
    return str(fault) if isinstance(fault, Wrong) else "it ends inside a field"

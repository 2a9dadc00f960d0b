"""A whole reply as a stream and the reverse, through the normal form: so one recording serves clients of both kinds."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.gateway.recordings.exchange import Exchange
from penstock.gateway.shapes.shape import ChatShape
from penstock.kernel.call import Headers, Usage
from penstock.kernel.errors import NotExpressible
from penstock.kernel.messages import (
    ArgumentsDelta,
    Begin,
    Choice,
    Citation,
    CitationDelta,
    Completion,
    Delta,
    Finish,
    Part,
    PartEnd,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    SealDelta,
    Text,
    TextDelta,
    ToolBegin,
    ToolCall,
    UsageDelta,
)

# Pieces about as long as the tokens of the common tokenizers: a short run of letters or one sign, with the white space before it.
_PIECE = re.compile(r"\s*(?:\w{1,5}|[^\w\s])|\s+")


def as_stream(exchange: Exchange, shape: ChatShape, *, include_usage: bool) -> Exchange:
    """The exchange with its reply in chunks; as it is when it has chunks, or a refusal (status 400 and above): those never stream.

    The text is cut into pieces the size of tokens, spread evenly from ``first_byte_ms`` to ``total_ms``. ``include_usage`` adds the usage
    where clients must ask for it; a stream that was recorded is replayed as it was. Raises `NotExpressible` when a part of the reply cannot
    stream, `UpstreamMalformed` when the body is no reply of this shape.
    """
    if exchange.body is None or exchange.status >= 400:
        return exchange
    completion = shape.decode_reply(exchange.body)
    encoder = shape.stream_encoder(model=completion.model, include_usage=include_usage)
    deltas = list(deltas_of(completion))
    timed = sum(1 for delta in deltas if isinstance(delta, _PACED))
    start, length = exchange.first_byte_ms, max(0.0, exchange.total_ms - exchange.first_byte_ms)
    chunks: list[tuple[float, bytes]] = []
    seen, at = 0, start
    for delta in deltas:
        if isinstance(delta, _PACED):
            seen += 1
            at = start + length * seen / timed
        if data := encoder.encode(delta):
            chunks.append((at, data))
    chunks.append((start + length, encoder.finish()))
    return _with(exchange, "text/event-stream; charset=utf-8", None, chunks)


def as_whole(exchange: Exchange, shape: ChatShape) -> Exchange:
    """The exchange with its reply as one body; as it is when it has one.

    Raises `UpstreamReset` or `UpstreamMalformed` when the recorded stream is not a complete one of this shape.
    """
    if exchange.chunks is None:
        return exchange
    if exchange.status >= 400:
        return _with(exchange, None, b"".join(data for _, data in exchange.chunks), None)
    decoder = shape.stream_decoder()
    reply = Assembly()
    for _, data in exchange.chunks:
        for delta in decoder.feed(data):
            reply.add(delta)
    for delta in decoder.close():
        reply.add(delta)
    completion = reply.completion(decoder.usage)
    return _with(exchange, "application/json", shape.encode_reply(completion, model=completion.model), None)


def pieces(text: str) -> list[str]:
    """``text`` cut into pieces the size of tokens; strung together they are ``text`` again."""
    return _PIECE.findall(text)


_PACED = TextDelta | ReasoningDelta | RefusalDelta | ArgumentsDelta


def _with(exchange: Exchange, content_type: str | None, body: bytes | None, chunks: list[tuple[float, bytes]] | None) -> Exchange:
    headers: Headers = exchange.headers
    if content_type is not None:
        headers = [(name, value) for name, value in headers if name != "content-type"] + [("content-type", content_type)]
    return Exchange(
        shape=exchange.shape,
        request=exchange.request,
        status=exchange.status,
        headers=headers,
        body=body,
        chunks=chunks,
        first_byte_ms=exchange.first_byte_ms,
        total_ms=exchange.total_ms,
        recorded_at=exchange.recorded_at,
        meta=exchange.meta,
    )


def deltas_of(completion: Completion) -> Iterator[Delta]:
    """A whole reply as the pieces of a stream. Raises `NotExpressible` for a part that cannot stream."""
    yield Begin(completion.id, completion.model, completion.created, completion.usage)
    for choice in completion.choices:
        calls = 0
        for part in choice.parts:
            if isinstance(part, ToolCall):
                yield from _tool_call(part, calls, choice.index)
                calls += 1
            else:
                yield from _part(part, choice.index)
            yield PartEnd(choice.index)
        yield Finish(choice.finish or "stop", choice.stop_sequence, choice.index)
    if completion.usage is not None:
        yield UsageDelta(completion.usage)


def _tool_call(call: ToolCall, index: int, choice: int) -> Iterator[Delta]:
    yield ToolBegin(index, call.id, call.name, choice, call.signature)
    for piece in pieces(call.arguments):
        yield ArgumentsDelta(index, piece, choice)


def _part(part: Part, choice: int) -> Iterator[Delta]:
    match part:
        case Text():
            for piece in pieces(part.text):
                yield TextDelta(piece, choice)
            for citation in part.citations:
                yield CitationDelta(citation, choice)
        case Refusal():
            for piece in pieces(part.text):
                yield RefusalDelta(piece, choice)
        case Reasoning():
            for piece in pieces(part.text):
                yield ReasoningDelta(piece, choice=choice)
            for summary in part.summary:
                for piece in pieces(summary):
                    yield ReasoningDelta(piece, summary=True, choice=choice)
            if part.signature is not None or part.encrypted is not None:
                yield SealDelta(part.signature, part.encrypted, part.id, choice)
        case _:
            kind = type(part).__name__.lower()
            what = f"the recorded reply holds a part of kind {kind}, which cannot stream; record it as a stream"
            raise NotExpressible(what, param="stream")


class _Open:
    """One part while it grows."""

    __slots__ = ("citations", "encrypted", "id", "kind", "name", "signature", "summary", "text")

    def __init__(self, kind: str, id: str = "", name: str = "") -> None:
        self.kind = kind
        self.id = id
        self.name = name
        self.text: list[str] = []
        self.summary: list[str] = []
        self.citations: list[Citation] = []
        self.signature: str | None = None
        self.encrypted: str | None = None

    def part(self) -> Part:
        text = "".join(self.text)
        if self.kind == "text":
            return Text(text, citations=tuple(self.citations))
        if self.kind == "refusal":
            return Refusal(text)
        if self.kind == "tool":
            return ToolCall(self.id, self.name, text, signature=self.signature)
        summary = ("".join(self.summary),) if self.summary else ()
        return Reasoning(text, summary, self.signature, self.encrypted, self.id or None)


class _Growing:
    """One choice while it grows."""

    __slots__ = ("calls", "finish", "now", "parts")

    def __init__(self) -> None:
        self.parts: list[_Open] = []
        self.now: _Open | None = None
        self.calls: dict[int, _Open] = {}
        self.finish: Finish | None = None

    def open(self, kind: str) -> _Open:
        if self.now is None or self.now.kind != kind:
            self.now = _Open(kind)
            self.parts.append(self.now)
        return self.now


class Assembly:
    """A stream's deltas gathered into a completion."""

    def __init__(self) -> None:
        self._begin = Begin("", "")
        self._usage: Usage | None = None
        self._choices: dict[int, _Growing] = {}

    def add(self, delta: Delta) -> None:
        """Take the next piece."""
        if isinstance(delta, Begin):
            self._begin = delta
            return
        if isinstance(delta, UsageDelta):
            self._usage = delta.usage
            return
        choice = self._choices.setdefault(delta.choice, _Growing())
        match delta:
            case TextDelta():
                choice.open("text").text.append(delta.text)
            case RefusalDelta():
                choice.open("refusal").text.append(delta.text)
            case ReasoningDelta():
                part = choice.open("reasoning")
                (part.summary if delta.summary else part.text).append(delta.text)
            case SealDelta():
                part = choice.open("reasoning")
                part.signature, part.encrypted, part.id = delta.signature, delta.encrypted, delta.id or ""
            case CitationDelta():
                choice.open("text").citations.append(delta.citation)
            case ToolBegin():
                choice.now = choice.calls[delta.index] = _Open("tool", delta.id, delta.name)
                choice.now.signature = delta.signature
                choice.parts.append(choice.now)
            case ArgumentsDelta():
                if delta.index in choice.calls:
                    choice.calls[delta.index].text.append(delta.text)
            case PartEnd():
                choice.now = None
            case Finish():
                choice.finish = delta

    def completion(self, usage: Usage | None) -> Completion:
        """The reply; ``usage`` is what the decoder found."""
        choices = tuple(
            Choice(
                parts=tuple(part.part() for part in growing.parts),
                finish=growing.finish.reason if growing.finish else None,
                stop_sequence=growing.finish.stop_sequence if growing.finish else None,
                index=index,
            )
            for index, growing in sorted(self._choices.items())
        )
        begin = self._begin
        return Completion(id=begin.id, model=begin.model, choices=choices, usage=usage or self._usage or begin.usage, created=begin.created)

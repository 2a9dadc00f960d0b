"""Replies of Amazon Bedrock's Converse, whole and streamed, to the normal form.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_ResponseSyntax; a stream comes as
``application/vnd.amazon.eventstream``: binary messages with checksums, each with headers that say what its JSON is
(https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream), which botocore's own parser cuts.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes import bedrock_error, seal
from penstock.gateway.shapes.bedrock_request import NAME, SIGNER
from penstock.kernel import messages as m
from penstock.kernel.call import Usage
from penstock.kernel.errors import UpstreamMalformed, UpstreamReset

_FINISH: dict[str, m.FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context",
    "tool_use": "tool_calls",
    "guardrail_intervened": "filter",
    "content_filtered": "filter",
}


class UsageWire(Struct, rename="camel"):
    """Tokens; those of the prompt cache are counted apart from ``inputTokens``."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None

    def usage(self) -> Usage:
        """As the normal form counts: all that was read is input."""
        read, written = max(0, self.cache_read_input_tokens or 0), max(0, self.cache_write_input_tokens or 0)
        return Usage(
            input=max(0, self.input_tokens) + read + written, output=max(0, self.output_tokens), cached=read, cache_written=written
        )


class _ToolUse(Struct, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: Raw = Raw(b"")
    type: str | None = None


class _Thought(Struct):
    text: str = ""
    signature: str | None = None


class _Reasoning(Struct, rename="camel"):
    reasoning_text: _Thought | None = None
    redacted_content: str | None = None


class _Said(Struct):
    text: str = ""


class _Web(Struct):
    url: str | None = None


class _Location(Struct):
    web: _Web | None = None


class _Citation(Struct, rename="camel"):
    title: str | None = None
    source_content: list[_Said] | None = None
    location: _Location | None = None


class _Cited(Struct):
    content: list[_Said] | None = None
    citations: list[Raw] | None = None


class _Block(Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Cited | None = None


class _Message(Struct):
    content: list[Raw] | None = None


class _Output(Struct):
    message: _Message | None = None


class _Tier(Struct):
    type: str | None = None


class _Body(Struct, rename="camel"):
    output: _Output | None = None
    stop_reason: str | None = None
    usage: UsageWire | None = None
    service_tier: _Tier | None = None


_BODY = msgspec.json.Decoder(_Body)
_BLOCK = msgspec.json.Decoder(_Block)
_CITATION = msgspec.json.Decoder(_Citation)
_KIND = msgspec.json.Decoder(dict[str, Raw])


def decode_reply(data: bytes) -> m.Completion:
    """A whole reply. Raises `UpstreamMalformed`."""
    try:
        body = _BODY.decode(data)
        blocks = body.output.message.content if body.output is not None and body.output.message is not None else None
        if blocks is None:
            raise UpstreamMalformed("The provider's Converse reply has no message.")
        parts = tuple(part for block in blocks for part in _parts(_BLOCK.decode(block), block))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise UpstreamMalformed("The provider's reply is no Converse reply.") from fault
    return m.Completion(
        id=_id(),
        model="",
        choices=(m.Choice(parts=parts, finish=_FINISH.get(body.stop_reason or "", "stop")),),
        usage=body.usage.usage() if body.usage is not None else None,
        service_tier=body.service_tier.type if body.service_tier is not None else None,
    )


def _id() -> str:
    # Converse names no reply; AWS's id of the request stands in a header and on the record.
    return f"bedrock-{secrets.token_hex(12)}"


def _parts(block: _Block, raw: Raw) -> list[m.Part]:
    if block.text is not None:
        return [m.Text(block.text)]
    if block.tool_use is not None:
        if block.tool_use.type is not None:
            return []  # a tool that AWS ran itself; nobody is asked to
        return [m.ToolCall(block.tool_use.tool_use_id, block.tool_use.name, bytes(block.tool_use.input).decode() or "{}")]
    if block.reasoning_content is not None:
        thought, sealed = block.reasoning_content.reasoning_text, block.reasoning_content.redacted_content
        if thought is not None:
            return [m.Reasoning(thought.text, signature=seal.named(SIGNER, thought.signature) if thought.signature else None)]
        return [m.Reasoning(encrypted=sealed)]
    if block.citations_content is not None:
        found = block.citations_content
        text = "".join(one.text for one in found.content or ())
        return [m.Text(text, citations=tuple(_citation(one) for one in found.citations or ()))]
    kind = next(iter(_KIND.decode(raw)), "")
    # msgspec skips over what nobody asked for without looking whether it is UTF-8; this will be sent on.
    return [m.Opaque(NAME, kind, Raw(bytes(raw).decode().encode()))]


def _citation(raw: Raw) -> m.Citation:
    found = _CITATION.decode(raw)
    quote = "".join(one.text for one in found.source_content or ()) or None
    url = found.location.web.url if found.location is not None and found.location.web is not None else None
    return m.Citation(url=url, title=found.title, quote=quote, shape=NAME, raw=Raw(bytes(raw).decode().encode()))


class _ToolPiece(Struct):
    input: str = ""


class _ThoughtPiece(Struct, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolPiece | None = None
    reasoning_content: _ThoughtPiece | None = None
    citation: Raw = Raw(b"")


class _Start(Struct, rename="camel"):
    tool_use: _ToolUse | None = None


class _Event(Struct, rename="camel"):
    """All events' fields; which event it is, a header says."""

    start: _Start | None = None
    delta: _Delta | None = None
    stop_reason: str | None = None
    usage: UsageWire | None = None


_EVENT = msgspec.json.Decoder(_Event)


class ConverseDecoder:
    """A `StreamDecoder` for ``application/vnd.amazon.eventstream``."""

    def __init__(self) -> None:
        # Whoever is configured for Bedrock has imported it at the start; without botocore the provider cannot be configured.
        from botocore.eventstream import EventStreamBuffer

        self.usage: Usage | None = None
        self.finished = False
        self.finish_reason: str | None = None
        self.output_bytes = 0
        self._buffer: Any = EventStreamBuffer()
        self._calls = -1
        self._open = ""

    def feed(self, chunk: bytes) -> list[m.Delta]:
        """See `StreamDecoder.feed`."""
        from botocore.eventstream import ParserError

        deltas: list[m.Delta] = []
        try:
            self._buffer.add_data(chunk)
            for message in self._buffer:
                if not self.finished:
                    self._message(message.headers, message.payload, deltas)
        except (ParserError, UnicodeDecodeError, KeyError) as fault:
            raise UpstreamMalformed("The provider's stream holds a message that is damaged or none of an event stream.") from fault
        return deltas

    def close(self) -> list[m.Delta]:
        """See `StreamDecoder.close`; usage that never came is no reason to lose a reply that is whole."""
        if self.finish_reason is None:
            raise UpstreamReset("The provider's stream ended before the reply was complete.")
        self.finished = True
        return []

    def _message(self, headers: dict[str, Any], payload: bytes, deltas: list[m.Delta]) -> None:
        kind = headers.get(":message-type")
        if kind == "exception":
            raise bedrock_error.in_stream(str(headers.get(":exception-type")), payload)
        if kind == "error":
            said = msgspec.json.encode({"message": str(headers.get(":error-message") or "")})
            raise bedrock_error.in_stream(str(headers.get(":error-code")), said)
        try:
            self._event(str(headers.get(":event-type")), _EVENT.decode(payload), deltas)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise UpstreamMalformed("The provider's stream holds an event that is none of Converse's.") from fault

    def _event(self, kind: str, event: _Event, deltas: list[m.Delta]) -> None:
        match kind:
            case "messageStart":
                deltas.append(m.Begin(_id(), ""))
            case "contentBlockStart":
                call = event.start.tool_use if event.start is not None else None
                self._open = "foreign" if call is not None and call.type is not None else ""
                if call is not None and call.type is None:
                    self._calls += 1
                    self._open = "call"
                    deltas.append(m.ToolBegin(self._calls, call.tool_use_id, call.name))
            case "contentBlockDelta":
                if event.delta is not None:
                    self._delta(event.delta, deltas)
            case "contentBlockStop":
                if self._open:
                    deltas.append(m.PartEnd())
                self._open = ""
            case "messageStop":
                self.finish_reason = event.stop_reason or "end_turn"
                deltas.append(m.Finish(_FINISH.get(self.finish_reason, "stop")))
            case "metadata":
                if event.usage is not None:
                    self.usage = event.usage.usage()
                    deltas.append(m.UsageDelta(self.usage))
                self.finished = self.finish_reason is not None
            case _:
                pass  # what later versions add

    def _delta(self, delta: _Delta, deltas: list[m.Delta]) -> None:
        thought = delta.reasoning_content
        if delta.text:
            self._open = "text"
            self.output_bytes += len(delta.text)
            deltas.append(m.TextDelta(delta.text))
        elif delta.tool_use is not None:
            if delta.tool_use.input and self._open == "call":
                self.output_bytes += len(delta.tool_use.input)
                deltas.append(m.ArgumentsDelta(self._calls, delta.tool_use.input))
        elif thought is not None:
            self._open = "thought"
            if thought.text:
                self.output_bytes += len(thought.text)
                deltas.append(m.ReasoningDelta(thought.text))
            if thought.signature:
                deltas.append(m.SealDelta(signature=seal.named(SIGNER, thought.signature)))
            if thought.redacted_content:
                deltas.append(m.SealDelta(encrypted=thought.redacted_content))
        elif bytes(delta.citation):
            deltas.append(m.CitationDelta(_citation(delta.citation)))

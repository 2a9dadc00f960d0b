"""Anthropic messages, whole and streamed, to and from the normal form."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes import anthropic_error, anthropic_usage, seal
from penstock.gateway.shapes.anthropic_usage import UsageWire
from penstock.gateway.shapes.decoder import EventDecoder
from penstock.gateway.shapes.sse import event
from penstock.kernel import messages as m
from penstock.kernel.call import Usage
from penstock.kernel.errors import UpstreamMalformed

NAME = "anthropic.messages"
VENDOR = "anthropic"
_FINISH: dict[str, m.FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}
_WORD = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
}


class _Block(Struct):
    type: str = ""
    text: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"")
    thinking: str = ""
    signature: str | None = None
    data: str | None = None


class _Body(Struct):
    id: str = ""
    model: str = ""
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: UsageWire | None = None
    error: Raw = Raw(b"")


class _Delta(Struct):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(Struct):
    type: str = ""
    index: int = 0
    message: _Body | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: UsageWire | None = None
    error: Raw = Raw(b"")


_BODY = msgspec.json.Decoder(_Body)
_BLOCK = msgspec.json.Decoder(_Block)
_EVENT = msgspec.json.Decoder(_Event)


def decode_reply(data: bytes) -> m.Completion:
    """A whole message. Raises `UpstreamMalformed`, or `UpstreamError` when it reports a failure."""
    try:
        body = _BODY.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise UpstreamMalformed("The provider's reply is no message.") from fault
    if bytes(body.error) not in (b"", b"null"):
        raise anthropic_error.upstream_error(body.error)
    if body.content is None:
        raise UpstreamMalformed("The provider's message has no content.")
    try:
        parts = tuple(_part(_BLOCK.decode(block), block) for block in body.content)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise UpstreamMalformed("The provider's message holds a block that is none.") from fault
    return m.Completion(
        id=body.id,
        model=body.model,
        choices=(
            m.Choice(
                parts=parts,
                finish=_FINISH.get(body.stop_reason or "", "stop"),
                stop_sequence=body.stop_sequence,
            ),
        ),
        usage=anthropic_usage.from_wire(body.usage) if body.usage is not None else None,
    )


def _part(block: _Block, raw: Raw) -> m.Part:
    match block.type:
        case "text":
            return m.Text(block.text)
        case "tool_use":
            return m.ToolCall(block.id, block.name, bytes(block.input).decode() or "{}")
        case "thinking":
            return m.Reasoning(block.thinking, signature=seal.named(VENDOR, block.signature) if block.signature else None)
        case "redacted_thinking":
            return m.Reasoning(encrypted=block.data)
        case _:
            # msgspec skips over what nobody asked for without looking whether it is UTF-8; this will be sent on.
            return m.Opaque(NAME, block.type, Raw(bytes(raw).decode().encode()))


def encode_reply(completion: m.Completion, model: str) -> bytes:
    """The message for a client, naming ``model``; of several replies the first."""
    choice = completion.choices[0]
    out: dict[str, Any] = {
        "id": completion.id if completion.id.startswith("msg_") else f"msg_{completion.id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": _content(choice.parts),
        "stop_reason": _WORD[choice.finish or "stop"],
        "stop_sequence": choice.stop_sequence,
        "usage": anthropic_usage.to_object(completion.usage or Usage()),
    }
    return msgspec.json.encode(out)


def _content(parts: tuple[m.Part, ...]) -> list[Any]:
    blocks: list[Any] = []
    for at, part in enumerate(parts):
        # A signed call of another vendor: only a block of thoughts has a place for the signature, and comes back with the call.
        if isinstance(part, m.ToolCall) and part.signature is not None:
            before = parts[at - 1] if at else None
            if isinstance(before, m.Reasoning) and before.signature is None:
                blocks[-1] = _block_out(msgspec.structs.replace(before, signature=part.signature))
            else:
                blocks.append(_block_out(m.Reasoning(signature=part.signature)))
        block = _block_out(part)
        if block is not None:
            blocks.append(block)
    return blocks


def _block_out(part: m.Part) -> Any:
    match part:
        case m.Text() | m.Refusal():
            return {"type": "text", "text": part.text, "citations": None}
        case m.ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": _input(part.arguments)}
        case m.Reasoning():
            if part.encrypted is not None and not part.text:
                return {"type": "redacted_thinking", "data": part.encrypted}
            signature = seal.to_client(part.signature, VENDOR) if part.signature is not None else ""
            return {"type": "thinking", "thinking": part.text or "\n".join(part.summary), "signature": signature}
        case m.Opaque(shape="anthropic.messages"):
            return part.raw
        case _:
            return None


def _input(arguments: str) -> Raw:
    # A model may write arguments that are no JSON; this API has no other place for them than an object.
    try:
        found = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return Raw(msgspec.json.encode({"arguments": arguments}))
    return Raw((arguments or "{}").encode()) if isinstance(found, dict) else Raw(msgspec.json.encode({"arguments": found}))


class MessagesDecoder(EventDecoder):
    """A `StreamDecoder` for the events of a message."""

    def __init__(self) -> None:
        super().__init__()
        self._wire: UsageWire | None = None
        self._calls = -1
        self._kind = ""

    def _see(self, data: bytes, deltas: list[m.Delta]) -> None:
        try:
            seen = _EVENT.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise UpstreamMalformed("The provider's stream holds an event that is no event of a message.") from fault
        match seen.type:
            case "error":
                raise anthropic_error.upstream_error(seen.error)
            case "message_start":
                body = seen.message or _Body()
                self._count(body.usage)
                deltas.append(m.Begin(body.id, body.model, usage=self.usage))
            case "content_block_start":
                self._block(seen.content_block or _Block(), deltas)
            case "content_block_delta":
                self._piece(seen.delta or _Delta(), deltas)
            case "content_block_stop":
                deltas.append(m.PartEnd())
            case "message_delta":
                self._count(seen.usage)
                delta = seen.delta or _Delta()
                if delta.stop_reason is not None:
                    self.finish_reason = delta.stop_reason
                    deltas.append(m.Finish(_FINISH.get(delta.stop_reason, "stop"), delta.stop_sequence))
                if self.usage is not None:
                    deltas.append(m.UsageDelta(self.usage))
            case "message_stop":
                self.finished = True
            case _:
                pass  # ping, and whatever a later version adds

    def _block(self, block: _Block, deltas: list[m.Delta]) -> None:
        self._kind = block.type
        if block.type == "tool_use":
            self._calls += 1
            deltas.append(m.ToolBegin(self._calls, block.id, block.name))
        elif block.type == "redacted_thinking":
            deltas.append(m.SealDelta(encrypted=block.data))
        elif block.text:
            deltas.append(m.TextDelta(block.text))

    def _piece(self, delta: _Delta, deltas: list[m.Delta]) -> None:
        self.output_bytes += len(delta.text) + len(delta.thinking) + len(delta.partial_json)
        match delta.type:
            case "text_delta":
                deltas.append(m.TextDelta(delta.text))
            case "thinking_delta":
                deltas.append(m.ReasoningDelta(delta.thinking))
            case "signature_delta":
                deltas.append(m.SealDelta(signature=seal.named(VENDOR, delta.signature or "")))
            case "input_json_delta":
                # Tools that the provider runs itself have arguments too, which are nobody else's.
                if delta.partial_json and self._kind == "tool_use":
                    deltas.append(m.ArgumentsDelta(self._calls, delta.partial_json))
            case _:
                pass  # citations and what later versions add

    def _count(self, wire: UsageWire | None) -> None:
        if wire is not None:
            self._wire = wire.over(self._wire)
            self.usage = anthropic_usage.from_wire(self._wire)


class MessagesEncoder:
    """A `StreamEncoder` that writes the events of a message. Only the first of several replies has a place in it."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._index = -1
        self._kind = ""
        self._usage: Usage | None = None
        self._stop: tuple[str, str | None] = ("end_turn", None)
        self._begun = False

    def encode(self, delta: m.Delta) -> bytes:
        """See `StreamEncoder.encode`."""
        if not isinstance(delta, m.Begin | m.UsageDelta) and delta.choice != 0:
            return b""
        match delta:
            case m.Begin():
                return self._begin(delta.id, delta.usage)
            case m.TextDelta() | m.RefusalDelta():
                return self._in("text", {"type": "text", "text": ""}) + self._delta({"type": "text_delta", "text": delta.text})
            case m.ReasoningDelta():
                opened = self._in("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                return opened + self._delta({"type": "thinking_delta", "thinking": delta.text})
            case m.SealDelta():
                if delta.signature is not None and self._kind == "thinking":
                    return self._sign(delta.signature)
                if delta.encrypted is not None:
                    return self._open("redacted", {"type": "redacted_thinking", "data": delta.encrypted}) + self._end()
                return b""
            case m.ToolBegin():
                out = b""
                if delta.signature is not None:
                    out = self._in("thinking", {"type": "thinking", "thinking": "", "signature": ""}) + self._sign(delta.signature)
                return out + self._open(f"tool {delta.index}", {"type": "tool_use", "id": delta.id, "name": delta.name, "input": {}})
            case m.ArgumentsDelta():
                return self._delta({"type": "input_json_delta", "partial_json": delta.text})
            case m.PartEnd():
                return self._end()
            case m.Finish():
                self._stop = (_WORD[delta.reason], delta.stop_sequence)
                return self._end()
            case m.UsageDelta():
                self._usage = delta.usage
                return b""
            case m.CitationDelta():
                return b""

    def finish(self) -> bytes:
        """See `StreamEncoder.finish`."""
        reason, sequence = self._stop
        closing = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": anthropic_usage.to_object(self._usage or Usage()),
        }
        return self._end() + _event(closing) + _event({"type": "message_stop"})

    def _begin(self, id: str, usage: Usage | None) -> bytes:
        message: dict[str, Any] = {
            "id": id if id.startswith("msg_") else f"msg_{id}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": anthropic_usage.to_object(usage or Usage()),
        }
        return _event({"type": "message_start", "message": message})

    def _in(self, kind: str, block: dict[str, Any]) -> bytes:
        return b"" if self._kind == kind else self._open(kind, block)

    def _open(self, kind: str, block: dict[str, Any]) -> bytes:
        out = self._end()
        self._index += 1
        self._kind = kind
        return out + _event({"type": "content_block_start", "index": self._index, "content_block": block})

    def _sign(self, signature: str) -> bytes:
        return self._delta({"type": "signature_delta", "signature": seal.to_client(signature, VENDOR)})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _end(self) -> bytes:
        if not self._kind:
            return b""
        self._kind = ""
        return _event({"type": "content_block_stop", "index": self._index})


def _event(body: dict[str, Any]) -> bytes:
    return event(msgspec.json.encode(body), body["type"].encode())

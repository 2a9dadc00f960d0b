"""OpenAI chat completions, whole and streamed, to and from the normal form."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes import openai_error, openai_usage, seal
from penstock.gateway.shapes.openai_chunks import ChunkDecoder, ChunkEncoder, ChunkWire
from penstock.kernel import messages as m
from penstock.kernel.errors import UpstreamMalformed

_FINISH: dict[str, m.FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "filter",
}
_WORD = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "context": "length",
    "tool_calls": "tool_calls",
    "filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
}


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    id: str | None = None
    function: _Function | None = None
    index: int = 0


class _Chunk(Struct):
    """A part of content that comes in parts, as Mistral's reasoning models write it (https://docs.mistral.ai/capabilities/reasoning)."""

    type: str = ""
    text: str = ""
    thinking: str | list[_Chunk] = ""


class _Said(Struct):
    content: str | list[_Chunk] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None
    index: int = 0
    logprobs: Raw = Raw(b"")


class _Body(ChunkWire[_Choice]):
    service_tier: str | None = None


_BODY = msgspec.json.Decoder(_Body)


def _read(data: bytes) -> _Body:
    try:
        body = _BODY.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise UpstreamMalformed("The provider's reply is no chat completion.") from fault
    openai_error.check(body.error)
    return body


def decode_reply(data: bytes) -> m.Completion:
    """A whole completion. Raises `UpstreamMalformed`, or `UpstreamError` when it reports a failure."""
    body = _read(data)
    if not body.choices:
        raise UpstreamMalformed("The provider's chat completion has no choices.")
    return m.Completion(
        id=body.id,
        model=body.model,
        created=int(body.created) if body.created is not None else None,
        choices=tuple(
            m.Choice(
                parts=_parts(choice.message or _Said()),
                finish=_FINISH.get(choice.finish_reason or "", "stop"),
                index=choice.index,
                logprobs=choice.logprobs if bytes(choice.logprobs) not in (b"", b"null") else None,
            )
            for choice in body.choices
        ),
        usage=openai_usage.from_chat(body.usage) if body.usage is not None else None,
        service_tier=body.service_tier,
        fingerprint=body.system_fingerprint,
    )


def _parts(said: _Said) -> tuple[m.Part, ...]:
    parts: list[m.Part] = []
    thoughts, content = said.reasoning_content or said.reasoning, said.content
    if isinstance(content, list):
        thoughts, content = _taken_apart(content)
    if thoughts:
        parts.append(m.Reasoning(thoughts))
    if content:
        parts.append(m.Text(content))
    if said.refusal:
        parts.append(m.Refusal(said.refusal))
    for number, call in enumerate(said.tool_calls or ()):
        function = call.function or _Function()
        parts.append(m.ToolCall(call.id or f"call_{number}", function.name or "", function.arguments or ""))
    return tuple(parts)


def _taken_apart(content: list[_Chunk]) -> tuple[str, str]:
    """The thoughts and the text of content that comes in parts."""
    thoughts = "".join(one.thinking if isinstance(one.thinking, str) else "".join(inner.text for inner in one.thinking) for one in content)
    return thoughts, "".join(one.text for one in content if one.type == "text")


def encode_reply(completion: m.Completion, model: str) -> bytes:
    """The completion for a client, naming ``model``."""
    out: dict[str, Any] = {
        "id": completion.id,
        "object": "chat.completion",
        "created": completion.created if completion.created is not None else int(time.time()),
        "model": model,
        "choices": [_choice_out(choice) for choice in completion.choices],
    }
    if completion.usage is not None:
        out["usage"] = openai_usage.chat_object(completion.usage)
    for name, value in (("service_tier", completion.service_tier), ("system_fingerprint", completion.fingerprint)):
        if value is not None:
            out[name] = value
    return msgspec.json.encode(out)


def _choice_out(choice: m.Choice) -> dict[str, Any]:
    texts = [p.text for p in choice.parts if isinstance(p, m.Text)]
    refusals = [p.text for p in choice.parts if isinstance(p, m.Refusal)]
    thoughts = [p.text or "\n".join(p.summary) for p in choice.parts if isinstance(p, m.Reasoning)]
    calls = [p for p in choice.parts if isinstance(p, m.ToolCall)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    if any(thoughts):
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}, **signed(c.signature)} for c in calls
        ]
    return {
        "index": choice.index,
        "message": message,
        "finish_reason": _WORD[choice.finish] if choice.finish is not None else "stop",
        "logprobs": choice.logprobs,
    }


def signed(signature: str | None) -> dict[str, Any]:
    """The field in which Google's own chat completions carry the signature of a call
    (https://ai.google.dev/gemini-api/docs/thought-signatures); nothing for a call without one."""
    own = seal.to_provider(signature, "google") if signature is not None else None
    return {"extra_content": {"google": {"thought_signature": own}}} if own is not None else {}


class ChatDecoder(ChunkDecoder[_Choice]):
    """A `StreamDecoder` for chat completion chunks."""

    def __init__(self) -> None:
        super().__init__(_read)
        self._open: dict[int, tuple[str, int]] = {}

    def _choice(self, choice: _Choice, deltas: list[m.Delta]) -> None:
        if choice.delta is not None:
            self._said(choice.delta, choice.index, deltas)
        if choice.finish_reason:
            self._part(choice.index, ("", 0), deltas)
            self.finish_reason = choice.finish_reason
            deltas.append(m.Finish(_FINISH.get(choice.finish_reason, "stop"), choice=choice.index))

    def _said(self, said: _Said, choice: int, deltas: list[m.Delta]) -> None:
        thoughts, content = said.reasoning_content or said.reasoning, said.content
        if isinstance(content, list):
            thoughts, content = _taken_apart(content)
        for kind, text in (("reasoning", thoughts), ("text", content), ("refusal", said.refusal)):
            if text:
                self._part(choice, (kind, 0), deltas)
                self.output_bytes += len(text)
                made = {"reasoning": m.ReasoningDelta, "text": m.TextDelta, "refusal": m.RefusalDelta}[kind]
                deltas.append(made(text, choice=choice))
        for call in said.tool_calls or ():
            function = call.function or _Function()
            if self._open.get(choice) != ("call", call.index):
                self._part(choice, ("call", call.index), deltas)
                deltas.append(m.ToolBegin(call.index, call.id or f"call_{call.index}", function.name or "", choice))
            if function.arguments:
                self.output_bytes += len(function.arguments)
                deltas.append(m.ArgumentsDelta(call.index, function.arguments, choice))

    def _part(self, choice: int, now: tuple[str, int], deltas: list[m.Delta]) -> None:
        before = self._open.get(choice, ("", 0))
        if before != now and before[0]:
            deltas.append(m.PartEnd(choice))
        self._open[choice] = now


class ChatEncoder(ChunkEncoder):
    """A `StreamEncoder` that writes chat completion chunks."""

    object = "chat.completion.chunk"

    def encode(self, delta: m.Delta) -> bytes:
        """See `StreamEncoder.encode`."""
        match delta:
            case m.Begin():
                self._begin(delta)
                return self._choice(0, {"role": "assistant", "content": ""})
            case m.TextDelta():
                return self._choice(delta.choice, {"content": delta.text})
            case m.RefusalDelta():
                return self._choice(delta.choice, {"refusal": delta.text})
            case m.ReasoningDelta():
                return self._choice(delta.choice, {"reasoning_content": delta.text})
            case m.ToolBegin():
                call: dict[str, Any] = {"index": delta.index, "id": delta.id, "type": "function"}
                call |= {"function": {"name": delta.name, "arguments": ""}, **signed(delta.signature)}
                return self._choice(delta.choice, {"tool_calls": [call]})
            case m.ArgumentsDelta():
                return self._choice(delta.choice, {"tool_calls": [{"index": delta.index, "function": {"arguments": delta.text}}]})
            case m.Finish():
                return self._choice(delta.choice, {}, _WORD[delta.reason])
            case m.UsageDelta():
                self._usage = delta.usage
                return b""
            case m.SealDelta() | m.CitationDelta() | m.PartEnd():
                return b""  # chat chunks have no place for these

    def _choice(self, choice: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return self._chunk([{"index": choice, "delta": delta, "finish_reason": finish, "logprobs": None}])

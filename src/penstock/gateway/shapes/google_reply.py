"""Gemini replies to and from the normal form (https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes import google_error, google_logprobs, google_usage, seal
from penstock.gateway.shapes.google_read import NAME, VENDOR
from penstock.gateway.shapes.google_usage import UsageWire
from penstock.kernel import messages as m
from penstock.kernel.call import Usage
from penstock.kernel.errors import UpstreamError, UpstreamMalformed
from penstock.kernel.ids import new_id

_FILTERED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    }
)
WORD = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "context": "MAX_TOKENS",
    "tool_calls": "STOP",
    "filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "STOP",
}


class CallWire(Struct):
    """``functionCall`` of a part."""

    name: str = ""
    id: str | None = None
    args: Raw = Raw(b"")


class _Blob(Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class PartWire(Struct, rename="camel"):
    """What is understood of a part."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: CallWire | None = None
    inline_data: _Blob | None = None


class _Content(Struct):
    parts: list[Raw] | None = None


class CandidateWire(Struct, rename="camel"):
    """One of the replies, or what a chunk of a stream adds to it."""

    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int = 0
    logprobs_result: Raw = Raw(b"")


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class BodyWire(Struct, rename="camel"):
    """A whole reply, or one chunk of a stream: they have the same form."""

    candidates: list[CandidateWire] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: UsageWire | None = None
    model_version: str = ""
    response_id: str = ""
    error: Raw = Raw(b"")

    @property
    def blocked(self) -> str | None:
        """Why the prompt was refused, when it was."""
        return self.prompt_feedback.block_reason if self.prompt_feedback is not None else None


_BODY = msgspec.json.Decoder(BodyWire)
_PART = msgspec.json.Decoder(PartWire)
_OPAQUE = msgspec.json.Decoder(dict[str, Raw])


def read(data: bytes) -> BodyWire:
    """One reply or chunk. Raises `UpstreamMalformed` for what is none, `UpstreamError` when it reports a failure."""
    try:
        body = _BODY.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise UpstreamMalformed("The provider's reply is no Gemini reply.") from fault
    if bytes(body.error) not in (b"", b"null"):
        raise google_error.upstream_error(body.error)
    return body


def parts_of(candidate: CandidateWire) -> list[tuple[PartWire, Raw]]:
    """The parts, each also as it is written. Raises `UpstreamMalformed`."""
    raws = (candidate.content.parts if candidate.content is not None else None) or []
    try:
        return [(_PART.decode(raw), raw) for raw in raws]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise UpstreamMalformed("The provider's reply holds a part that is none.") from fault


def finish_of(word: str | None, called: bool) -> m.FinishReason:
    """Why generation ended. That tools are to be called is not told by this API's word, but by the calls."""
    if word in _FILTERED:
        return "filter"
    if word == "MAX_TOKENS":
        return "length"
    return "tool_calls" if called else "stop"


def failed(word: str | None, message: str | None) -> UpstreamError | None:
    """The error that a finish reason stands for when nothing was said: a malformed call, say. None for the reasons that are no failure."""
    if word in (None, "STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED") or word in _FILTERED:
        return None
    return UpstreamError(f"The provider ended the reply without content: {word}{': ' + message if message else ''}")


def decode_reply(data: bytes) -> m.Completion:
    """A whole reply. Raises `UpstreamMalformed`, or `UpstreamError` when it reports a failure."""
    body = read(data)
    if body.candidates:
        choices = tuple(_choice(candidate) for candidate in body.candidates)
    elif body.blocked is not None:
        choices = (m.Choice(parts=(), finish="filter"),)
    else:
        raise UpstreamMalformed("The provider's reply has no candidates.")
    return m.Completion(
        id=body.response_id,
        model=body.model_version,
        choices=choices,
        usage=google_usage.from_wire(body.usage_metadata) if body.usage_metadata is not None else None,
    )


def _choice(candidate: CandidateWire) -> m.Choice:
    parts = tuple(_part(part, raw) for part, raw in parts_of(candidate))
    fault = failed(candidate.finish_reason, candidate.finish_message)
    if fault is not None and not parts:
        raise fault
    return m.Choice(
        parts=parts,
        finish=finish_of(candidate.finish_reason, any(isinstance(p, m.ToolCall) for p in parts)),
        index=candidate.index,
        logprobs=google_logprobs.to_chat(candidate.logprobs_result),
    )


def _part(part: PartWire, raw: Raw) -> m.Part:
    signature = signature_of(part)
    if part.function_call is not None:
        call = part.function_call
        return m.ToolCall(id_of(call), call.name, arguments_of(call), signature=signature)
    if part.inline_data is not None:
        source = m.Inline(part.inline_data.mime_type, part.inline_data.data)
        return m.Audio(source) if source.media_type.startswith("audio/") else m.Image(source)
    if part.text is not None:
        # The signature of text that is no thought is left out: it is not insisted on, and no other shape has a place for it.
        return m.Reasoning(part.text, signature=signature) if part.thought else m.Text(part.text)
    try:
        fields = _OPAQUE.decode(bytes(raw).decode())  # it may be sent on, so it must be UTF-8 throughout
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise UpstreamMalformed("The provider's reply holds a part that is none.") from fault
    return m.Opaque(NAME, next(iter(fields), ""), raw)


def signature_of(part: PartWire) -> str | None:
    """The part's signature in the normal form."""
    return seal.named(VENDOR, part.thought_signature) if part.thought_signature else None


def id_of(call: CallWire) -> str:
    """The call's id, or a new one: older models give none."""
    return call.id or new_id("call")


def arguments_of(call: CallWire) -> str:
    """The call's arguments as JSON text. Raises `UpstreamMalformed` when they are not UTF-8."""
    try:
        text = bytes(call.args).decode()
    except UnicodeDecodeError as fault:
        raise UpstreamMalformed("The provider's reply holds a call whose arguments are not UTF-8.") from fault
    return "{}" if text in ("", "null") else text


def encode_reply(completion: m.Completion, model: str) -> bytes:
    """The reply for a client, naming ``model``."""
    out: dict[str, Any] = {
        "candidates": [
            candidate(
                choice.index, [w for p in choice.parts if (w := written(p)) is not None], WORD[choice.finish or "stop"], choice.logprobs
            )
            for choice in completion.choices
        ],
        "usageMetadata": google_usage.to_object(completion.usage or Usage()),
        "modelVersion": model,
        "responseId": completion.id,
    }
    return msgspec.json.encode(out)


def candidate(index: int, parts: list[Any], finish: str | None = None, logprobs: Raw | None = None) -> dict[str, Any]:
    """One candidate of a reply or a chunk."""
    out: dict[str, Any] = {"content": {"parts": parts, "role": "model"} if parts else {"role": "model"}, "index": index}
    if finish is not None:
        out["finishReason"] = finish
    if logprobs is not None:
        out["logprobsResult"] = google_logprobs.from_chat(logprobs)
    return out


def written(part: m.Part) -> Any:
    """A part for a client, None for one that this API has no place for."""
    match part:
        case m.Text() | m.Refusal():
            return {"text": part.text}
        case m.Reasoning():
            return thought(part.text or "\n".join(part.summary), part.signature)
        case m.ToolCall():
            return function_call(part.id, part.name, part.arguments, part.signature)
        case m.Image(source=m.Inline() as source) | m.Audio(source=m.Inline() as source):
            return {"inlineData": {"mimeType": source.media_type, "data": source.data}}
        case m.Opaque(shape="google.generate"):
            return part.raw
        case _:
            return None


def thought(text: str, signature: str | None) -> dict[str, Any] | None:
    """A part that holds thoughts, None when there is nothing to hold."""
    if not text and signature is None:
        return None
    out: dict[str, Any] = {"text": text, "thought": True}
    return {**out, "thoughtSignature": seal.to_client(signature, VENDOR)} if signature is not None else out


def function_call(id: str, name: str, arguments: str, signature: str | None) -> dict[str, Any]:
    """A part that holds a call."""
    out: dict[str, Any] = {"functionCall": {"id": id, "name": name, "args": m.arguments_object(arguments)}}
    return {**out, "thoughtSignature": seal.to_client(signature, VENDOR)} if signature is not None else out

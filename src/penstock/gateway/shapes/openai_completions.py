"""OpenAI's older completions: a text continued (https://platform.openai.com/docs/api-reference/completions).

Passed through where a provider has them. Elsewhere the prompt becomes a user's message, which a model of conversation answers rather than
continues; what only a completion can ask for (several prompts, tokens, a suffix, the echo, log probabilities) is refused by name.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from penstock.gateway.shapes import openai_error, openai_usage
from penstock.gateway.shapes.body import CAP_FROM_ZERO, COUNT, FLAG, decode, expect, head, model_of, top_level
from penstock.gateway.shapes.openai_chat import ChunkEye, OpenAIChatPassthrough, stream_options
from penstock.gateway.shapes.openai_chunks import ChunkDecoder, ChunkEncoder, ChunkWire
from penstock.gateway.shapes.reader import Reader
from penstock.gateway.shapes.shape import PLAIN, Dialect, Fields, Head, StreamDecoder, StreamEncoder, StreamTap
from penstock.gateway.shapes.tap import Tap
from penstock.kernel import messages as m
from penstock.kernel.errors import NotExpressible, UpstreamMalformed

NAME = "openai.completions"
_OBJECT = "text_completion"
DEFAULT_MAX_TOKENS = 16
"""What the API takes when the caller names no cap."""

_WORD = {"length": "length", "context": "length", "filter": "content_filter", "refusal": "content_filter"}
_FINISH: dict[str, m.FinishReason] = {"length": "length", "content_filter": "filter"}
_TEXTS = msgspec.json.Decoder(str | list[str])
_TEXT_OR_TEXTS = msgspec.json.Decoder(str | list[str] | None)


class _Choice(Struct):
    text: str | None = None
    index: int = 0
    finish_reason: str | None = None


_BODY = msgspec.json.Decoder(ChunkWire[_Choice])


class OpenAICompletions(OpenAIChatPassthrough):
    """The shape ``openai.completions``: usage, errors and the ends of streams are those of chat completions."""

    name = NAME
    operation = "completions"

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields = top_level(body)
        model = model_of(fields)
        expect(fields, "prompt", b'["')
        stream = head(fields, "stream", FLAG) or False
        found = Head(
            model=model,
            stream=stream,
            max_output=head(fields, "max_tokens", CAP_FROM_ZERO),
            include_usage=stream and stream_options(fields),
            n=head(fields, "n", COUNT) or 1,
        )
        return fields, found

    def tap(self, *, keep_usage: bool) -> StreamTap:
        """See `StreamingShape.tap`."""
        return Tap(ChunkEye(keep_usage), (b'"text":',))

    def decode_request(self, fields: Fields) -> m.Request:
        """See `ChatShape.decode_request`."""
        r = Reader(fields)
        r.raw("model")
        prompt = _prompt(r)
        for name, plain in (("echo", b"false"), ("best_of", b"1"), ("suffix", b'""'), ("logprobs", b"null")):
            value = r.raw(name)
            if value is not None and bytes(value) != plain:
                raise NotExpressible(f"'{name}' cannot be expressed for a model of conversation.", param=name)
        stop_raw = r.raw("stop")
        stop = decode(_TEXT_OR_TEXTS, stop_raw, "'stop'", "stop") if stop_raw is not None else None
        options = r.object("stream_options")
        cap = r.whole("max_tokens")
        return m.Request(
            shape=NAME,
            messages=(m.Message("user", (m.Text(prompt),)),),
            sampling=m.Sampling(
                temperature=r.number("temperature"),
                top_p=r.number("top_p"),
                seed=r.whole("seed"),
                stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
                frequency_penalty=r.number("frequency_penalty"),
                presence_penalty=r.number("presence_penalty"),
                logit_bias=r.raw("logit_bias"),
            ),
            max_output=cap if cap is not None else DEFAULT_MAX_TOKENS,
            n=r.whole("n"),
            user=r.text("user"),
            stream=r.flag("stream") or False,
            include_usage=(options.flag("include_usage") if options else None) or False,
            extra=r.rest(),
        )

    def encode_request(self, request: m.Request, *, model: str, stream: bool, dialect: Dialect = PLAIN) -> bytes:
        """See `ChatShape.encode_request`; a conversation is no text to be continued, so nothing is translated this way."""
        raise NotExpressible("a conversation cannot be expressed for a provider that has only completions", param="messages")

    def decode_reply(self, body: bytes) -> m.Completion:
        """See `ChatShape.decode_reply`."""
        read = _read(body)
        if not read.choices:
            raise UpstreamMalformed("The provider's completion has no choices.")
        choices = tuple(
            m.Choice(parts=(m.Text(one.text or ""),), finish=_FINISH.get(one.finish_reason or "", "stop"), index=one.index)
            for one in read.choices
        )
        return m.Completion(
            id=read.id,
            model=read.model,
            choices=choices,
            created=int(read.created) if read.created is not None else None,
            usage=openai_usage.from_chat(read.usage) if read.usage is not None else None,
            fingerprint=read.system_fingerprint,
        )

    def encode_reply(self, completion: m.Completion, *, model: str) -> bytes:
        """See `ChatShape.encode_reply`."""
        created = completion.created if completion.created is not None else int(time.time())
        choices = [_choice(m.plain_text(one.parts), one.index, _WORD.get(one.finish or "", "stop")) for one in completion.choices]
        out: dict[str, Any] = {"id": completion.id, "object": _OBJECT, "created": created, "model": model, "choices": choices}
        if completion.usage is not None:
            out["usage"] = openai_usage.chat_object(completion.usage)
        if completion.fingerprint is not None:
            out["system_fingerprint"] = completion.fingerprint
        return msgspec.json.encode(out)

    def stream_decoder(self) -> StreamDecoder:
        """See `ChatShape.stream_decoder`."""
        return _Decoder()

    def stream_encoder(self, *, model: str, include_usage: bool) -> StreamEncoder:
        """See `ChatShape.stream_encoder`."""
        return _Encoder(model, include_usage)


def _prompt(r: Reader) -> str:
    raw = r.raw("prompt")
    if raw is None:
        raise r.fault("prompt", "is missing")
    try:
        given = _TEXTS.decode(raw)
    except msgspec.ValidationError:
        raise NotExpressible("'prompt' as tokens cannot be expressed for a model of conversation; send a text.", param="prompt") from None
    if isinstance(given, str):
        return given
    if len(given) != 1:
        raise NotExpressible("several texts in 'prompt' cannot be expressed for a model of conversation; send one.", param="prompt")
    return given[0]


def _read(data: bytes) -> ChunkWire[_Choice]:
    try:
        body = _BODY.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise UpstreamMalformed("The provider's reply is no completion.") from fault
    openai_error.check(body.error)
    return body


def _choice(text: str, index: int, finish: str | None) -> Mapping[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


class _Decoder(ChunkDecoder[_Choice]):
    """A `StreamDecoder` for the pieces of a completion, as recordings of one need it."""

    def __init__(self) -> None:
        super().__init__(_read)

    def _choice(self, choice: _Choice, deltas: list[m.Delta]) -> None:
        if choice.text:
            self.output_bytes += len(choice.text)
            deltas.append(m.TextDelta(choice.text, choice=choice.index))
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
            deltas += [m.PartEnd(choice.index), m.Finish(_FINISH.get(choice.finish_reason, "stop"), choice=choice.index)]


class _Encoder(ChunkEncoder):
    """A `StreamEncoder` that writes the pieces of a completion; thoughts and tools have no place in one."""

    object = _OBJECT

    def encode(self, delta: m.Delta) -> bytes:
        """See `StreamEncoder.encode`."""
        match delta:
            case m.Begin():
                self._begin(delta)
                return b""
            case m.TextDelta() | m.RefusalDelta():
                return self._chunk([_choice(delta.text, delta.choice, None)])
            case m.Finish():
                return self._chunk([_choice("", delta.choice, _WORD.get(delta.reason, "stop"))])
            case m.UsageDelta():
                self._usage = delta.usage
                return b""
            case _:
                return b""

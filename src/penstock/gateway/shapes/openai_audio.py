"""OpenAI's audio APIs, passed through (https://platform.openai.com/docs/api-reference/audio): sound to text, and text to sound."""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from penstock.gateway.shapes import openai_error
from penstock.gateway.shapes.body import decode, expect, model_of, top_level
from penstock.gateway.shapes.openai_chunks import DONE
from penstock.gateway.shapes.openai_usage import Count, count
from penstock.gateway.shapes.plain import BINARY, TEXT, FormShape, Plain
from penstock.gateway.shapes.shape import Fields, Head, StreamTap
from penstock.gateway.shapes.tap import Tap
from penstock.gateway.uploads import sound
from penstock.gateway.uploads.upload import Form
from penstock.kernel.call import Usage
from penstock.kernel.errors import MalformedRequest, UpstreamMalformed

TOKENS_HEARD_A_MINUTE = 1_000
"""Audio tokens of a minute of sound: OpenAI tells 0.006 USD a minute for gpt-4o-transcribe, at 6 USD a million."""
TOKENS_WRITTEN_A_MINUTE = 250
"""Tokens of the text of a minute's speech: 150 to 180 words."""
TOKENS_SPOKEN_A_CHARACTER = 1.4
"""Audio tokens of a spoken character: OpenAI tells 0.015 USD a minute for gpt-4o-mini-tts at 12 USD a million, and a minute says 900
characters."""

_TEXT = msgspec.json.Decoder(str)
_STAMP = re.compile(rb"--> *(?:(\d+):)?(\d\d):(\d\d)[.,](\d{3})")


class _InputDetails(Struct):
    audio_tokens: Count = None


class _AudioUsage(Struct):
    """Tokens or seconds as OpenAI counts them; Mistral's ``prompt_audio_seconds`` beside its tokens."""

    input_tokens: Count = None
    output_tokens: Count = None
    prompt_tokens: Count = None
    completion_tokens: Count = None
    seconds: Count = None
    prompt_audio_seconds: Count = None
    input_token_details: _InputDetails | None = None


class _Body(Struct):
    usage: _AudioUsage | None = None
    duration: Count = None


class _Event(Struct):
    type: str = ""
    usage: _AudioUsage | None = None
    error: msgspec.Raw = msgspec.Raw(b"")


_BODY = msgspec.json.Decoder(_Body)
_EVENT = msgspec.json.Decoder(_Event)


def _usage(wire: _AudioUsage | None, duration: Count = None) -> Usage | None:
    if wire is None:
        return Usage(audio_ms=count(duration * 1000)) if duration else None
    seconds = wire.seconds or wire.prompt_audio_seconds or duration or 0
    details = wire.input_token_details
    return Usage(
        input=count(wire.input_tokens) or count(wire.prompt_tokens),
        output=count(wire.output_tokens) or count(wire.completion_tokens),
        audio_input=count(details.audio_tokens) if details is not None else 0,
        audio_ms=count(seconds * 1000),
    )


class OpenAITranscriptions(FormShape):
    """The shape ``openai.transcriptions``. Replies are JSON, text, subtitles, or a stream."""

    name = "openai.transcriptions"
    operation = "transcription"
    answers = TEXT

    def read_form(self, form: Form) -> Head:
        """See `FormShape.read_form`."""
        model = form.model()
        if form.complete and not any(file.name == "file" for file in form.files):
            # Text in its place is what a client sends that forgot to open its file.
            wrong = "must be a file with a file name" if form.values.get("file") else "is missing"
            raise MalformedRequest(f"'file' {wrong}.", param="file")
        return Head(model=model, stream=form.flag("stream"), expected=self.expected(form))

    def expected(self, form: Form) -> Usage:
        """See `FormShape.expected`."""
        heard = 0
        for file in form.files:
            size = file.size if form.complete else max(file.size, form.declared or 0)
            heard += sound.milliseconds(file.first, size)
        tokens = heard * TOKENS_HEARD_A_MINUTE // 60_000
        return Usage(audio_ms=heard, input=tokens, audio_input=tokens, output=heard * TOKENS_WRITTEN_A_MINUTE // 60_000)

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`; subtitles tell by their last time stamp how long the recording is, at least."""
        if body[:1] == b"{":
            try:
                read = _BODY.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return None
            return _usage(read.usage, read.duration)
        last = None
        for last in _STAMP.finditer(body):  # noqa: B007 - the last one counts
            pass
        if last is None:
            return None
        hours, minutes, seconds, thousandths = (int(part or 0) for part in last.groups())
        return Usage(audio_ms=((hours % 1000 * 60 + minutes) * 60 + seconds) * 1000 + thousandths, estimated=True)

    def tap(self, *, keep_usage: bool) -> StreamTap:
        """See `StreamingShape.tap`."""
        return Tap(_Eye(b"transcript.text.done"), (b'"delta":', b'"content":'))


class OpenAITranslations(OpenAITranscriptions):
    """The shape ``openai.translations``: the same, into English."""

    name = "openai.translations"
    operation = "translation"


class OpenAISpeech(Plain):
    """The shape ``openai.speech``. Replies are sound, passed on while it comes, or a stream of events."""

    name = "openai.speech"
    operation = "speech"
    answers = BINARY

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields = top_level(body)
        model = model_of(fields)
        expect(fields, "input", b'"')
        text = decode(_TEXT, fields["input"], "'input'", "input")
        return fields, Head(
            model=model,
            expected=Usage(characters=len(text), input=len(text.encode()) // 4 + 1, output=int(len(text) * TOKENS_SPOKEN_A_CHARACTER)),
        )

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        return None

    def tap(self, *, keep_usage: bool) -> StreamTap:
        """See `StreamingShape.tap`."""
        return Tap(_Eye(b"speech.audio.done"), (b'"audio":',))


class _Eye:
    """Looks for the event that ends a stream and tells the usage, and for failures; vLLM ends its streams as chat completions end."""

    def __init__(self, end: bytes) -> None:
        self.usage: Usage | None = None
        self.finished = False
        self.finish_reason: str | None = None
        self._end = end

    def quiet(self, chunk: bytes) -> bool:
        """See `Eye.quiet`."""
        return self._end not in chunk and DONE not in chunk and b'"error"' not in chunk and b'"usage"' not in chunk

    def see(self, data: bytes) -> bool:
        """See `Eye.see`."""
        if data.strip() == DONE:
            self.finished = True
            return True
        try:
            event = _EVENT.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise UpstreamMalformed("The provider's stream holds an event that is none of an audio stream.") from fault
        openai_error.check(event.error)
        if event.usage is not None:
            self.usage = _usage(event.usage)
        if event.type.encode() == self._end:
            self.finished = True
        return True

"""Realtime events as the gateway reads them: the type, and of some of them what they cost or ask for. Everything else passes by unread.

Names are those of OpenAI's API (https://platform.openai.com/docs/api-reference/realtime-server-events) and of its beta, where they differ.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from penstock.gateway.shapes import openai_error
from penstock.gateway.shapes.body import decode, head, top_level
from penstock.gateway.shapes.openai_usage import Count, count
from penstock.gateway.shapes.shape import Fields
from penstock.kernel.call import Usage
from penstock.kernel.errors import MalformedRequest, PenstockError
from penstock.kernel.ids import new_id

AUDIO_DELTAS = frozenset({"response.output_audio.delta", "response.audio.delta"})
AUDIO_DONE = frozenset({"response.output_audio.done", "response.audio.done"})
TEXT_DELTAS = frozenset(
    {
        "response.output_text.delta",
        "response.text.delta",
        "response.output_audio_transcript.delta",
        "response.audio_transcript.delta",
        "response.function_call_arguments.delta",
    }
)
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"

_TYPE: msgspec.json.Decoder[str] = msgspec.json.Decoder(Annotated[str, Meta(min_length=1, max_length=200)])
_ID: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)
_TEXT = msgspec.json.Decoder(str)


class Event(Struct, frozen=True):
    """One event: its type and its top level, every value still as it was written."""

    type: str
    fields: Fields

    @property
    def id(self) -> str | None:
        """The id that its sender gave it, if any."""
        try:
            return head(self.fields, "event_id", _ID)
        except MalformedRequest:
            return None

    def text(self, name: str) -> str:
        """A field that is a string; empty when it is absent or something else."""
        try:
            return head(self.fields, name, _TEXT) or ""
        except MalformedRequest:
            return ""


def read(message: str | bytes) -> Event:
    """The event in a message. Raises `MalformedRequest` unless it is one JSON object, at most 100 levels deep, with a type."""
    fields = top_level(message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message)
    kind = head(fields, "type", _TYPE)
    if kind is None:
        raise MalformedRequest("The event has no 'type'.", param="type")
    return Event(kind, fields)


def error_event(fault: PenstockError, about: str | None = None) -> str:
    """The event by which the vendor would say so; ``about`` is the id of the client's event that is at fault."""
    told: dict[str, Any] = {"type": "error", "event_id": new_id("event"), "error": {**openai_error.error_object(fault), "event_id": about}}
    return msgspec.json.encode(told).decode()


class _CachedDetails(Struct):
    audio_tokens: Count = None


class _InputDetails(Struct):
    cached_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None
    cached_tokens_details: _CachedDetails | None = None


class _OutputDetails(Struct):
    audio_tokens: Count = None
    reasoning_tokens: Count = None


class _Usage(Struct):
    input_tokens: Count = None
    output_tokens: Count = None
    seconds: Count = None
    input_token_details: _InputDetails | None = None
    output_token_details: _OutputDetails | None = None


class _Response(Struct):
    id: str | None = None
    status: str | None = None
    usage: _Usage | None = None
    max_output_tokens: int | str | None = None
    max_response_output_tokens: int | str | None = None


class _Transcription(Struct):
    model: str | None = None


class _Side(Struct):
    transcription: _Transcription | None = None
    format: Raw = Raw(b"")


class _Audio(Struct):
    input: _Side | None = None
    output: _Side | None = None


class SessionTerms(Struct):
    """What of a session's configuration the gateway heeds."""

    max_output_tokens: int | str | None = None
    max_response_output_tokens: int | str | None = None
    audio: _Audio | None = None
    input_audio_transcription: _Transcription | None = None
    input_audio_format: Raw = Raw(b"")
    output_audio_format: Raw = Raw(b"")

    @property
    def formats(self) -> tuple[bytes, bytes]:
        """How sound is written on its way in and out; empty where nothing is said of it."""
        audio = self.audio or _Audio()
        heard = audio.input.format if audio.input is not None else self.input_audio_format
        spoken = audio.output.format if audio.output is not None else self.output_audio_format
        return bytes(heard), bytes(spoken)

    @property
    def transcriber(self) -> str | None:
        """The model that writes down what the client says; the beta names it elsewhere."""
        if self.audio is not None and self.audio.input is not None and self.audio.input.transcription is not None:
            return self.audio.input.transcription.model
        return self.input_audio_transcription.model if self.input_audio_transcription is not None else None

    @property
    def most(self) -> int | None:
        """The cap on a response's output tokens; None for none."""
        return _whole(self.max_output_tokens) or _whole(self.max_response_output_tokens)


class Ended(Struct, frozen=True):
    """A response that is done: its id, how it ended, and what it used (None: it did not say)."""

    id: str
    status: str
    usage: Usage | None


class _Fault(Struct):
    code: str | None = None
    event_id: str | None = None


_RESPONSE = msgspec.json.Decoder(_Response)
_TERMS = msgspec.json.Decoder(SessionTerms)
_USAGE = msgspec.json.Decoder(_Usage)
_FAULT = msgspec.json.Decoder(_Fault)


def _part(event: Event, name: str, decoder: msgspec.json.Decoder[Any]) -> Any:
    raw: Raw | None = event.fields.get(name)
    if raw is None:
        return None
    try:
        return decode(decoder, raw, f"'{name}'", name)
    except (MalformedRequest, ValueError):  # a number of thousands of digits is a ValueError to the interpreter
        return None


def response_id(event: Event) -> str:
    """The id of the response that an event is about; empty when it names none."""
    found = _part(event, "response", _RESPONSE)
    return (found.id if found is not None else None) or event.text("response_id")


def cap(event: Event) -> int | None:
    """The cap on output tokens that a ``response.create`` sets itself."""
    found = _part(event, "response", _RESPONSE)
    return None if found is None else _whole(found.max_output_tokens) or _whole(found.max_response_output_tokens)


def ended(event: Event) -> Ended:
    """What a ``response.done`` tells."""
    found = _part(event, "response", _RESPONSE)
    if found is None:
        return Ended("", "", None)
    return Ended(found.id or "", found.status or "", None if found.usage is None else _usage(found.usage))


def transcribed(event: Event) -> Usage | None:
    """What a finished transcription of the client's words used: tokens, or seconds of sound."""
    found = _part(event, "usage", _USAGE)
    return None if found is None else _usage(found)


def terms(event: Event) -> SessionTerms | None:
    """The configuration in a ``session.update``, ``session.created`` or ``session.updated``."""
    return _part(event, "session", _TERMS)


def complaint(event: Event) -> tuple[str, str]:
    """The code of an ``error``, and the id of the client's event that it is about; both may be empty."""
    found = _part(event, "error", _FAULT)
    return ("", "") if found is None else (found.code or "", found.event_id or "")


def _usage(wire: _Usage) -> Usage:
    read = wire.input_token_details or _InputDetails()
    written = wire.output_token_details or _OutputDetails()
    cached_audio = count(read.cached_tokens_details.audio_tokens) if read.cached_tokens_details is not None else 0
    return Usage(
        input=count(wire.input_tokens),
        output=count(wire.output_tokens),
        cached=count(read.cached_tokens),
        reasoning=count(written.reasoning_tokens),
        # Of sound that was cached, only the cached price is due: it must not come off the rest once more.
        audio_input=max(0, count(read.audio_tokens) - cached_audio),
        audio_output=count(written.audio_tokens),
        image_input=count(read.image_tokens),
        audio_ms=count(wire.seconds * 1000) if wire.seconds is not None else 0,
    )


def _whole(value: int | str | None) -> int | None:
    return value if isinstance(value, int) and 0 < value < 2**31 else None

"""What a call asks of whoever does it: kinds of content, tools, a schema, room."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from penstock.kernel.call import Call
from penstock.kernel.candidates import Kind, Traits
from penstock.kernel.choice import Constraint

_TYPED: Final = re.compile(rb'"type"\s*:\s*"(?:input_)?(image|image_url|audio|video|video_url|document|file)"')
_INLINE: Final = re.compile(rb'"(?:inline_?[dD]ata|file_?[dD]ata)"\s*:\s*\{[^{}]{0,400}?"mime_?[tT]ype"\s*:\s*"([a-z]+)/')
_KINDS: Final[dict[bytes, Kind]] = {
    b"image": "image", b"image_url": "image", b"audio": "audio", b"video": "video", b"video_url": "video",
    b"document": "file", b"file": "file", b"application": "file", b"text": "file",
}  # fmt: skip
_HINTS: Final = (b'"image', b'"input_', b'"audio"', b'"video', b'"document"', b'"file"')
_NOTHING: Final = frozenset((b"[]", b"null", b"{}"))
_TEXT: Final[frozenset[Kind]] = frozenset(("text",))
OUTPUT_GUESS: Final = 256
"""Tokens of output that a call without a cap is expected to take where the evidence does not say."""


class Demands(msgspec.Struct, frozen=True):
    """``tokens`` is the input and the output that must have room beside it."""

    kinds: frozenset[Kind]
    tools: bool
    json: bool
    tokens: int


def demands_of(call: Call) -> Demands:
    """What the call asks for, by some microseconds' look at its bytes; JSON escapes quotes, so that no text is taken for it."""
    body, fields = call.body, call.fields
    kinds = _TEXT
    if b'"type"' in body and any(hint in body for hint in _HINTS):
        typed: set[Kind] = {_KINDS[kind] for kind in _TYPED.findall(body)}
        kinds = kinds | typed
    if b'"inline' in body or b'"file' in body:
        inline: set[Kind] = {_KINDS[kind] for kind in _INLINE.findall(body) if kind in _KINDS}
        kinds = kinds | inline
    tools = fields.get("tools")
    form = fields.get("response_format") or fields.get("text") or fields.get("output_config")
    return Demands(
        kinds,
        tools is not None and bytes(tools) not in _NOTHING,
        form is not None and b"json_schema" in bytes(form),
        call.input_estimate + (call.max_output or 0),
    )


def missing(demands: Demands, traits: Traits) -> tuple[Constraint, str] | None:
    """What a target with these traits lacks for the call, with words; None where nothing is known to be missing."""
    if traits.context is not None and demands.tokens > traits.context:
        return "context", f"takes {traits.context} tokens, and the call may need about {demands.tokens}"
    if traits.inputs is not None and not demands.kinds <= traits.inputs:
        return "modality", f"takes no {' or '.join(sorted(demands.kinds - traits.inputs))}"
    if demands.tools and traits.tools is False:
        return "tools", "calls no tools"
    if demands.json and traits.json is False:
        return "json", "cannot be held to a JSON schema"
    return None

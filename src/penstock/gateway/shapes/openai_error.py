"""Failures as OpenAI's APIs report them (https://platform.openai.com/docs/guides/error-codes), out and in."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from penstock.kernel.errors import UpstreamError
from penstock.kernel.refusals import openai_object as error_object
from penstock.kernel.refusals import openai_refusal as render

__all__ = ["ErrorWire", "check", "error_object", "render", "upstream_error"]

_NONE = (Raw(b""), Raw(b"null"))


class ErrorWire(Struct):
    """The object under ``error``. Compatible servers leave fields out or give the code as a number."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None


def check(raw: Raw) -> None:
    """Raises `UpstreamError` when a provider put a failure under ``error`` of a reply or an event."""
    if raw not in _NONE:
        raise upstream_error(raw)


def upstream_error(raw: bytes | Raw) -> UpstreamError:
    """The failure that a provider reported inside a stream or a reply, from the object under ``error``."""
    try:
        wire = msgspec.json.decode(raw, type=ErrorWire | str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        wire = ErrorWire()
    message = wire if isinstance(wire, str) else wire.message
    return UpstreamError(f"The provider reported an error: {message or 'without saying which'}")

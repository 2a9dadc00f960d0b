"""Failures as OpenAI's APIs report them (https://platform.openai.com/docs/guides/error-codes), out and in."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from penstock.kernel.errors import PenstockError, UpstreamError

_NONE = (Raw(b""), Raw(b"null"))


class ErrorWire(Struct):
    """The object under ``error``. Compatible servers leave fields out or give the code as a number."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None


def error_object(error: PenstockError) -> dict[str, Any]:
    """What stands under ``error``."""
    status = error.status
    if error.code == "insufficient_quota":
        kind = "insufficient_quota"
    elif status == 429:
        kind = "rate_limit_error"
    elif status == 403:
        kind = "permission_error"
    else:
        kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"message": error.message, "type": kind, "param": error.param, "code": error.code}


def render(error: PenstockError) -> tuple[int, bytes]:
    """Status and body for ``error``."""
    return error.status, msgspec.json.encode({"error": error_object(error)})


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

"""Failures as Anthropic's API reports them (https://platform.claude.com/docs/en/api/errors), out and in."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from penstock.kernel.errors import PenstockError, UpstreamError

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _ErrorWire(Struct):
    type: str
    message: str


def body(error: PenstockError) -> bytes:
    """The error's JSON, in a reply as in a stream."""
    kind = _TYPES.get(error.status) or ("api_error" if error.status >= 500 else "invalid_request_error")
    # The API has no field for the offending parameter, so the message names it.
    named = error.param is None or error.param in error.message
    message = error.message if named else f"{error.param}: {error.message}"
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def render(error: PenstockError) -> tuple[int, bytes]:
    """Status and body for ``error``."""
    return error.status, body(error)


def upstream_error(raw: bytes | Raw) -> UpstreamError:
    """The failure that a provider reported inside a stream or a reply, from the object under ``error``."""
    try:
        message = msgspec.json.decode(raw, type=_ErrorWire).message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = "without saying which"
    return UpstreamError(f"The provider reported an error: {message}")

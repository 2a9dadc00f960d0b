"""Failures as Google's APIs report them, out and in: an HTTP status with a ``google.rpc.Status`` (https://google.aip.dev/193)."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from penstock.kernel.errors import PenstockError, UpstreamError

_WORDS = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    504: "DEADLINE_EXCEEDED",
}
_RETRY = "type.googleapis.com/google.rpc.RetryInfo"
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


class _Detail(Struct):
    kind: str = msgspec.field(default="", name="@type")
    retry_delay: str | None = msgspec.field(default=None, name="retryDelay")
    reason: str | None = None


class _Status(Struct):
    message: str | None = None
    status: str | None = None
    details: list[_Detail] | None = None


class _Body(Struct):
    error: _Status | None = None


_ANSWER: msgspec.json.Decoder[_Body | list[_Body]] = msgspec.json.Decoder(_Body | list[_Body])
_STATUS = msgspec.json.Decoder(_Status)


def body(error: PenstockError) -> bytes:
    """The error's JSON, in a reply as in a stream."""
    word = _WORDS.get(error.status) or ("UNAVAILABLE" if error.status >= 500 else "INVALID_ARGUMENT")
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.code.upper(), "domain": "penstock"}
    ]
    if error.param is not None:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    if error.retry_after is not None:
        details.append({"@type": _RETRY, "retryDelay": f"{max(1, math.ceil(error.retry_after))}s"})
    return msgspec.json.encode({"error": {"code": error.status, "message": error.message, "status": word, "details": details}})


def render(error: PenstockError) -> tuple[int, bytes]:
    """Status and body for ``error``."""
    return error.status, body(error)


def upstream_error(raw: bytes | Raw) -> UpstreamError:
    """The failure that a provider reported inside a stream or a reply, from the object under ``error``."""
    try:
        wire = _STATUS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        wire = _Status()
    word = f"{wire.status}: " if wire.status else ""
    return UpstreamError(f"The provider reported an error: {word}{wire.message or 'without saying which'}")


def retry_delay(answer: bytes) -> float | None:
    """Seconds after which a refused request may be tried again, as its ``RetryInfo`` says; None when it says nothing."""
    status = _read(answer)
    for detail in (status.details if status is not None else None) or ():
        found = _DURATION.fullmatch(detail.retry_delay or "") if detail.kind == _RETRY else None
        if found is not None:
            return float(found[1])
    return None


def blames_key(answer: bytes) -> bool:
    """Whether a refusal is about the key or the account that was used, which Google tells with status 400 too."""
    status = _read(answer)
    if status is None:
        return False
    return status.status == "FAILED_PRECONDITION" or any((detail.reason or "").startswith("API_KEY_") for detail in status.details or ())


def _read(answer: bytes) -> _Status | None:
    try:
        found = _ANSWER.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(found, _Body):
        return found.error
    return found[0].error if found else None

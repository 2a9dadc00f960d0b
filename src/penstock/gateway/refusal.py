"""What a provider says when it refuses a call: its status, its words and its wait, whatever form its errors have."""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime
from typing import Any, cast

import msgspec

from penstock.gateway.providers.provider import Upstream
from penstock.gateway.shapes import bedrock_error, google_error
from penstock.kernel.errors import PenstockError, UpstreamRefused

ERROR_BYTES = 64 * 1024
LONGEST_SAID = 1000
_WORDS = ("error", "message", "Message", "detail", "msg")


async def refusal(provider: str, upstream: Upstream) -> UpstreamRefused:
    """The error for an answer whose status is not 200; its body is read."""
    status = upstream.status
    try:
        body = await upstream.read(ERROR_BYTES)
    except PenstockError:
        body = b""
    if status == 400 and google_error.blames_key(body):
        status = 401
    status = bedrock_error.status_of(upstream.header(bedrock_error.HEADER), status)
    wait = _retry_after(upstream)
    return UpstreamRefused(
        f"{provider} answered {status}: {_said(status, body)}",
        status=_status(status),
        upstream_status=status,
        retry_after=wait if wait is not None else google_error.retry_delay(body),
    )


def _said(status: int, body: bytes) -> str:
    if status in (401, 403):
        # Providers quote the key in these; it is ours, not the caller's, and must not travel.
        return "our credentials are not accepted there; the operator must check the provider's key"
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    return (_words(found) or "no further explanation")[:LONGEST_SAID]


def _words(found: Any, depth: int = 4) -> str | None:
    """The message in an error: under ``error`` (OpenAI, Anthropic, Google), bare (Mistral, AWS), in a list (FastAPI)."""
    if isinstance(found, str):
        return found or None
    if not depth:
        return None
    if isinstance(found, dict):
        fields = cast("dict[str, Any]", found)
        return next((words for name in _WORDS if (words := _words(fields.get(name), depth - 1)) is not None), None)
    if isinstance(found, list):
        items = [_words(one, depth - 1) for one in cast("list[Any]", found)[:3]]
        return "; ".join(words for words in items if words is not None) or None
    return None


def _status(status: int) -> int:
    if status in (401, 402, 403, 404, 405, 407) or status < 400:
        return 502  # our fault or the operator's, never the caller's
    if status >= 500:
        return {503: 503, 504: 504, 529: 503}.get(status, 502)
    return status


def _retry_after(upstream: Upstream) -> float | None:
    value = upstream.header("retry-after-ms") or upstream.header("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value) / (1000 if upstream.header("retry-after-ms") else 1)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None

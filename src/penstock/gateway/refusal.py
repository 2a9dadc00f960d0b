"""What a provider's refusal means to the caller: which status, what it said, and when to come back."""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime

import msgspec

from penstock.gateway.providers.provider import Upstream
from penstock.gateway.shapes import bedrock_error, google_error
from penstock.kernel.errors import PenstockError, UpstreamRefused

ERROR_BYTES = 64 * 1024


class _Detail(msgspec.Struct):
    message: str = ""


class _ErrorBody(msgspec.Struct):
    error: _Detail | str | None = None
    message: str | None = None
    detail: str | None = None


async def refusal(provider: str, upstream: Upstream) -> UpstreamRefused:
    """The error that stands for an answer which is none; reads its body."""
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
        fault = msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "no further explanation"
    said = fault.error.message if isinstance(fault.error, _Detail) else fault.error
    return (said or fault.message or fault.detail or "no further explanation")[:1000]


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

"""What a sender is answered: OTLP's partial success, and Google's Status for a failure, each in the form of the request.

https://opentelemetry.io/docs/specs/otlp/#full-success-1
"""

from __future__ import annotations

import msgspec

from penstock.kernel.errors import PenstockError

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

RETRYABLE = frozenset({429, 502, 503, 504})
"""Statuses after which OTLP has senders try again."""

_UNKNOWN, _UNAVAILABLE = 2, 14
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 413: 3, 415: 3, 429: 8}


def code_of(status: int) -> int:
    """google.rpc.Code, which gRPC's codes are, by HTTP status."""
    return _CODES.get(status, _UNAVAILABLE if status in RETRYABLE else _UNKNOWN)


def success(refused: int, message: str, media: str) -> bytes:
    """An ``ExportTraceServiceResponse``; empty when all went well. ``message`` without refused spans is a warning."""
    if media == JSON:
        if not refused and not message:
            return b"{}"
        # 64-bit whole numbers are text in protobuf's JSON.
        return msgspec.json.encode({"partialSuccess": {"rejectedSpans": str(refused), "errorMessage": message}})
    if not refused and not message:
        return b""
    partial = b""
    if refused:
        partial += b"\x08" + _varint(refused)
    if message:
        partial += b"\x12" + _sized(message.encode())
    return b"\x0a" + _sized(partial)


def failure(fault: PenstockError, media: str) -> bytes:
    """A ``google.rpc.Status``. Its message begins with our stable code."""
    code, message = code_of(fault.status), f"{fault.code}: {fault.message}"
    if media == JSON:
        return msgspec.json.encode({"code": code, "message": message})
    return b"\x08" + _varint(code) + b"\x12" + _sized(message.encode())


def retry_details(code: int, message: str, seconds: float) -> bytes:
    """A ``google.rpc.Status`` with ``RetryInfo``, which gRPC's senders look for before they try again."""
    whole = int(seconds)
    delay = b"\x08" + _varint(whole) + b"\x10" + _varint(int((seconds - whole) * 1e9))
    told = b"\x0a" + _sized(b"type.googleapis.com/google.rpc.RetryInfo") + b"\x12" + _sized(b"\x0a" + _sized(delay))
    return b"\x08" + _varint(code) + b"\x12" + _sized(message.encode()) + b"\x1a" + _sized(told)


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)

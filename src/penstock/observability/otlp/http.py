"""OTLP over HTTP: POST /v1/traces.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

from penstock.kernel.errors import DeadlineExceeded, MalformedRequest, PenstockError, RequestError
from penstock.kernel.ports import Authenticator
from penstock.kernel.vendor import credential
from penstock.kernel.web import Description, EdgeProtocol, EdgeScope, Endpoint
from penstock.observability.otlp.answer import JSON, PROTOBUF, failure, success
from penstock.observability.otlp.body import too_large
from penstock.observability.otlp.intake import Intake

_log = logging.getLogger("penstock.observability")

BODY_SECONDS = 30.0
"""How long a body may take to arrive."""

_MEDIA = {PROTOBUF: PROTOBUF, "application/protobuf": PROTOBUF, JSON: JSON}


class TracesIn:
    """The endpoint. ``authenticator`` is asked for once everything is open."""

    def __init__(self, intake: Intake, authenticator: Callable[[], Authenticator], most: int) -> None:
        self._intake = intake
        self._authenticator = authenticator
        self._most = most

    def endpoint(self) -> Endpoint:
        """As the capability offers it."""
        return Endpoint(
            method="POST",
            path="/v1/traces",
            handler=self.handle,
            summary="Send spans (OTLP, protobuf or JSON).",
            describe=_describe,
        )

    async def handle(self, scope: EdgeScope, protocol: EdgeProtocol) -> None:
        """Answer one export."""
        get = scope.headers.get
        media = _MEDIA.get((get("content-type") or "").partition(";")[0].strip().lower(), "")
        try:
            try:
                principal = self._authenticator().authenticate(credential(get))
                if not media:
                    raise RequestError(
                        f"spans come as {PROTOBUF} or {JSON}, not {(get('content-type') or 'nothing')[:60]!r}",
                        code="media_type_not_taken",
                        status=415,
                    )
                body = await self._body(protocol, get("content-length"))
            except PenstockError as fault:
                self._intake.refuse(fault)
                raise
            taken = await self._intake.take(principal, body, get("content-encoding") or "", media, get("host") or "")
        except PenstockError as fault:
            _refuse(protocol, fault, media or JSON)
        except asyncio.CancelledError:
            _refuse(protocol, PenstockError("Penstock is stopping; send it again", status=503, retry_after=1), media or JSON)
        except Exception:  # the last resort: the handler never raises, and what it hides is in the log
            _log.exception("export failed")
            _refuse(protocol, PenstockError("internal error; the operator finds it in the log"), media or JSON)
        else:
            _answer(protocol, 200, [("content-type", media)], success(taken.refused, taken.message, media))

    async def _body(self, protocol: EdgeProtocol, declared: str | None) -> bytes:
        if declared is not None and declared.isdecimal() and int(declared) > self._most:
            raise too_large(self._most)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in protocol:
                    size += len(part)
                    if size > self._most:
                        raise too_large(self._most)
                    parts.append(bytes(part))
        except TimeoutError as fault:
            raise DeadlineExceeded(f"the body did not arrive within {BODY_SECONDS:g} s", code="body_timeout", status=408) from fault
        except RuntimeError as fault:  # RSGI's word for a connection that ended inside the body
            raise MalformedRequest("the connection ended inside the body") from fault
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _refuse(protocol: EdgeProtocol, fault: PenstockError, media: str) -> None:
    headers = [("content-type", media)]
    if fault.retry_after is not None:
        headers.append(("retry-after", str(max(1, math.ceil(fault.retry_after)))))
    if fault.status == 401:
        headers.append(("www-authenticate", "Bearer"))
    _answer(protocol, fault.status, headers, failure(fault, media))


def _answer(protocol: EdgeProtocol, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    try:
        protocol.response_bytes(status, headers, body)
    except RuntimeError:
        _log.debug("the sender left before its answer")


def _describe() -> Description:
    spans = {"type": "array", "items": {"type": "object", "properties": {"scopeSpans": {"type": "array", "items": {"type": "object"}}}}}
    return Description(
        request={"type": "object", "properties": {"resourceSpans": spans}, "title": "ExportTraceServiceRequest"},
        reply={
            "type": "object",
            "properties": {
                "partialSuccess": {
                    "type": "object",
                    "properties": {"rejectedSpans": {"type": "string"}, "errorMessage": {"type": "string"}},
                }
            },
        },
        error={"type": "object", "properties": {"code": {"type": "integer"}, "message": {"type": "string"}}},
        failures={
            "400": "No export that can be read.",
            "401": "No key, or an unknown one.",
            "403": "The key may not send spans.",
            "408": "The body did not arrive.",
            "413": "The export is too large.",
            "415": "A content type or encoding that is not taken.",
            "429": "The organisation sends more than its share; Retry-After says when to try again.",
            "503": "No room, or no store; Retry-After says when to try again.",
        },
        schemas={},
        headers={"content-encoding": {"type": "string", "enum": ["gzip", "deflate", "zstd"]}},
    )

"""How an export gets to its receiver, by HTTP or gRPC, and what the answer means.

https://opentelemetry.io/docs/specs/otlp/#failures says which answers are worth another try. OpenTelemetry's own exporters are not used
for this: they try again inside a call that blocks, do not keep to Retry-After, and tell only whether it went well.
"""

from __future__ import annotations

import asyncio
import email.utils
import gzip
import importlib
import ssl
import time
from typing import Any, Literal, Protocol

import msgspec

from penstock import __version__
from penstock.kernel.errors import SettingsError
from penstock.observability.otlp.answer import PROTOBUF, RETRYABLE
from penstock.observability.out.destination import Destination

TOLD = 200
"""Characters of a receiver's own words that go into the log."""

_ANSWER_BYTES = 1 << 16
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_AGAIN = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an export: ``taken``, ``later`` (not now; ``after`` seconds where the receiver said when), ``too_large``, ``refused``.

    ``status`` is the HTTP status or gRPC's code, ``told`` the receiver's words without our secrets, ``rejected`` how many spans of an
    export that was taken were not.
    """

    outcome: Literal["taken", "later", "too_large", "refused"]
    status: str = ""
    told: str = ""
    after: float | None = None
    rejected: int = 0


class Transport(Protocol):
    """Sends exports to one receiver."""

    async def send(self, export: bytes) -> Answer:
        """Send one, within the destination's time. Never raises but for cancellation."""
        ...

    async def close(self) -> None: ...


def transport(destination: Destination) -> Transport:
    """What sends to ``destination``; touches no network yet. Raises `SettingsError` when a library or a certificate is missing."""
    return GrpcTransport(destination) if destination.terms.protocol == "grpc" else HttpTransport(destination)


class HttpTransport:
    """OTLP/HTTP with protobuf. Redirects are not followed: they would take the credentials elsewhere."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._session: Any = None
        self._ssl: ssl.SSLContext | bool = _context(destination) if destination.secure else True

    async def send(self, export: bytes) -> Answer:
        # Slow to import, and only who sends spans over HTTP needs it.
        aiohttp: Any = importlib.import_module("aiohttp")
        terms = self._destination.terms
        if self._session is None:
            headers = {"user-agent": f"penstock/{__version__}", **self._destination.headers, "content-type": PROTOBUF}
            if terms.compression == "gzip":
                headers["content-encoding"] = "gzip"
            timeout = aiohttp.ClientTimeout(total=terms.timeout_seconds)
            jar, connector = aiohttp.DummyCookieJar(), aiohttp.TCPConnector(limit=2)
            self._session = aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=True, connector=connector, cookie_jar=jar)
        data = await asyncio.to_thread(gzip.compress, export, 5) if terms.compression == "gzip" else export
        try:
            async with self._session.post(self._destination.url, data=data, ssl=self._ssl, allow_redirects=False) as reply:
                body: bytes = await reply.content.read(_ANSWER_BYTES)
                return self._read(reply.status, body, reply.headers.get("retry-after"), reply.content_type)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as fault:
            return Answer(outcome="later", status=type(fault).__name__, told=_safe(str(fault), self._destination))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _read(self, status: int, body: bytes, after: str | None, media: str) -> Answer:
        if 200 <= status < 300:
            rejected, told = _partial(body) if media == PROTOBUF else (0, "")
            return Answer(outcome="taken", status=str(status), told=_safe(told, self._destination), rejected=rejected)
        told = _safe(body.decode("utf-8", "replace"), self._destination)
        if status in RETRYABLE:
            return Answer(outcome="later", status=str(status), told=told, after=_after(after))
        return Answer(outcome="too_large" if status == 413 else "refused", status=str(status), told=told)


class GrpcTransport:
    """OTLP/gRPC."""

    def __init__(self, destination: Destination) -> None:
        try:
            # 6 MB and 0.1 s to import.
            self._grpc: Any = importlib.import_module("grpc")
        except ImportError as fault:
            raise SettingsError(
                f"observability.otel: the destination {destination.name!r} speaks gRPC, which needs the extra 'otlp': "
                "pip install 'penstock[otel,otlp]'",
                param="observability.otel",
            ) from fault
        self._destination = destination
        self._channel: Any = None
        self._roots = _roots(destination)

    async def send(self, export: bytes) -> Answer:
        grpc, terms = self._grpc, self._destination.terms
        if self._channel is None:
            packing = grpc.Compression.Gzip if terms.compression == "gzip" else grpc.Compression.NoCompression
            options = [("grpc.primary_user_agent", f"penstock/{__version__}")]
            if self._destination.secure:
                credentials = grpc.ssl_channel_credentials(root_certificates=self._roots)
                self._channel = grpc.aio.secure_channel(self._destination.url, credentials, options=options, compression=packing)
            else:
                self._channel = grpc.aio.insecure_channel(self._destination.url, options=options, compression=packing)
        try:
            metadata = tuple(self._destination.headers.items())
            body: bytes = await self._channel.unary_unary(_EXPORT)(export, timeout=terms.timeout_seconds, metadata=metadata)
        except grpc.aio.AioRpcError as fault:
            return self._refused(fault)
        rejected, told = _partial(body)
        return Answer(outcome="taken", status="OK", told=_safe(told, self._destination), rejected=rejected)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()

    def _refused(self, fault: Any) -> Answer:
        code, told = str(fault.code().name), _safe(fault.details() or "", self._destination)
        after = next((_delay(value) for name, value in fault.trailing_metadata() or () if name == "grpc-status-details-bin"), None)
        # Without a word on when, exhaustion means that the message is too large: https://opentelemetry.io/docs/specs/otlp/#failures-1
        if code in _AGAIN or (code == "RESOURCE_EXHAUSTED" and after is not None):
            return Answer(outcome="later", status=code, told=told, after=after)
        return Answer(outcome="too_large" if code == "RESOURCE_EXHAUSTED" else "refused", status=code, told=told)


def _roots(destination: Destination) -> bytes | None:
    if not destination.terms.ca:
        return None
    try:
        with open(destination.terms.ca, "rb") as file:  # noqa: PTH123 - read at once, when the house is put together
            return file.read()
    except OSError as fault:
        raise _bad_ca(destination, fault) from fault


def _context(destination: Destination) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=destination.terms.ca or None)
    except OSError as fault:  # ssl.SSLError among them
        raise _bad_ca(destination, fault) from fault


def _bad_ca(destination: Destination, fault: OSError) -> SettingsError:
    what = f"observability.otel: the certificates of {destination.name!r} in {destination.terms.ca} cannot be read: {fault}"
    return SettingsError(what, param="observability.otel")


def _safe(text: str, destination: Destination) -> str:
    """A receiver's words, short, on one line and without what we sent as a secret, which some repeat."""
    for value in destination.headers.values():
        for secret in (value, value.rpartition(" ")[2]):
            if len(secret) > 3:
                text = text.replace(secret, "***")
    return " ".join(text.split())[:TOLD]


def _after(text: str | None) -> float | None:
    """Seconds of a Retry-After, which is a number or a moment."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _delay(details: bytes) -> float | None:
    """Seconds of the RetryInfo in a ``google.rpc.Status``; None where there is none."""
    protobuf: Any = importlib.import_module("google.protobuf.message")
    status: Any = importlib.import_module("google.rpc.status_pb2").Status()  # pyright: ignore[reportAny]
    info: Any = importlib.import_module("google.rpc.error_details_pb2").RetryInfo()
    try:
        status.ParseFromString(details)
        for one in status.details:
            if one.Unpack(info):
                return info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    except protobuf.DecodeError:
        return None
    return None


def _partial(body: bytes) -> tuple[int, str]:
    """How many spans of an export were not taken, and why."""
    if not body:
        return 0, ""
    protobuf: Any = importlib.import_module("google.protobuf.message")
    answer: Any = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2").ExportTraceServiceResponse()
    try:
        answer.ParseFromString(body)
    except protobuf.DecodeError:
        return 0, ""
    return max(0, answer.partial_success.rejected_spans), answer.partial_success.error_message

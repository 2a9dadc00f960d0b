from __future__ import annotations

import email.utils
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from tests.certificates import a_certificate
from tests.observability.out.receiver import receiving
from tests.observability.out.test_destination import one
from tests.observability.out.test_words import a_span

from penstock.kernel.errors import SettingsError
from penstock.observability.out.destination import Destination
from penstock.observability.out.encode import encoder
from penstock.observability.out.transport import Answer, transport

PARTIAL = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=2, error_message="too old"))


async def sent(destination: Destination, export: bytes | None = None) -> Answer:
    link = transport(destination)
    try:
        return await link.send(encoder(destination.terms).encode([a_span()]) if export is None else export)
    finally:
        await link.close()


async def test_over_http() -> None:
    async with receiving() as receiver:
        terms: dict[str, Any] = {"endpoint": f"{receiver.url}/api/public/otel", "headers": {"X-A": "b"}}
        assert await sent(one(**terms)) == Answer(outcome="taken", status="200")
        assert (await sent(one(**terms, compression="none"))).outcome == "taken"
    packed, plain = receiver.got
    assert packed.path == plain.path == "/api/public/otel/v1/traces"
    assert (packed.headers["content-type"], packed.headers["x-a"]) == ("application/x-protobuf", "b")
    assert (packed.headers["content-encoding"], "content-encoding" in plain.headers) == ("gzip", False)
    assert packed.headers["user-agent"].startswith("penstock/")
    assert packed.body == plain.body
    assert packed.spans[0].name == "chat m"


async def test_answers_of_http() -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    async with receiving() as receiver:
        receiver.answers = [
            (200, {}, PARTIAL.SerializeToString()),
            (429, {"retry-after": "7"}, b""),
            (503, {"retry-after": date}, b""),
            (502, {"retry-after": "soon"}, b""),
            (413, {}, b"large"),
            (401, {}, b"the key hidden-key is\nunknown"),
            (307, {"location": "http://127.0.0.1:9/"}, b""),
            (200, {"content-type": "application/json"}, b"{}"),
            (200, {}, b"\xff\xff"),
        ]
        destination = one(endpoint=receiver.url, headers={"authorization": "Bearer hidden-key"})
        answers = [await sent(destination) for _ in range(9)]
    assert answers[0] == Answer(outcome="taken", status="200", told="too old", rejected=2)
    assert (answers[1].outcome, answers[1].after) == ("later", 7.0)
    assert answers[2].outcome == "later"
    assert answers[2].after is not None
    assert 50 < answers[2].after <= 100
    assert (answers[3].outcome, answers[3].after) == ("later", None)
    assert answers[4].outcome == "too_large"
    assert answers[5] == Answer(outcome="refused", status="401", told="the key *** is unknown")
    assert (answers[6].outcome, answers[6].status) == ("refused", "307")
    assert [one.outcome for one in answers[7:]] == ["taken", "taken"]


async def test_nobody_there_and_nobody_answering() -> None:
    async with receiving() as receiver:
        url = receiver.url
        import asyncio

        receiver.hold = asyncio.Event()
        slow = await sent(one(endpoint=url, timeout_seconds=0.1))
        receiver.hold.set()
    assert slow.outcome == "later"
    gone = await sent(one(endpoint=url))
    assert (gone.outcome, gone.status) == ("later", "ClientConnectorError")


async def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    certificate, key = a_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with receiving(context) as receiver:
        assert (await sent(one(endpoint=receiver.url, ca=str(certificate)))).outcome == "taken"
        unknown = await sent(one(endpoint=receiver.url))
        assert (unknown.outcome, "Certificate" in unknown.status) == ("later", True)
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nothing")
    with pytest.raises(SettingsError, match=r"nonsense\.pem cannot be read"):
        transport(one(endpoint=receiver.url, ca=str(nonsense)))


@asynccontextmanager
async def grpc_receiving(answers: list[Any], tls: Any = None) -> AsyncGenerator[tuple[str, list[Any]]]:
    """OTLP over gRPC: each answer is a response or a fault's code, words and trailing metadata."""
    got: list[Any] = []

    async def export(request: bytes, context: Any) -> bytes:
        got.append((ExportTraceServiceRequest.FromString(request), dict(context.invocation_metadata())))
        answer = answers.pop(0)
        if isinstance(answer, tuple):
            code, words, trailing = answer
            context.set_trailing_metadata(trailing)
            await context.abort(code, words)
        return answer

    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(export)
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    port = server.add_secure_port("127.0.0.1:0", tls) if tls is not None else server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"{'https' if tls is not None else 'http'}://127.0.0.1:{port}", got
    finally:
        await server.stop(None)


async def test_over_grpc() -> None:
    status = Status(code=8, message="slow down")
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000)))
    exhausted, details = grpc.StatusCode.RESOURCE_EXHAUSTED, (("grpc-status-details-bin", status.SerializeToString()),)
    answers = [
        b"",
        PARTIAL.SerializeToString(),
        (exhausted, "slow down", details),
        (exhausted, "message larger than max", ()),
        (grpc.StatusCode.UNAVAILABLE, "away", ()),
        (grpc.StatusCode.UNAUTHENTICATED, "hidden-key is unknown", ()),
        (grpc.StatusCode.UNAVAILABLE, "away", (("grpc-status-details-bin", b"\xff"),)),
    ]
    count = len(answers)
    async with grpc_receiving(answers) as (url, got):
        destination = one(endpoint=url, protocol="grpc", headers={"X-Key": "hidden-key"})
        found = [await sent(destination) for _ in range(count)]
    assert found == [
        Answer(outcome="taken", status="OK"),
        Answer(outcome="taken", status="OK", told="too old", rejected=2),
        Answer(outcome="later", status="RESOURCE_EXHAUSTED", told="slow down", after=2.5),
        Answer(outcome="too_large", status="RESOURCE_EXHAUSTED", told="message larger than max"),
        Answer(outcome="later", status="UNAVAILABLE", told="away"),
        Answer(outcome="refused", status="UNAUTHENTICATED", told="*** is unknown"),
        Answer(outcome="later", status="UNAVAILABLE", told="away"),
    ]
    export, metadata = got[0]
    assert export.resource_spans[0].scope_spans[0].spans[0].name == "chat m"
    assert metadata["x-key"] == "hidden-key"
    gone = await sent(one(endpoint=url, protocol="grpc"))
    assert (gone.outcome, gone.status) == ("later", "UNAVAILABLE")


async def test_over_grpc_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    certificate, key = a_certificate(tmp_path)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    async with grpc_receiving([b""], credentials) as (url, _):
        assert (await sent(one(endpoint=url, protocol="grpc", ca=str(certificate)))).outcome == "taken"

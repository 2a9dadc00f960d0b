from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from penstock.kernel.call import Attempt, Call, Target, Trace, Usage
from penstock.kernel.events import CallEnded
from penstock.observability.otel import OtelOut, endpoint
from penstock.observability.settings import OtelSettings

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    got: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", got
    server.shutdown()
    thread.join()
    server.server_close()


def a_call() -> Call:
    call = Call(operation="chat", shape="openai.chat", credential="psk_secret", deadline=0.0, trace=Trace.begin(PARENT), body=b"private")
    call.model = "m"
    call.target = Target("p", "pm", "m")
    call.usage = Usage(input=3, output=4)
    call.attempts.append(Attempt(provider="p", model="pm", started_ms=1.0, ended_ms=5.0, status=200))
    call.outcome, call.reply_status, call.total_ms = "ok", 200, 6.0
    return call


async def test_a_call_becomes_spans_of_its_own_trace(receiver: tuple[str, list[ExportTraceServiceRequest]]) -> None:
    url, got = receiver
    out = OtelOut(OtelSettings(), url)
    await out.start()
    call = a_call()
    out.ended(CallEnded(call=call))
    await out.stop()
    assert (out.sent, out.dropped) == (1, 0)
    spans = [s for r in got for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]
    server, client = spans
    assert server.trace_id.hex() == client.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert (server.parent_span_id.hex(), server.span_id.hex()) == ("b7ad6b7169203331", call.trace.span_id)
    assert client.parent_span_id == server.span_id
    attributes = {a.key: a.value for a in server.attributes}
    assert attributes["gen_ai.usage.input_tokens"].int_value == 3
    assert attributes["gen_ai.provider.name"].string_value == "p"
    assert b"private" not in got[0].SerializeToString()
    assert b"psk_secret" not in got[0].SerializeToString()


async def test_what_does_not_fit_the_queue_is_counted() -> None:
    out = OtelOut(OtelSettings(queue=1), "http://127.0.0.1:9/v1/traces")
    out.ended(CallEnded(call=a_call()))
    out.ended(CallEnded(call=a_call()))
    assert out.dropped == 1


def test_where_spans_go() -> None:
    assert endpoint(OtelSettings(), {}) == ""
    assert endpoint(OtelSettings(endpoint="http://a:4318/"), {}) == "http://a:4318/v1/traces"
    assert endpoint(OtelSettings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b"}) == "http://b/v1/traces"
    assert endpoint(OtelSettings(), {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/x"}) == "http://c/x"

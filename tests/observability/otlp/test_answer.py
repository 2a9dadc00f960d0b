from __future__ import annotations

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from penstock.kernel.errors import LimitExceeded, PenstockError, Unauthenticated
from penstock.observability.otlp.answer import JSON, PROTOBUF, RETRYABLE, code_of, failure, retry_details, success
from penstock.observability.otlp.wire import fields


def test_all_went_well() -> None:
    assert success(0, "", PROTOBUF) == b""
    assert success(0, "", JSON) == b"{}"


@pytest.mark.parametrize(("refused", "message"), [(3, "why " * 100), (0, "a warning"), (1 << 20, "")])
def test_a_partial_success_is_read_by_opentelemetry(refused: int, message: str) -> None:
    read = ExportTraceServiceResponse.FromString(success(refused, message, PROTOBUF)).partial_success
    assert (read.rejected_spans, read.error_message) == (refused, message)
    assert msgspec.json.decode(success(refused, message, JSON)) == {
        "partialSuccess": {"rejectedSpans": str(refused), "errorMessage": message}
    }


@pytest.mark.parametrize(("fault", "code"), [(Unauthenticated("no"), 16), (LimitExceeded("later"), 8), (PenstockError("x"), 2)])
def test_a_failure_is_a_status(fault: PenstockError, code: int) -> None:
    data = failure(fault, PROTOBUF)
    (first, number, _), (second, begin, stop) = fields(data, 0, len(data))
    assert (first, number, second) == (0x08, code, 0x12)
    assert data[begin:stop].decode() == f"{fault.code}: {fault.message}"
    assert msgspec.json.decode(failure(fault, JSON)) == {"code": code, "message": f"{fault.code}: {fault.message}"}


def test_when_to_try_again_is_told_as_grpc_has_it() -> None:
    data = retry_details(14, "later", 2.5)
    assert b"type.googleapis.com/google.rpc.RetryInfo" in data
    assert data.endswith(b"\x08\x02\x10\x80\xca\xb5\xee\x01")  # 2 s and 500,000,000 ns


@pytest.mark.parametrize(("status", "code"), [(400, 3), (401, 16), (429, 8), (502, 14), (503, 14), (504, 14), (500, 2), (418, 2)])
def test_grpc_says_as_much_as_http(status: int, code: int) -> None:
    assert code_of(status) == code
    assert status not in RETRYABLE or code in {8, 14}

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.house import House
from tests.observability.otlp.exports import a_span, request
from tests.observability.otlp.keeping import Keeping, keeping_house

from penstock.kernel.errors import StorageFull
from penstock.observability.otlp.grpc import SERVICE, GrpcIn

grpc: Any = pytest.importorskip("grpc")

WHEN = {"start": 1_790_000_000_000_000_000, "end": 1_790_000_001_000_000_000}


pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


SETTINGS = "[observability.otlp]\ngrpc_port = 0\nmax_body_bytes = 20000\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, Keeping, Any]]:
    async with keeping_house(tmp_path_factory.mktemp("house"), SETTINGS) as (
        house,
        store,
    ):
        service = next(one for one in house.app.offers["observability"].services if isinstance(one, GrpcIn))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel:
            yield house, store, channel.unary_unary(f"/{SERVICE}/Export")


@pytest.fixture
def open_(shared: tuple[House, Keeping, Any]) -> tuple[House, Keeping, Any]:
    """The house with an empty store."""
    shared[1].spans.clear()
    shared[1].batches.clear()
    return shared


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_spans_are_stored_and_what_was_wrong_is_told(open_: tuple[House, Keeping, Any], header: str) -> None:
    house, store, export = open_
    key = f"Bearer {house.admin}" if header == "authorization" else house.admin
    data = request(a_span({"a": 1}, **WHEN), a_span(id=0)).SerializeToString()
    answer = await export(data, metadata=((header, key),), compression=grpc.Compression.Gzip)
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert (partial.rejected_spans, [span.attributes for span in store.spans]) == (1, ['{"a":1}'])
    assert "invalid_id" in partial.error_message


@pytest.mark.parametrize(
    ("data", "key", "code"),
    [(b"", "psk_unknown", "UNAUTHENTICATED"), (b"\x0a\x7f", "", "INVALID_ARGUMENT"), (b"x" * 20_001, "", "RESOURCE_EXHAUSTED")],
    ids=["unknown key", "no export", "large"],
)
async def test_what_cannot_be_taken_is_refused(open_: tuple[House, Keeping, Any], data: bytes, key: str, code: str) -> None:
    house, store, export = open_
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await export(data, metadata=(("authorization", f"Bearer {key or house.admin}"),))
    assert (caught.value.code().name, store.spans) == (code, [])


async def test_a_full_store_has_the_sender_try_again(open_: tuple[House, Keeping, Any]) -> None:
    house, store, export = open_
    store.fault = StorageFull("no room", retry_after=2)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await export(request(a_span(**WHEN)).SerializeToString(), metadata=(("authorization", f"Bearer {house.admin}"),))
    assert caught.value.code().name == "UNAVAILABLE"
    details = dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
    assert b"google.rpc.RetryInfo" in details

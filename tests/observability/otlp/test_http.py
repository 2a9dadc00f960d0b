from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.house import House
from tests.observability.otlp.exports import TRACE, a_span, request
from tests.observability.otlp.keeping import Keeping, keeping_house

from penstock.kernel.errors import StorageFull

PROTOBUF = "application/x-protobuf"
SMALL = "[observability.otlp]\nmax_body_bytes = 20000\nwaiting_bytes = 30000\n"


pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, Keeping]]:
    async with keeping_house(tmp_path_factory.mktemp("house"), SMALL) as opened:
        yield opened


@pytest.fixture
def open_(shared: tuple[House, Keeping]) -> tuple[House, Keeping]:
    """The house with an empty store."""
    shared[1].spans.clear()
    shared[1].batches.clear()
    return shared


async def other(house: House, name: str) -> tuple[str, str]:
    """Another organisation's admin key, and the organisation."""
    organisation = (await house.made("/v1/organisations", {"name": name}))["id"]
    return (await house.key(organisation=organisation, scopes=["admin"]))[0], organisation


async def metric(house: House, line: str) -> float:
    """A sample of /metrics, 0 where it is not there yet."""
    text = (await house.ask("GET", "/metrics")).text
    return next((float(one.rpartition(" ")[2]) for one in text.splitlines() if one.startswith(line)), 0.0)


async def send(house: House, data: bytes, media: str = PROTOBUF, **headers: str) -> Any:
    return await house.ask("POST", "/v1/traces", data, content_type=media, **headers)


def now() -> dict[str, int]:
    return {"start": 1_790_000_000_000_000_000, "end": 1_790_000_001_000_000_000}


async def test_spans_are_stored_for_whom_the_key_belongs_to(open_: tuple[House, Keeping]) -> None:
    house, store = open_
    team = (await house.made("/v1/teams", {"name": "Support"}))["id"]
    project = (await house.made("/v1/projects", {"name": "Bot", "team": team}))["id"]
    secret, id = await house.key(project=project, scopes=["call"])
    others, organisation = await other(house, "first")
    data = request(a_span({"penstock.task": "t", "user.id": "u"}, **now())).SerializeToString()
    answers = [
        await send(house, data, key=secret),
        await house.ask("POST", "/v1/traces", data, key="", content_type=PROTOBUF, x_api_key=others),
    ]
    assert [(a.status, a.text, a.headers["content-type"]) for a in answers] == [(200, "", PROTOBUF)] * 2
    first, second = store.spans
    assert (first.team, first.project, first.key, first.task, first.person) == (team, project, id, "t", "u")
    assert second.organisation == organisation != first.organisation


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
async def test_every_form_says_the_same(open_: tuple[House, Keeping], encoding: str) -> None:
    house, store = open_
    pack = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}[encoding]
    headers = {"content_encoding": encoding} if encoding else {}
    told = {"traceId": TRACE, "spanId": "b7ad6b7169203331", "name": "s", "startTimeUnixNano": "1790000000000000000"}
    body = msgspec.json.encode({"resourceSpans": [{"scopeSpans": [{"spans": [told]}]}]})
    assert (await send(house, pack(request(a_span(**now())).SerializeToString()), **headers)).status == 200
    answer = await send(house, pack(body), "application/json; charset=utf-8", **headers)
    assert (answer.status, answer.json) == (
        200,
        {"partialSuccess": {"rejectedSpans": "0", "errorMessage": answer.json["partialSuccess"]["errorMessage"]}},
    )
    assert "no_time" in answer.text  # it has no end
    assert [span.name for span in store.spans] == ["a span", "s"]


async def test_what_is_wrong_is_told_counted_and_shown(open_: tuple[House, Keeping]) -> None:
    house, store = open_
    sender, organisation = await other(house, "second")
    refused, repaired = 'penstock_otlp_spans_refused_total{reason="invalid_id"}', 'penstock_otlp_repairs_total{reason="cyclic_parent"}'
    before = await metric(house, refused), await metric(house, repaired)
    data = request(a_span(**now()), a_span(id=0), a_span(id=3, start=5, end=6), a_span(id=4, parent=4, **now())).SerializeToString()
    answer = await house.session.post(
        house.url + "/v1/traces", data=data, headers={"content-type": PROTOBUF, "authorization": f"Bearer {sender}"}
    )
    partial = ExportTraceServiceResponse.FromString(await answer.read()).partial_success
    assert (answer.status, partial.rejected_spans, len(store.spans)) == (200, 2, 2)
    for reason in ("invalid_id", "time_out_of_range", "cyclic_parent"):
        assert f"1 {reason} (" in partial.error_message
    figures = (await house.ask("GET", "/v1/traces/intake", key=sender)).json
    assert (figures["spans"], figures["stored"]) == (4, 2)
    assert {one["reason"]: one["count"] for one in figures["refused"] + figures["repaired"]} == {
        "invalid_id": 1, "time_out_of_range": 1, "cyclic_parent": 1,
    }  # fmt: skip
    assert (await metric(house, refused), await metric(house, repaired)) == (before[0] + 1, before[1] + 1)
    stranger, _ = await other(house, "third")
    assert (await house.ask("GET", "/v1/traces/intake", key=stranger)).json["spans"] == 0
    assert (await house.ask("GET", "/v1/traces/intake")).json["spans"] >= 4
    assert all(span.organisation == organisation for span in store.spans)


@pytest.mark.parametrize(
    ("data", "headers", "status", "code"),
    [
        (b"\x0a\x7fx", {}, 400, "malformed_request"),
        (b"not gzip", {"content_encoding": "gzip"}, 400, "malformed_request"),
        (b"x" * 20_001, {}, 413, "body_too_large"),
        (gzip.compress(bytes(30_000)), {"content_encoding": "gzip"}, 413, "body_too_large"),
        (b"", {"content_encoding": "br"}, 415, "encoding_not_taken"),
        (b"", {"content_type": "text/plain"}, 415, "media_type_not_taken"),
        (b"", {"authorization": "Bearer psk_unknown"}, 401, "invalid_api_key"),
        (b"", {"key": ""}, 401, "missing_api_key"),
    ],
    ids=["no export", "no gzip", "large", "large unpacked", "encoding", "media type", "unknown key", "no key"],
)
async def test_what_cannot_be_taken_is_refused(open_: tuple[House, Keeping], data: bytes, headers: Any, status: int, code: str) -> None:
    house, store = open_
    line = f'penstock_otlp_exports_failed_total{{code="{code}"}}'
    before = await metric(house, line)
    answer = await house.ask("POST", "/v1/traces", data, **{"content_type": PROTOBUF, **headers})
    assert (answer.status, code in answer.text, store.spans) == (status, True, [])
    assert await metric(house, line) == before + 1


async def test_a_key_that_may_only_read_sends_nothing(open_: tuple[House, Keeping]) -> None:
    house, _ = open_
    secret, _ = await house.key(scopes=["read"])
    answer = await send(house, b"", key=secret)
    assert (answer.status, "permission_denied" in answer.text) == (403, True)


async def test_a_full_store_has_the_sender_try_again_and_nothing_is_kept_twice(open_: tuple[House, Keeping]) -> None:
    house, store = open_
    data = request(a_span(**now())).SerializeToString()
    store.fault = StorageFull("no room", retry_after=3)
    answer = await send(house, data)
    assert (answer.status, answer.headers["retry-after"], store.spans) == (503, "3", [])
    assert [(await send(house, data)).status for _ in range(2)] == [200, 200]
    assert len(store.spans) == 1


async def test_secrets_are_gone_before_anything_is_stored(open_: tuple[House, Keeping]) -> None:
    house, store = open_
    secret = "sk-" + "a1" * 20
    said = {"input.value": f"my key is {secret}", "http.header": f"Bearer {secret}", "fine": "x"}
    assert (await send(house, request(a_span(said, **now()), a_span(id=2, **now())).SerializeToString())).status == 200
    stored = msgspec.json.encode(store.spans).decode()
    assert secret not in stored
    assert "[redacted: api-key]" in stored
    assert '\\"fine\\":\\"x\\"' in stored

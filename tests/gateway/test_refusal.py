from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest

from penstock.gateway.providers.minilm import LocalAnswer
from penstock.gateway.refusal import refusal
from penstock.kernel.errors import UpstreamRefused


class Answered(LocalAnswer):
    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        super().__init__(body, status)
        self._headers = headers

    def header(self, name: str) -> str | None:
        return self._headers.get(name)


async def refused(status: int, body: Any, **headers: str) -> UpstreamRefused:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return await refusal("p", Answered(status, raw, {name.replace("_", "-"): value for name, value in headers.items()}))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "openai's"}}, "openai's"),
        ({"type": "error", "error": {"type": "x", "message": "anthropic's"}}, "anthropic's"),
        ([{"error": {"code": 400, "message": "google's, in a stream"}}], "google's, in a stream"),
        ({"error": "ollama's"}, "ollama's"),
        ({"object": "error", "message": "mistral's", "type": "t"}, "mistral's"),
        ({"object": "error", "message": {"detail": [{"loc": ["body"], "msg": "Field required"}]}}, "Field required"),
        ({"detail": [{"loc": ["body"], "msg": "one"}, {"msg": "two"}]}, "one; two"),
        ({"Message": "amazon's"}, "amazon's"),
        ({"detail": "jina's"}, "jina's"),
        ({"error": {"code": 5}}, "no further explanation"),
        ({"error": {"error": {"error": {"error": {"message": "too deep"}}}}}, "no further explanation"),
        (b"<html>", "no further explanation"),
        (b"\xff", "no further explanation"),
    ],
)
async def test_its_words_are_found_in_every_form(body: Any, words: str) -> None:
    fault = await refused(400, body)
    assert fault.message == f"p answered 400: {words}"
    assert (fault.status, fault.upstream_status) == (400, 400)


@pytest.mark.parametrize(
    ("status", "told"),
    [(400, 400), (401, 502), (403, 502), (404, 502), (422, 422), (429, 429), (500, 502), (503, 503), (504, 504)],
)
async def test_what_is_not_the_callers_fault_is_not_told_as_such(status: int, told: int) -> None:
    fault = await refused(status, {"error": {"message": "sk-quoted"}})
    assert (fault.status, fault.upstream_status) == (told, status)
    assert ("sk-quoted" in fault.message) == (status not in (401, 403))


async def test_aws_tells_by_name_what_its_status_does_not() -> None:
    fault = await refused(400, {"message": "quota"}, x_amzn_errortype="ServiceQuotaExceededException:http://internal")
    assert (fault.status, fault.upstream_status) == (429, 429)


async def test_the_wait_in_each_of_its_forms() -> None:
    in_half_a_minute = format_datetime(datetime.fromtimestamp(time.time() + 30, UTC), usegmt=True)
    retry_info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "20s"}
    assert (await refused(429, {}, retry_after="7")).retry_after == 7
    assert (await refused(429, {}, retry_after_ms="1500", retry_after="2")).retry_after == 1.5
    assert 25 < ((await refused(429, {}, retry_after=in_half_a_minute)).retry_after or 0) <= 30
    assert (await refused(429, {"error": {"details": [retry_info]}})).retry_after == 20
    for nonsense in ("soon", "nan", "inf"):
        assert (await refused(429, {}, retry_after=nonsense)).retry_after is None

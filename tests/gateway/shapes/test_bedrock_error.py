from __future__ import annotations

import pytest

from penstock.gateway.shapes.bedrock_error import in_stream, status_of


@pytest.mark.parametrize(
    ("kind", "given", "status"),
    [
        ("ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/", 429, 429),
        ("ServiceQuotaExceededException", 400, 429),
        ("ModelTimeoutException", 408, 504),
        ("ModelErrorException", 424, 502),
        ("com.amazon#ValidationException", 400, 400),
        ("SomethingNew", 418, 418),
        (None, 500, 500),
    ],
)
def test_a_failures_name_says_its_status(kind: str | None, given: int, status: int) -> None:
    assert status_of(kind, given) == status


@pytest.mark.parametrize(
    ("kind", "payload", "upstream", "told"),
    [
        ("throttlingException", b'{"message":"slow down"}', 429, 429),
        ("modelStreamErrorException", b'{"originalStatusCode":500,"originalMessage":"slow down"}', 502, 502),
        ("serviceUnavailableException", b"slow down", 503, 503),
        ("accessDeniedException", b"{}", 403, 502),
        ("newException", b"{}", 500, 502),
    ],
)
def test_a_stream_that_ends_with_an_exception(kind: str, payload: bytes, upstream: int, told: int) -> None:
    fault = in_stream(kind, payload)
    assert (fault.upstream_status, fault.status) == (upstream, told)
    assert kind in fault.message
    assert ("slow down" in fault.message) == (b"essage" in payload)

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from penstock.gateway.shapes.openai_error import check, error_object, render, upstream_error
from penstock.kernel.errors import (
    BodyTooLarge,
    BudgetExceeded,
    DeadlineExceeded,
    Forbidden,
    LimitExceeded,
    MalformedRequest,
    Overloaded,
    PenstockError,
    Unauthenticated,
    UnknownModel,
    UpstreamError,
)


@pytest.mark.parametrize(
    ("fault", "status", "kind", "code"),
    [
        (MalformedRequest("no", param="model"), 400, "invalid_request_error", "malformed_request"),
        (Unauthenticated("no"), 401, "invalid_request_error", "invalid_api_key"),
        (Forbidden("no"), 403, "permission_error", "permission_denied"),
        (UnknownModel("no"), 404, "invalid_request_error", "model_not_found"),
        (BodyTooLarge("no"), 413, "invalid_request_error", "body_too_large"),
        (LimitExceeded("no"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (BudgetExceeded("no"), 429, "insufficient_quota", "insufficient_quota"),
        (PenstockError("no"), 500, "server_error", "internal_error"),
        (Overloaded("no"), 503, "server_error", "overloaded"),
        (DeadlineExceeded("no"), 504, "server_error", "deadline_exceeded"),
    ],
)
def test_each_failure_in_the_words_of_the_api(fault: PenstockError, status: int, kind: str, code: str) -> None:
    found, body = render(fault)
    assert found == status
    assert (
        json.loads(body) == {"error": {"message": "no", "type": kind, "param": fault.param, "code": code}} == {"error": error_object(fault)}
    )


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"message":"out of tea","code":418}', "out of tea"),
        (b'{"message":"out of tea","type":"x","code":"y"}', "out of tea"),
        (b'"out of tea"', "out of tea"),
        (b"{}", "without saying which"),
        (b"[]", "without saying which"),
        (b"{", "without saying which"),
        (b'"\xff"', "without saying which"),
    ],
)
def test_what_a_provider_reports(raw: bytes, said: str) -> None:
    fault = upstream_error(Raw(raw))
    assert (fault.status, fault.message) == (502, f"The provider reported an error: {said}")


def test_what_stands_under_error_is_a_failure_unless_it_is_nothing() -> None:
    check(Raw(b""))
    check(Raw(b"null"))
    with pytest.raises(UpstreamError, match="boom"):
        check(Raw(b'{"message": "boom"}'))
    with pytest.raises(UpstreamError):
        check(Raw(b"{}"))

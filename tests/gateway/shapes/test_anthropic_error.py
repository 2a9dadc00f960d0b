from __future__ import annotations

import json

import pytest
from msgspec import Raw

from penstock.gateway.shapes.anthropic_error import render, upstream_error
from penstock.kernel.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    Forbidden,
    LimitExceeded,
    MalformedRequest,
    Overloaded,
    PenstockError,
    Unauthenticated,
    UnknownModel,
    UpstreamReset,
)


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (MalformedRequest("no"), 400, "invalid_request_error"),
        (Unauthenticated("no"), 401, "authentication_error"),
        (Forbidden("no"), 403, "permission_error"),
        (UnknownModel("no"), 404, "not_found_error"),
        (PenstockError("no", status=409), 409, "invalid_request_error"),
        (BodyTooLarge("no"), 413, "request_too_large"),
        (LimitExceeded("no"), 429, "rate_limit_error"),
        (PenstockError("no"), 500, "api_error"),
        (UpstreamReset("no"), 502, "api_error"),
        (Overloaded("no"), 503, "overloaded_error"),
        (DeadlineExceeded("no"), 504, "timeout_error"),
    ],
)
def test_each_failure_in_the_words_of_the_api(fault: PenstockError, status: int, kind: str) -> None:
    found, body = render(fault)
    assert (found, json.loads(body)) == (status, {"type": "error", "error": {"type": kind, "message": "no"}})


@pytest.mark.parametrize(
    ("message", "told"), [("it is missing", "max_tokens: it is missing"), ("'max_tokens' is missing", "'max_tokens' is missing")]
)
def test_the_field_is_named_in_the_message_where_the_api_has_no_place_for_it(message: str, told: str) -> None:
    _, body = render(MalformedRequest(message, param="max_tokens"))
    assert json.loads(body)["error"]["message"] == told


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"type":"overloaded_error","message":"out of tea"}', "out of tea"),
        (b"{}", "without saying which"),
        (b'"x"', "without saying which"),
        (b"{", "without saying which"),
    ],
)
def test_what_a_provider_reports(raw: bytes, said: str) -> None:
    assert upstream_error(Raw(raw)).message == f"The provider reported an error: {said}"

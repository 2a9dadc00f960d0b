"""Errors in Google's words, both ways."""

from __future__ import annotations

import json

from tests.gateway.shapes.google import GEMINI

from penstock.gateway.shapes import google_error
from penstock.kernel.errors import LimitExceeded, MalformedRequest


def test_errors_are_statuses_of_googles_with_the_time_to_wait() -> None:
    # https://google.aip.dev/193 and https://ai.google.dev/gemini-api/docs/troubleshooting
    status, body = GEMINI.error(LimitExceeded("too many", retry_after=12.2))
    error = json.loads(body)["error"]
    assert (status, error["code"], error["status"], error["message"]) == (429, 429, "RESOURCE_EXHAUSTED", "too many")
    assert google_error.retry_delay(body) == 13.0
    status, body = GEMINI.error(MalformedRequest("bad", param="contents"))
    assert json.loads(body)["error"]["details"][1]["fieldViolations"][0]["field"] == "contents"


def test_refusals_of_googles_tell_when_to_come_again_and_whose_fault_it_is() -> None:
    # https://ai.google.dev/gemini-api/docs/rate-limits; a list is what a stream without `alt=sse` answers.
    quota = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaValue": "15"}]}
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38.5s"}
    status = {"code": 429, "message": "You exceeded your current quota.", "status": "RESOURCE_EXHAUSTED", "details": [quota, retry]}
    assert google_error.retry_delay(json.dumps({"error": status}).encode()) == 38.5
    assert google_error.retry_delay(json.dumps([{"error": status}]).encode()) == 38.5
    assert not google_error.blames_key(json.dumps({"error": status}).encode())
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
    wrong = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [reason]}
    assert google_error.blames_key(json.dumps({"error": wrong}).encode())
    for junk in (b"", b"[]", b"{}", b"<html>", b'{"error": 5}', b'{"error": {"details": [{"retryDelay": "x"}]}}', b"\xff"):
        assert google_error.retry_delay(junk) is None
        assert not google_error.blames_key(junk)

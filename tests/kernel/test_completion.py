"""Reading chat completions as servers write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.kernel.completion import completed, told_why


def body(message: dict[str, Any], **choice: Any) -> bytes:
    return json.dumps({"id": "1", "choices": [{"index": 0, "message": message, **choice}]}).encode()


@pytest.mark.parametrize("calls", [{}, {"tool_calls": None}, {"tool_calls": []}])
def test_text_is_read_however_a_server_says_that_nothing_is_called(calls: dict[str, Any]) -> None:
    answer = completed(body({"role": "assistant", "content": "yes", **calls}, finish_reason="stop"))
    assert answer is not None
    assert (answer.text, answer.calls, answer.finish) == ("yes", (), "stop")


def test_a_refusal_is_text_and_calls_go_back_as_they_came() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"n": 1'}}
    answer = completed(body({"content": None, "refusal": "no", "tool_calls": [call, {"function": {}}]}))
    assert answer is not None
    assert answer.text == "no"
    assert answer.calls[0].told() == call
    assert (answer.calls[1].id, answer.calls[1].function.arguments) == ("", "{}")


@pytest.mark.parametrize(
    "wrong", [b"", b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": 1}}]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_completion_is_none(wrong: bytes) -> None:
    assert completed(wrong) is None


def test_why_it_failed_is_told_in_few_words() -> None:
    assert told_why(b'{"error": {"message": "too much", "code": 3}}') == "too much"
    assert told_why(b'{"error": {"message": "' + b"x" * 9_000 + b'"}}') == "x" * 500
    assert told_why(b"<html>busy</html>") == "<html>busy</html>"
    assert told_why(b"\xff\xfe") != ""

"""What is particular to Gemini's streams; `test_streams` has what they share with the others."""

from __future__ import annotations

import pytest
from tests.gateway.shapes.google import CHAT, GEMINI
from tests.gateway.shapes.test_streams import GEMINI_STREAM, candidate, said_by_chat, sse

from penstock.kernel.errors import UpstreamError


def test_geminis_end_is_held_back_until_the_stream_is_over() -> None:
    tap = GEMINI.tap(keep_usage=True)
    assert b"finishReason" not in tap.feed(GEMINI_STREAM)
    assert not tap.finished
    assert b"finishReason" in tap.close()
    assert tap.finished
    assert tap.finish_reason == "STOP"


def test_a_stream_that_tells_an_end_with_every_event_is_not_cut_at_the_first() -> None:
    # As older versions of the API did.
    data = sse(*(candidate({"text": text}, finishReason="STOP") for text in ("a", "b", "c")))
    tap = GEMINI.tap(keep_usage=True)
    assert tap.feed(data) + tap.close() == data
    assert said_by_chat(translated_text(data))["text"] == "abc"


def translated_text(data: bytes) -> bytes:
    decoder, encoder = GEMINI.stream_decoder(), CHAT.stream_encoder(model="m", include_usage=False)
    return b"".join(encoder.encode(delta) for delta in [*decoder.feed(data), *decoder.close()]) + encoder.finish()


def test_nothing_is_told_of_a_reply_that_fails_before_it_says_anything() -> None:
    decoder = GEMINI.stream_decoder()
    failed = {"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}]}
    assert decoder.feed(sse(failed)) == []
    with pytest.raises(UpstreamError, match="MALFORMED_FUNCTION_CALL"):
        decoder.close()


def test_a_blocked_prompt_is_a_complete_stream() -> None:
    data = sse({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}})
    assert said_by_chat(translated_text(data))["finish"] == "content_filter"
    tap = GEMINI.tap(keep_usage=True)
    assert tap.feed(data) + tap.close() == data
    assert (tap.finish_reason, tap.usage and tap.usage.input) == ("SAFETY", 9)

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway.shapes.openai_usage import chat_object, count, of_chat_body, of_responses_body, responses_object
from penstock.kernel.call import Usage

COUNTS = st.integers(0, 2**30)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    cached, written, audio, rest = draw(COUNTS), draw(COUNTS), draw(COUNTS), draw(COUNTS)
    reasoning, spoken, said = draw(COUNTS), draw(COUNTS), draw(COUNTS)
    return Usage(
        input=cached + written + audio + rest,
        output=reasoning + spoken + said,
        cached=cached,
        cache_written=written,
        reasoning=reasoning,
        audio_input=audio,
        audio_output=spoken,
    )


@given(usages())
def test_what_is_written_is_read_as_it_was(usage: Usage) -> None:
    chat = chat_object(usage)
    assert of_chat_body(json.dumps({"usage": chat}).encode()) == usage
    assert chat["total_tokens"] == usage.input + usage.output
    responses = responses_object(usage)
    found = of_responses_body(json.dumps({"usage": responses}).encode())
    assert found is not None
    # Responses have no place for audio.
    assert (found.input, found.output, found.cached, found.cache_written, found.reasoning) == (
        usage.input,
        usage.output,
        usage.cached,
        usage.cache_written,
        usage.reasoning,
    )


def test_an_older_name_of_cached_tokens_is_understood() -> None:
    found = of_chat_body(b'{"usage":{"prompt_tokens":10,"completion_tokens":2,"prompt_cache_hit_tokens":7}}')
    assert found == Usage(input=10, output=2, cached=7)


def test_embeddings_have_only_prompts() -> None:
    assert of_chat_body(b'{"usage":{"prompt_tokens":10,"total_tokens":10}}') == Usage(input=10)


@pytest.mark.parametrize("value", [None, -1, -0.5, 2**40, 1e300])
def test_counts_that_make_no_sense_are_none(value: float | None) -> None:
    assert count(value) == 0


def test_a_count_with_a_fraction_is_made_whole() -> None:
    assert (count(3.0), count(3.9), count(0)) == (3, 3, 0)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"usage":null}', b'{"usage":"many"}', b'{"usage":{"prompt_tokens":"x"}}', b"\xff"]
)
def test_where_there_is_no_usage_to_be_found(body: bytes) -> None:
    assert of_chat_body(body) is None
    if b"prompt" not in body:
        assert of_responses_body(body) is None

"""What a request's head says, put onto its call."""

from __future__ import annotations

import json

import pytest

from penstock.gateway.asked import LONGEST_LABEL, estimate_tokens, heed
from penstock.gateway.shapes.shape import Head
from penstock.kernel.call import Call, Trace, Usage


def a_call(body: bytes = b"x" * 400) -> Call:
    return Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin(), body=body)


def test_a_task_is_named_by_the_model() -> None:
    call = a_call()
    heed(call, Head(model="task:" + "t" * 500, stream=True, max_output=5, include_usage=True))
    assert call.task == "t" * LONGEST_LABEL
    assert (call.stream, call.max_output, call.want_usage, call.input_estimate) == (True, 5, True, 101)


def test_a_model_that_the_path_named_stays() -> None:
    call = a_call()
    call.model, call.stream = "from-the-path", True
    heed(call, Head(model="", stream=False))
    assert (call.model, call.stream) == ("from-the-path", True)


@pytest.mark.parametrize(("told", "kept"), [(0, 101), (7, 7)])
def test_expected_use_without_input_gets_the_estimate(told: int, kept: int) -> None:
    call = a_call()
    heed(call, Head(model="m", stream=False, expected=Usage(input=told, images=2)))
    assert call.expected is not None
    assert (call.expected.input, call.expected.images) == (kept, 2)


def test_inlined_files_count_a_thousand_each() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}}
    assert 2000 <= estimate_tokens(json.dumps([picture, picture, "hello"]).encode()) < 2100

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cache.request import NOT_ASKED, digest_of, partition_of
from penstock.kernel.call import Call, Trace
from penstock.kernel.principal import Principal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WHO = Principal(key_id="key_1", name="k", organisation="org_1")


def call(body: Any, *, shape: str = "openai.chat", operation: str = "chat", model: str = "m", task: str | None = None) -> Call:
    made = Call(operation=operation, shape=shape, credential=None, deadline=0.0, trace=Trace.begin())
    made.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    made.principal, made.model, made.task = WHO, model, task
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        made.fields = msgspec.json.decode(made.body, type=dict[str, msgspec.Raw])
    return made


def shuffled(value: Any, draw: st.DataObject) -> Any:
    if isinstance(value, dict):
        names = draw.draw(st.permutations(list(value)))
        return {name: shuffled(value[name], draw) for name in names}
    return [shuffled(one, draw) for one in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(min_size=1, max_size=6), JSON, min_size=1, max_size=5), st.data())
def test_how_json_is_written_makes_no_difference(body: dict[str, Any], data: st.DataObject) -> None:
    one = digest_of(call(body), "org_1")
    written = json.dumps(shuffled(body, data), indent=data.draw(st.integers(0, 3)), ensure_ascii=data.draw(st.booleans()))
    assert digest_of(call(written.encode()), "org_1") == one


@given(st.dictionaries(st.sampled_from(sorted(NOT_ASKED)), JSON, max_size=4))
def test_what_no_reply_depends_on_makes_no_difference(more: dict[str, Any]) -> None:
    assert digest_of(call({"messages": [1], **more}), "org_1") == digest_of(call({"messages": [1]}), "org_1")


@given(JSON, JSON)
def test_what_a_reply_depends_on_makes_one(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True) or one == other
    found = digest_of(call({"messages": [one]}), "o"), digest_of(call({"messages": [other]}), "o")
    assert (found[0] == found[1]) is same or same


@given(st.text(max_size=20), st.text(max_size=20), st.dictionaries(st.text(min_size=1, max_size=6), JSON, min_size=1, max_size=3))
def test_tenants_are_apart_whatever_they_are_called_and_say(one: str, other: str, body: dict[str, Any]) -> None:
    assert (digest_of(call(body), one) == digest_of(call(body), other)) is (one == other)
    assert (partition_of(call(body), one, b"rest") == partition_of(call(body), other, b"rest")) is (one == other)


@given(st.text(max_size=8), st.text(max_size=8))
def test_model_and_task_cannot_be_mistaken_for_each_other(model: str, task: str) -> None:
    one, other = call({"a": 1}, model=model, task=task), call({"a": 1}, model=task, task=model)
    assert (digest_of(one, "o") == digest_of(other, "o")) is (model == task)


@pytest.mark.parametrize(
    "other",
    [
        call({"messages": [1]}, shape="anthropic.messages"), call({"messages": [1]}, model="n"), call({"messages": [1]}, task="t"),
        call({"messages": [1], "temperature": 0}), call({"messages": [1], "logprobs": True}),
    ],
)  # fmt: skip
def test_each_of_these_is_another_request(other: Call) -> None:
    assert digest_of(other, "o") not in (None, digest_of(call({"messages": [1]}), "o"))


def test_headers_that_change_the_answer_count_and_spelling_of_numbers_does_not() -> None:
    beta = call({"messages": [1]})
    beta.passthrough = [("anthropic-beta", "tools-2099")]
    assert digest_of(beta, "o") != digest_of(call({"messages": [1]}), "o")
    assert digest_of(call({"temperature": 1.0}), "o") == digest_of(call({"temperature": 1}), "o")
    assert digest_of(call({"temperature": None}), "o") == digest_of(call({"seed": None}), "o")


def test_streams_are_the_same_request_unless_they_cannot_say_the_same() -> None:
    stream = call({"messages": [1], "stream": True})
    stream.stream = True
    assert digest_of(stream, "o") == digest_of(call({"messages": [1]}), "o")
    apart = call({"messages": [1], "stream": True, "logprobs": True})
    apart.stream = True
    assert digest_of(apart, "o") != digest_of(call({"messages": [1], "logprobs": True}), "o")


@pytest.mark.parametrize(
    "never",
    [
        call({"input": "x", "previous_response_id": "resp_1"}), call({"input": "x", "conversation": "conv_1"}), call({"background": True}),
        call({"store": True}), call({}, operation="image"), call({}, operation="count_tokens"),
        call(b"[1]"), call(b"{"), call(b'{"a":"\\ud800"}'),
        call(b'{"a":' * 200 + b"1" + b"}" * 200 + b"x"),
    ],
)  # fmt: skip
def test_these_are_never_cached(never: Call) -> None:
    assert digest_of(never, "o") is None

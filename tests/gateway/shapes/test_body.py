from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from penstock.gateway.shapes.body import CAP, CAP_FROM_ZERO, COUNT, MAX_NESTING, expect, head, model_of, rewritten, top_level
from penstock.kernel.errors import MalformedRequest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4).filter(lambda t: "\0" not in t) | st.sampled_from(['"[', "]}", "\\"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5))
def test_the_top_level_is_the_clients_own_bytes(body: dict[str, object]) -> None:
    found = top_level(json.dumps(body).encode())
    assert {name: json.loads(bytes(raw)) for name, raw in found.items()} == body


@given(st.lists(st.sampled_from(["[", '{"a":']), min_size=1, max_size=150), st.booleans(), st.booleans())
def test_nesting_is_measured_exactly(openers: list[str], in_string: bool, beside: bool) -> None:
    core = "1"
    for opener in reversed(openers):
        core = f"[{core}]" if opener == "[" else f'{{"a":{core}}}'
    # Brackets inside of strings are no levels, and what stands beside is not below.
    text = f'{{"x":{core}' + (',"s":"' + '[{\\"' * 200 + '"' if in_string else "") + (',"l":[' + "[]," * 200 + "1]" if beside else "") + "}"
    depth = 1 + len(openers)
    if depth > MAX_NESTING:
        with pytest.raises(MalformedRequest, match=f"at most {MAX_NESTING} levels"):
            top_level(text.encode())
    else:
        assert bytes(top_level(text.encode())["x"]).decode() == core


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b'{"a":1} x', b'{"a":"\xff"}', b"{'a':1}", b"\xef\xbb\xbf{}"])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        top_level(body)


def test_half_a_surrogate_pair_is_told_as_what_it_is() -> None:
    with pytest.raises(MalformedRequest, match="surrogate"):
        top_level(b'{"model":"\\ud800"}')


def fields(**values: str) -> dict[str, Raw]:
    return {name: Raw(text.encode()) for name, text in values.items()}


@pytest.mark.parametrize("model", [None, "5", '""', "null", '["m"]', json.dumps("m" * 513)])
def test_every_request_names_a_model(model: str | None) -> None:
    with pytest.raises(MalformedRequest) as caught:
        model_of(fields(**({"model": model} if model else {})))
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("decoder", "good", "bad"),
    [
        (CAP, ["1", str(2**31 - 1), "null"], ["0", "-1", "1.5", '"1"', str(2**31)]),
        (CAP_FROM_ZERO, ["0", "1"], ["-1", str(2**31)]),
        (COUNT, ["1", "128"], ["0", "129"]),
    ],
)
def test_figures_stay_within_what_can_be_charged(decoder: msgspec.json.Decoder[int | None], good: list[str], bad: list[str]) -> None:
    for text in good:
        head(fields(n=text), "n", decoder)
    for text in bad:
        with pytest.raises(MalformedRequest) as caught:
            head(fields(n=text), "n", decoder)
        assert caught.value.param == "n"
    assert head({}, "n", decoder) is None


def test_a_field_is_of_one_of_these_kinds() -> None:
    expect(fields(a="[1]"), "a", b'["')
    expect(fields(a='"x"'), "a", b'["')
    for wrong, words in (({"a": "{}"}, "an array or a string"), ({}, "missing")):
        with pytest.raises(MalformedRequest, match=words):
            expect(fields(**wrong), "a", b'["')


def test_a_copy_for_a_provider_names_its_model_and_leaves_the_rest() -> None:
    given_fields = fields(model='"ours"', stream="true", keep='{"a": 1}')
    out = rewritten(given_fields, model="theirs", stream=False)
    assert json.loads(msgspec.json.encode(out)) == {"model": "theirs", "stream": False, "keep": {"a": 1}}
    assert b'{"a": 1}' in msgspec.json.encode(out)  # the client's own bytes
    assert "stream" not in rewritten(fields(model='"m"'), model="m", stream=False)
    assert bytes(given_fields["model"]) == b'"ours"'

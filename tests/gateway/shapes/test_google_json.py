"""Proto3's JSON: two names for a field, and lists of one that stand bare."""

from __future__ import annotations

import json

import pytest

from penstock.gateway.shapes import google_json as g
from penstock.gateway.shapes.body import top_level
from penstock.gateway.shapes.reader import Reader
from penstock.kernel.errors import MalformedRequest


def read(body: object) -> Reader:
    return g.reader(top_level(json.dumps(body).encode()))


def test_both_names_are_one_field() -> None:
    assert (g.camel("inline_data"), g.camel("inlineData"), g.camel("topP"), g.camel("top_p")) == (
        "inlineData",
        "inlineData",
        "topP",
        "topP",
    )
    inner = g.message(read({"function_calling_config": {"allowed_function_names": "f"}}), "functionCallingConfig")
    assert inner is not None
    assert g.texts(inner, "allowedFunctionNames") == ("f",)


def test_a_list_of_one_may_stand_bare_and_a_wrong_one_is_named() -> None:
    (only,) = g.messages(read({"parts": {"text": "hi"}}), "parts")
    assert (only.path, only.text("text")) == ("parts", "hi")
    assert [one.path for one in g.messages(read({"parts": [{}, {}]}), "parts")] == ["parts[0]", "parts[1]"]
    assert g.messages(read({"parts": None}), "parts") == []
    for wrong in ("hi", 5, [5]):
        with pytest.raises(MalformedRequest) as fault:
            g.messages(read({"parts": wrong}), "parts")
        assert fault.value.param is not None
        assert fault.value.param.startswith("parts")

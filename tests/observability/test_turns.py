"""Readers of JSON that may hold anything."""

from __future__ import annotations

import pytest

from penstock.observability.turns import as_map, as_maps, settings_of, text


@pytest.mark.parametrize(("value", "shown"), [(None, ""), ("a", "a"), (5, "5"), ({"a": [1]}, '{"a":[1]}'), (False, "false")])
def test_anything_has_a_text(value: object, shown: str) -> None:
    assert text(value) == shown


def test_what_is_no_object_is_an_empty_one() -> None:
    assert (as_map({"a": 1}), as_map([]), as_map(None)) == ({"a": 1}, {}, {})
    assert (as_maps([{"a": 1}, 5]), as_maps("x")) == ([{"a": 1}, {}], [])


def test_settings_are_what_is_neither_listed_nor_left_out() -> None:
    assert settings_of({"model": "m", "messages": [], "stream": True, "input": "x"}, "input") == {"model": "m", "stream": "true"}

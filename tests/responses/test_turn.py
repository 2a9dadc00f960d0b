"""What of a turn is kept, and what of it is said again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from penstock.responses.turn import ID, input_items, made_at, new_turn, said_again


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


def again(item: dict[str, Any], *, same_model: bool = True) -> Any:
    said = said_again(raw(item), same_model=same_model)
    return None if said is None else json.loads(bytes(said))


def test_ids_are_ours_and_tell_their_moment() -> None:
    first, second = new_turn(), new_turn()
    assert first != second
    assert ID.fullmatch(first)
    assert abs(made_at(first) - made_at(second)) < 60
    assert ID.fullmatch("resp_67ccd2bed1ec8190b14f964abc054267") is None


def test_a_text_becomes_an_item_and_items_get_ids() -> None:
    (item,) = json.loads(input_items(raw("h\u00e9"), "resp_ps1") or b"")
    assert item == {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "h\u00e9"}], "id": "msg_ps1_0"}
    given_items = [{"role": "assistant", "content": "x"}, {"id": "fc_9", "type": "function_call"}, {"type": "odd"}]
    kept = json.loads(input_items(raw(given_items), "resp_ps1") or b"")
    assert [one["id"] for one in kept] == ["msg_ps1_0", "fc_9", "item_ps1_2"]
    assert kept[0]["content"] == [{"type": "output_text", "text": "x"}]


@pytest.mark.parametrize("value", [5, None, {}, ["x"], [5], [[]], True])
def test_what_is_no_input_is_told_apart(value: Any) -> None:
    assert input_items(raw(value), "resp_ps1") is None
    assert input_items(Raw(b"nonsense"), "resp_ps1") is None


@given(st.text(max_size=50))
def test_words_are_said_again_as_they_were(text: str) -> None:
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    assert again({**message, "id": "msg_1", "status": "completed"}) == message


def test_thoughts_are_said_again_to_the_model_that_had_them_alone() -> None:
    bare: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": []}
    sealed: dict[str, Any] = {**bare, "encrypted_content": "xyz"}
    assert again(bare) is None
    assert again(sealed) == sealed
    assert again(sealed, same_model=False) is None


def test_what_we_do_not_know_goes_as_it_is() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    assert again(item) == item
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "n", "arguments": "{}", "status": "completed"}
    assert again(call) == {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=10)
    | st.sampled_from(["message", "reasoning", "function_call"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "id", "status", "text", "output"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_a_caller_sends_is_kept_or_left_alone(value: Any) -> None:
    kept = input_items(raw(value), "resp_ps1")
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, dict) for one in value)):  # type: ignore[reportUnknownVariableType]
        items = json.loads(kept or b"")
        assert all(isinstance(item["id"], str) for item in items)
        for item in items:
            said_again(raw(item), same_model=True)
    else:
        assert kept is None


@given(st.binary(max_size=80))
def test_bytes_that_are_no_json_are_left_alone(data: bytes) -> None:
    kept = input_items(Raw(data), "resp_ps1")
    assert kept is None or isinstance(json.loads(kept), list)

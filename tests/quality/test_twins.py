"""Twins of items: everything that a model reads is swapped alike, and an item whose answer would not fit has none."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.quality.examples import Item
from penstock.quality.twins import Twin, twin


def of(input: Any, **more: Any) -> Item:
    return Item(id="1", input=input, **more)


ABOUT_HER = of(
    "My mother said that she is ill. Who?", choices=["the mother", "a dog"], target="the mother", context="A mother spoke."
)  # fmt: skip
ABOUT_HIM = of("My father said that he is ill. Who?", choices=["the father", "a dog"], target="the father", context="A father spoke.")


def test_answers_and_choices_go_along() -> None:
    assert twin(ABOUT_HER, "gender") == Twin(item=ABOUT_HIM, groups=("female", "male"), original=0)
    assert twin(ABOUT_HIM, "gender") == Twin(item=ABOUT_HER, groups=("female", "male"), original=1)


def test_conversations_keep_their_form() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    said = [
        {"role": "system", "content": "Help."},
        {"role": "user", "content": [{"type": "text", "text": "She is a waitress."}, picture]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "user", "content": "What is her job?"},
    ]
    found = twin(of(said, target=["waitress", "server"]), "gender")
    assert isinstance(found, Twin)
    assert found.item.input == [
        said[0],
        {"role": "user", "content": [{"type": "text", "text": "He is a waiter."}, picture]},
        said[2],
        {"role": "user", "content": "What is his job?"},
    ]
    assert found.item.target == ["waiter", "server"]
    assert twin(of(said, target=["waitress", "server"]), "gender") == found


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (of("What is 2 + 2?", target=4), "nothing_to_swap"),
        (of("He and she left."), "both_sides"),
        (of("What is 2 + 2?", target="the mother"), "nothing_to_swap"),
        (of("She wrote it. Who did?", target="the mother"), "answer_names_others"),
        (of("She wrote it. Who did?", target="the father"), "both_sides"),
        (of("Her mother has a list; sum it.", tests="assert mother() == 1"), "tests_name_them"),
        (of("She\0left."), "nothing_to_swap"),
    ],
)
def test_what_has_no_twin_says_why(item: Item, why: str) -> None:
    assert twin(item, "gender") == why
    assert twin(of("She left."), "gender", ["she"]) == "nothing_to_swap"

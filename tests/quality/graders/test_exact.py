"""Exactly the target."""

from __future__ import annotations

import pytest

from penstock.quality.examples import Item
from penstock.quality.graders.exact import Exact
from penstock.quality.graders.matching import Matcher


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("B", 1.0),
        ("b)", 1.0),
        ("**B**", 1.0),
        ("(B) two", 1.0),
        ("Answer: B", 1.0),
        ("I think that the answer is (B).", 1.0),
        ("Let me think.\nSo it must be that.\nB", 1.0),
        ("two", 1.0),
        ("A or B? The answer is A", 0.0),
        ("A", 0.0),
        ("Answer: D", 0.0),
        ("one or two", 0.0),
        ("", 0.0),
        ("Because of that", 0.0),
    ],
)
async def test_a_choice_is_found_in_what_was_said(answer: str, score: float) -> None:
    item = Item(id="a", input="?", target="B", choices=["one", "two", "three"])
    assert (await Exact(Matcher(), pattern=None, ignore_case=True).grade(item, answer)).score == score


async def test_text_is_compared_without_white_space_and_case() -> None:
    grader, strict = (Exact(Matcher(), pattern=None, ignore_case=each) for each in (True, False))
    item = Item(id="a", input="?", target=["New York", "NYC"])
    assert [(await grader.grade(item, text)).score for text in (" new  york.", "nyc", "york")] == [1.0, 1.0, 0.0]
    assert [(await strict.grade(item, text)).score for text in ("New York", "new york")] == [1.0, 0.0]
    assert (await grader.grade(Item(id="a", input="?"), "x")).state == "unjudged"


async def test_a_pattern_says_where_it_stands() -> None:
    matcher = Matcher()
    grader = Exact(matcher, pattern=r"label: (\w+)", ignore_case=True)
    item = Item(id="a", input="?", target="spam")
    assert [(await grader.grade(item, text)).score for text in ("Label: ham, no, label: SPAM", "spam")] == [1.0, 0.0]
    await matcher.close()

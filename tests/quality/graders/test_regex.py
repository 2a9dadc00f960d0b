"""A pattern that the answer matches."""

from __future__ import annotations

from penstock.quality.examples import Item
from penstock.quality.graders.matching import Matcher
from penstock.quality.graders.regex import Regex


async def test_with_and_without_a_target() -> None:
    matcher = Matcher()
    grader = Regex(matcher, pattern=r"total: (\S+)", ignore_case=True)
    plain, wanted = Item(id="a", input="?"), Item(id="a", input="?", target="EUR12")
    assert [(await grader.grade(plain, text)).score for text in ("Total: x", "none")] == [1.0, 0.0]
    assert [(await grader.grade(wanted, text)).score for text in ("total: 3, total: eur12", "total: 3")] == [1.0, 0.0]
    await matcher.close()

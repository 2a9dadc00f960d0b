"""Patterns in a process of their own."""

from __future__ import annotations

import pytest

from penstock.quality.examples import Item
from penstock.quality.graders.matching import Matcher, TooSlow, check
from penstock.quality.graders.regex import Regex


async def test_one_that_never_ends_is_killed_and_the_next_is_answered() -> None:
    matcher = Matcher(0.3)
    with pytest.raises(TooSlow):
        await matcher.last(r"(a+)+$", "a" * 40 + "!")
    assert matcher.slow == 1
    assert await matcher.last(r"x(\d)", "x1 x2 \u2028 \U0001f600") == "2"
    assert await matcher.last(r"x", "y") is None
    grade = await Regex(matcher, pattern=r"(a+)+$", ignore_case=False).grade(Item(id="a", input="?"), "a" * 40 + "!")
    assert (grade.state, grade.score) == ("unjudged", None)
    await matcher.close()
    await matcher.close()


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "x" * 3000, "(?P<a>x)(?P<a>y)"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        check(pattern)

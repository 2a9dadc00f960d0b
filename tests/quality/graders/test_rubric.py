"""A model that grades, and what counts as a verdict."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.quality.examples import Item
from penstock.quality.graders.grade import Heard
from penstock.quality.graders.rubric import Rubric

ITEM = Item(id="a", input="How deep?", target="40 m", context="The pipe is 40 m deep.")


class Told:
    def __init__(self, reply: str, error: str | None = None) -> None:
        self.reply, self.error = reply, error
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, model: str, messages: list[dict[str, Any]], max_tokens: int) -> Heard:
        self.asked = messages
        return Heard(text=self.reply, error=self.error, cost=7, paid=7)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"reason": "right", "grade": 5}', 1.0),
        ('{"grade": 1}', 0.0),
        ('```json\n{"reason": "so so", "grade": 3}\n```', 0.5),
        ('{"grade": 6}', None),
        ('{"grade": "5"}', None),
        ('{"grade": 4.5}', None),
        ("Grade: 5", None),
        ('I would say {"grade": 5}', None),
        ("", None),
        ("[" * 5000, None),
    ],
)
async def test_only_a_verdict_is_a_score(reply: str, score: float | None) -> None:
    asks = Told(reply)
    grade = await Rubric(asks, model="up/j", rubric="Is it right?").grade(ITEM, "42 m")
    assert (grade.score, grade.cost) == (score, 7)
    assert grade.state == ("unjudged" if score is None else "judged")
    said = asks.asked[-1]["content"]
    assert all(each in said for each in ("Is it right?", "How deep?", "40 m", "42 m"))


async def test_a_judge_that_fails_judges_nothing() -> None:
    grade = await Rubric(Told("", "upstream_error"), model="up/j", rubric=None).grade(ITEM, "42 m")
    assert (grade.state, grade.score, grade.reason) == ("unjudged", None, "the judge did not answer: upstream_error")

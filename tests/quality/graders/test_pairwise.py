"""Two answers, compared in both orders."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.quality.examples import Item
from penstock.quality.graders.grade import Heard
from penstock.quality.graders.pairwise import Pairwise

ITEM = Item(id="a", input="How deep?")


def judge(verdicts: list[str]) -> tuple[Any, list[str]]:
    seen: list[str] = []

    async def asks(model: str, messages: list[dict[str, Any]], max_tokens: int) -> Heard:
        seen.append(messages[-1]["content"])
        return Heard(text=verdicts[len(seen) - 1], cost=5, paid=5)

    return asks, seen


@pytest.mark.parametrize(
    ("verdicts", "score"),
    [
        (['{"better": "A"}', '{"better": "B"}'], 1.0),
        (['{"better": "B"}', '{"better": "A"}'], 0.0),
        (['{"better": "tie"}', '{"better": "tie"}'], 0.5),
        (['{"better": "A"}', '{"better": "A"}'], 0.5),
        (['{"better": "A"}', '{"better": "C"}'], None),
        (["A", '{"better": "B"}'], None),
    ],
)
async def test_verdicts(verdicts: list[str], score: float | None) -> None:
    asks, seen = judge(verdicts)
    grade = await Pairwise(asks, model="up/j", rubric=None).grade(ITEM, "mine", "the other")
    assert grade.score == score
    assert grade.cost == 5 * len(seen)
    assert seen[0].index("mine") < seen[0].index("the other")
    if len(seen) == 2:
        assert seen[1].index("mine") > seen[1].index("the other")


async def test_the_same_answer_is_a_tie_without_asking() -> None:
    asks, seen = judge([])
    assert (await Pairwise(asks, model="up/j", rubric=None).grade(ITEM, "mine", "mine")).score == 0.5
    assert (await Pairwise(asks, model="up/j", rubric=None).grade(ITEM, "mine")).state == "unjudged"
    assert seen == []

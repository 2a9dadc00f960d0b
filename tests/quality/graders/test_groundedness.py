"""Grounded or not, by the item's context or by what its messages hold; and what cannot be judged."""

from __future__ import annotations

from penstock.kernel.tasks import Judge
from penstock.quality.examples import Item
from penstock.quality.graders import Matcher, of
from penstock.quality.graders.code import Code
from penstock.quality.graders.groundedness import Groundedness
from penstock.quality.grounded.judgement import Limits

CONTEXT = "The Obermatt plant has worked since 1962 and gives 88 megawatts."
GROUNDED, MADE_UP = "The Obermatt plant has worked since 1962.", "I think Siemens bought everything for 12 billion dollars, amazing!"


async def test_the_items_context_decides() -> None:
    item = Item(id="a", input="Since when?", context=CONTEXT)
    good, bad = await Groundedness().grade(item, GROUNDED), await Groundedness().grade(item, f"{GROUNDED} {MADE_UP}")
    assert (good.score, bad.score) == (1.0, 0.0)
    assert good.detail["spans"] == []
    assert [(span["start"], span["end"]) for span in bad.detail["spans"]] == [(len(GROUNDED) + 1, len(GROUNDED) + 1 + len(MADE_UP))]


async def test_a_conversation_brings_its_own_context() -> None:
    messages = [{"role": "user", "content": f"<context>{CONTEXT}</context> Since when?"}]
    assert (await Groundedness().grade(Item(id="a", input=messages), GROUNDED)).score == 1.0


async def test_what_cannot_be_judged_is_no_score() -> None:
    alone = await Groundedness().grade(Item(id="a", input="Since when?"), GROUNDED)
    asked = await Groundedness().grade(Item(id="a", input=[{"role": "user", "content": "Since when?"}]), GROUNDED)
    unsure = await Groundedness(Limits(low=0.0, high=1.0)).grade(Item(id="a", input="?", context=CONTEXT), GROUNDED)
    assert [(one.state, one.score) for one in (alone, asked, unsure)] == [("unjudged", None)] * 3
    assert "No context" in alone.reason
    assert "No context found in the call" in asked.reason
    assert "unsure" in unsure.reason


async def test_a_task_names_it() -> None:
    async def nobody(model: str, messages: object, max_tokens: int) -> object:
        raise AssertionError("no model is asked")

    grader = of(Judge(kind="groundedness"), asks=nobody, matcher=Matcher(), code=Code(on=False, seconds=1))  # type: ignore[arg-type]
    assert grader.name == "groundedness"
    assert not grader.compares

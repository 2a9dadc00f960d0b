"""Grounded or not, by the item's context or by what its messages hold; what cannot be judged; and who judged."""

from __future__ import annotations

from penstock.kernel.tasks import Judge
from penstock.quality.evidence import name_of
from penstock.quality.examples import Item
from penstock.quality.graders import Matcher, of
from penstock.quality.graders.code import Code
from penstock.quality.graders.groundedness import IN_ITS_PLACE, Groundedness
from penstock.quality.grounded.choice import Detectors
from penstock.quality.grounded.judgement import Limits
from penstock.quality.settings import QualitySettings

CONTEXT = "The Obermatt plant has worked since 1962 and gives 88 megawatts."
GROUNDED, MADE_UP = "The Obermatt plant has worked since 1962.", "I think Siemens bought everything for 12 billion dollars, amazing!"


def detectors() -> Detectors:
    return Detectors(QualitySettings(), lambda: None, lambda: None)


async def test_the_items_context_decides() -> None:
    item, grader = Item(id="a", input="Since when?", context=CONTEXT), Groundedness(detectors())
    good, bad = await grader.grade(item, GROUNDED), await grader.grade(item, f"{GROUNDED} {MADE_UP}")
    assert (good.score, bad.score) == (1.0, 0.0)
    assert good.detail["spans"] == []
    assert [(span["start"], span["end"]) for span in bad.detail["spans"]] == [(len(GROUNDED) + 1, len(GROUNDED) + 1 + len(MADE_UP))]
    assert (good.judge, good.detail["detector"].endswith("/words")) == ("", True)


async def test_a_conversation_brings_its_own_context() -> None:
    messages = [{"role": "user", "content": f"<context>{CONTEXT}</context> Since when?"}]
    assert (await Groundedness(detectors()).grade(Item(id="a", input=messages), GROUNDED)).score == 1.0


async def test_what_cannot_be_judged_is_no_score() -> None:
    plain, given = Groundedness(detectors()), {"words": 0}

    def limits(detector: str) -> Limits:
        given["words"] += detector.endswith("/words")
        return Limits(low=0.0, high=1.0)

    alone = await plain.grade(Item(id="a", input="Since when?"), GROUNDED)
    asked = await plain.grade(Item(id="a", input=[{"role": "user", "content": "Since when?"}]), GROUNDED)
    unsure = await Groundedness(detectors(), limits=limits).grade(Item(id="a", input="?", context=CONTEXT), GROUNDED)
    assert [(one.state, one.score) for one in (alone, asked, unsure)] == [("unjudged", None)] * 3
    assert "No context" in alone.reason
    assert "No context found in the call" in asked.reason
    assert "unsure" in unsure.reason
    assert (unsure.detail["limits"], given["words"]) == ([0.0, 1.0], 1)


async def test_the_limits_of_a_task_part_the_verdicts() -> None:
    item = Item(id="a", input="?", context=CONTEXT)
    strict = Groundedness(detectors(), limits=lambda detector: Limits(low=-1.0, high=0.0))
    assert (await strict.grade(item, GROUNDED)).score == 0.0


async def test_another_in_its_place_is_named_and_is_no_evidence_for_the_task() -> None:
    wanted = Groundedness(detectors(), "tokens")
    grade = await wanted.grade(Item(id="a", input="?", context=CONTEXT), GROUNDED)
    assert (grade.score, grade.judge) == (1.0, IN_ITS_PLACE)
    assert grade.reason.startswith("words alone judged, not tokens (detector_unavailable: ")
    assert grade.detail["instead_of"] == "tokens"
    for judge in (Judge(kind="groundedness"), Judge(kind="groundedness", detector="tokens")):
        assert name_of(judge) != IN_ITS_PLACE
    assert wanted.name == name_of(Judge(kind="groundedness", detector="tokens"))


async def test_a_task_names_it() -> None:
    async def nobody(model: str, messages: object, max_tokens: int) -> object:
        raise AssertionError("no model is asked")

    grounded = Groundedness(detectors())
    judge = Judge(kind="groundedness")
    grader = of(judge, asks=nobody, matcher=Matcher(), code=Code(on=False, seconds=1), grounded=grounded)  # type: ignore[arg-type]
    assert grader.name == "groundedness"
    assert not grader.compares

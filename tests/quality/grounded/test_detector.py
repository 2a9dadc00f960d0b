"""The detector that is always there: verdicts, spans by offsets, and what it will not judge."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.gateway.local_embedder import LocalEmbedder
from penstock.quality.grounded.detector import MAX_REPLY, MeaningDetector, WordDetector
from penstock.quality.grounded.judgement import Detector, Limits

CONTEXT = [
    "Penstock Power runs three plants. The Obermatt plant has worked since 1962 and gives 88 megawatts.",
    "The company was founded in Lucerne by Anna Frey. It employs 240 people.",
]
GROUNDED = "The Obermatt plant has worked since 1962. The company was founded in Lucerne by Anna Frey."
MADE_UP = "The Obermatt plant has worked since 1962. I think Siemens bought everything for 12 billion dollars last winter, amazing!"


def test_a_grounded_and_a_made_up_reply() -> None:
    detector: Detector = WordDetector()
    good, bad = WordDetector().judge_now(CONTEXT, GROUNDED), WordDetector().judge_now(CONTEXT, MADE_UP)
    assert (good.verdict, bad.verdict) == ("grounded", "ungrounded")
    assert good.score is not None
    assert bad.score is not None
    assert good.score < bad.score
    assert good.detector == detector.id
    assert bad.why


def test_spans_point_at_what_is_unsupported_and_at_what_supports() -> None:
    found = WordDetector().judge_now(CONTEXT, MADE_UP).spans
    first, second = (span for span in found if span.kind == "sentence")
    assert MADE_UP[first.start : first.end] == "The Obermatt plant has worked since 1962."
    assert first.score < 0.5 < second.score
    assert first.support is not None
    text = CONTEXT[first.support.text][first.support.start : first.support.end]
    assert text == "The Obermatt plant has worked since 1962 and gives 88 megawatts."
    runs = [MADE_UP[span.start : span.end] for span in found if span.kind == "words"]
    assert runs == ["think Siemens bought everything for 12 billion dollars last winter, amazing"]


@pytest.mark.parametrize(
    ("context", "reply", "why"),
    [
        ([], "Something.", "No context"),
        (["  \n"], "Something.", "No context"),
        (CONTEXT, " ", "no text"),
        (CONTEXT, "?!", "no words"),
        (["..."], "Something.", "no words"),
        (CONTEXT, "word " * MAX_REPLY, "too long"),
    ],
)
def test_what_cannot_be_judged_says_so(context: list[str], reply: str, why: str) -> None:
    found = WordDetector().judge_now(context, reply)
    assert (found.verdict, found.score, found.spans) == ("not_judged", None, ())
    assert why in found.why


def test_limits_of_a_calibration_decide() -> None:
    score = WordDetector().judge_now(CONTEXT, MADE_UP).score
    assert score is not None
    assert WordDetector(Limits(low=0.0, high=1.0)).judge_now(CONTEXT, MADE_UP).verdict == "unsure"
    assert WordDetector(Limits(low=score, high=1.0)).judge_now(CONTEXT, MADE_UP).verdict == "grounded"
    with pytest.raises(ValueError, match="lies above"):
        Limits(low=0.7, high=0.6)


@pytest.mark.parametrize(("said", "asked"), [("7 ", "7. "), ("river. ", "river. "), ("river ", "river. ")])
def test_texts_that_repeat_themselves_take_no_longer_than_others(said: str, asked: str) -> None:
    """Each stands thousands of times on both sides: with a product of the two this would take minutes, and the test's time would be up."""
    found = WordDetector().judge_now([said * (200_000 // len(said))], asked * (20_000 // len(asked)))
    assert found.verdict == "grounded"


@settings(max_examples=100)
@given(st.lists(st.text(max_size=150), max_size=3), st.text(max_size=150))
def test_any_text_gets_a_judgement_with_spans_inside(context: list[str], reply: str) -> None:
    found = WordDetector().judge_now(context, reply)
    assert (found.score is None) == (found.verdict == "not_judged")
    for span in found.spans:
        assert 0 <= span.start < span.end <= len(reply)
        assert 0 <= span.score <= 1 + 1e-9
        if span.support is not None:
            assert 0 <= span.support.start < span.support.end <= len(context[span.support.text])


class Counted:
    """An embedder that keeps what it was asked and finds everything alike."""

    id = "counted"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        self.asked += texts
        return [array("f", [1.0, 0.0]).tobytes() for _ in texts]


async def test_the_embedding_model_is_asked_about_little() -> None:
    embedder = Counted()
    found = await MeaningDetector(embedder).judge([text * 30 for text in CONTEXT], MADE_UP * 20)
    assert found.score is not None
    assert len(embedder.asked) == 4
    assert sum(map(len, embedder.asked)) <= 4 * 130
    assert found.detector.endswith("/meaning/counted")


async def test_nothing_is_embedded_where_nothing_is_judged() -> None:
    embedder = Counted()
    assert (await MeaningDetector(embedder).judge([], MADE_UP)).verdict == "not_judged"
    assert not embedder.asked


async def test_with_the_local_embedding_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("onnxruntime")
    detector = MeaningDetector(LocalEmbedder(tmp_path_factory.getbasetemp() / "grounded-minilm"))
    good, bad = await detector.judge(CONTEXT, GROUNDED), await detector.judge(CONTEXT, MADE_UP)
    assert (good.verdict, bad.verdict) == ("grounded", "ungrounded")

"""A reply with what nothing supports: its stretches make up the reply again, and marks stand where people see a fault."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.observability.calls import OPERATOR, OTHER
from tests.quality.drift.house import put, stored
from tests.quality.replies import as_samples, recorded

from penstock.kernel.errors import NotFound
from penstock.kernel.opening import Opening
from penstock.kernel.principal import Principal
from penstock.quality.grounded.choice import Detectors
from penstock.quality.grounded.detector import WordDetector
from penstock.quality.grounded.judgement import Judgement, Limits, Span, Support
from penstock.quality.replies import Replies, highlighted
from penstock.quality.settings import QualitySettings

KEPT = as_samples("org")
MINE = Principal(key_id="k", name="k", organisation="org")


def no_limits(organisation: str, task: str, detector: str) -> None:
    """No task is calibrated."""


def test_stretches_make_up_the_reply_and_the_context() -> None:
    detector, marked = WordDetector(), list[float]()
    for kept, row in zip(KEPT, recorded(), strict=True):
        told = highlighted(kept, detector.judge_now((kept.context,), kept.answer))
        assert "".join(piece.text for piece in told.pieces) == kept.answer
        assert "".join(piece.text for piece in told.context) == kept.context
        places = {piece.sentence for piece in told.context if piece.sentence is not None}
        assert {one.source for one in told.sentences if one.source is not None} <= places
        share = sum(len(piece.text) for piece in told.pieces if piece.mark) / len(kept.answer)
        marked.append(share if row["attributable"] else -share)
    good, bad = [one for one in marked if one >= 0][:8], [-one for one in marked[8:]]
    assert sum(bad) / len(bad) > sum(good) / len(good) + 0.2, "what people call unsupported is marked, and the rest is not"


def test_marks() -> None:
    kept = KEPT[0]
    text = "Grounded here. Made up there."
    kept = msgspec.structs.replace(kept, answer=text, context="It is grounded here, yes.")
    support = Support(text=0, start=6, end=20, share=0.9)
    judgement = Judgement(
        verdict="ungrounded",
        detector="d",
        score=0.8,
        spans=(
            Span(kind="sentence", start=0, end=14, score=0.1, support=support),
            Span(kind="words", start=0, end=8, score=0.5),
            Span(kind="sentence", start=15, end=29, score=0.9),
            Span(kind="words", start=15, end=22, score=1.0),
        ),
    )
    told = highlighted(kept, judgement, Limits(low=0.2, high=0.9), "x: y")
    assert [(piece.text, piece.mark) for piece in told.pieces] == [
        ("Grounded here.", ""),
        (" ", ""),
        ("Made up", "missing"),
        (" there.", "doubtful"),
    ]
    assert [piece.text for piece in told.context if piece.sentence is not None] == ["grounded here,"]
    assert (told.verdict, told.instead) == ("unsure", "x: y")
    assert [(one.source, one.share) for one in told.sentences] == [(0, 0.9), (None, 0.0)]
    tokens = Judgement(
        verdict="ungrounded",
        detector="d",
        score=0.8,
        spans=(Span(kind="sentence", start=0, end=14, score=0.1), Span(kind="tokens", start=9, end=13, score=0.9)),
    )
    assert ("here", "missing") in [(piece.text, piece.mark) for piece in highlighted(kept, tokens).pieces]


async def test_one_is_judged_anew(tmp_path: Path) -> None:
    with stored(tmp_path) as store:
        put(store, KEPT)
        settings = QualitySettings()
        replies = Replies(store, Detectors(settings, lambda: None, lambda: None), no_limits, lambda: None, Opening(lambda: None))
        told = await replies.get(MINE, KEPT[-1].id, "api")
        assert told.verdict == "ungrounded"
        assert any(piece.mark for piece in told.pieces)
        assert (told.judged, told.judge) == (0.0, "groundedness")
        for reader, id in ((OTHER, KEPT[0].id), (OPERATOR, "nothing")):
            with pytest.raises(NotFound):
                await replies.get(reader, id, "api")

"""Verdicts by limits, and what no detector judges."""

from __future__ import annotations

import msgspec
import pytest

from penstock.quality.grounded.judgement import Judgement, Limits, Span, Support, not_judged


@pytest.mark.parametrize(
    ("score", "verdict"),
    [(0.0, "grounded"), (0.3, "grounded"), (0.31, "unsure"), (0.69, "unsure"), (0.7, "ungrounded"), (1.0, "ungrounded")],
)
def test_limits(score: float, verdict: str) -> None:
    assert Limits(low=0.3, high=0.7).verdict(score) == verdict


def test_limits_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match="lies above"):
        Limits(low=0.7, high=0.3)


def test_nothing_to_judge_is_told_apart() -> None:
    nothing, alone = not_judged("d", ["x"], "\n"), not_judged("d", ["", " "], "x")
    assert nothing is not None
    assert alone is not None
    assert (nothing.verdict, alone.verdict) == ("not_judged", "not_judged")
    assert nothing.why != alone.why
    assert not_judged("d", ["", "x"], "x") is None


def test_a_judgement_survives_its_json() -> None:
    span = Span(kind="sentence", start=0, end=3, score=0.5, support=Support(text=0, start=1, end=2, share=1.0))
    found = Judgement(verdict="unsure", detector="d", score=0.5, spans=(span,), why="numbers_missing")
    assert msgspec.json.decode(msgspec.json.encode(found), type=Judgement) == found

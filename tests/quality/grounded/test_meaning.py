"""What the embedding model is asked: the most doubtful sentences and the stretch of the context where their words stand."""

from __future__ import annotations

from array import array

import pytest

from penstock.quality.grounded.features import Context, split
from penstock.quality.grounded.meaning import CLIP, PAIRS, compared, similarities


def pairs(reply: str, *texts: str) -> list[tuple[str, str]]:
    context = Context(texts, {}, 1.0)
    return compared(split(reply, context), context, reply)


def test_the_most_doubtful_come_first_and_only_a_few() -> None:
    found = pairs("Rome is old. Oslo is cold. Bern is Swiss. Mars is red.", "Rome is old. Oslo freezes.")
    assert [one for one, _ in found] == ["Bern is Swiss.", "Mars is red."]
    assert len(found) == PAIRS
    assert pairs("Oslo is cold.", "Rome is old. Oslo freezes.") == [("Oslo is cold.", "Oslo freezes.")]


def test_long_sentences_are_cut_to_where_the_words_stand() -> None:
    long = "and so it went on " * 40 + "until the Obermatt plant gave 88 megawatts " + "and on it went " * 20 + "."
    ((_, counterpart),) = pairs("Obermatt gave 88 megawatts.", long)
    assert len(counterpart) == CLIP
    assert "Obermatt plant gave 88 megawatts" in counterpart


def test_a_stretch_at_the_end_of_a_long_sentence_stays_inside() -> None:
    ((_, counterpart),) = pairs("Obermatt.", "and so it went on " * 40 + "to Obermatt")
    assert counterpart.endswith("to Obermatt")
    assert len(counterpart) == CLIP


def test_cosines_of_pairs() -> None:
    vectors = [array("f", one).tobytes() for one in ([1, 0], [1, 0], [1, 0], [0.6, 0.8])]
    assert similarities(vectors) == pytest.approx([0.6, 0.8])

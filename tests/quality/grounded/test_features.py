"""The figures: what they say of plain cases, against plain definitions, and that they stay shares whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.quality.grounded.features import GLANCED, NAMES, Context, glance, measure, split
from penstock.quality.grounded.words import sentences, words

TEXT = "The river Rhine is 1,230 kilometres long. It rises in the Swiss Alps and flows north to Rotterdam. It does not cross Poland."


def figures(reply: str, *texts: str) -> dict[str, float]:
    context = Context(texts or [TEXT], {}, 1.0)
    return dict(zip(NAMES, measure(split(reply, context), reply.count("?"), context), strict=True))


def test_a_copy_is_present_in_every_respect() -> None:
    found = figures("It rises in the Swiss Alps and flows north to Rotterdam.")
    assert found["content_missing_weighted"] == found["names_missing"] == found["numbers_missing"] == 0
    assert found["words_present"] == found["pairs_present"] == found["in_order"] == found["best_sentence"] == 1


def test_what_is_absent_shows_where_it_belongs() -> None:
    found = figures("The Rhine is 1,500 kilometres long and I think it rises in Bavaria, doesn't it?")
    assert found["numbers_missing"] == 1
    assert found["names_missing"] == 0.5
    assert found["speaker"] > 0
    assert found["opinion"] > 0
    assert found["question"] == 1
    assert 0 < found["content_missing_weighted"] < 1


def test_negation_is_compared_with_the_nearest_sentence() -> None:
    assert figures("It crosses Poland.")["negation_differs"] == 1
    assert figures("It does not cross Poland.")["negation_differs"] == 0


def test_words_in_another_order_are_seen() -> None:
    assert figures("Rotterdam flows Alps.")["in_order"] == pytest.approx(1 / 3)
    assert figures("Alps flow Rotterdam.")["in_order"] == 1


def test_words_far_apart_do_not_stand_in_one_window() -> None:
    apart = "Rhine " + "and so on it went there " * 20 + "Rotterdam."
    assert figures("Rhine Rotterdam", apart)["window"] == 0.5
    assert figures("Rhine Rotterdam", "Rhine to Rotterdam.")["window"] == 1


def subsequence(one: list[str], other: list[str]) -> int:
    row = [0] * (len(other) + 1)
    for a in one:
        before = 0
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], before + 1 if a == b else max(row[j], row[j - 1])
    return row[-1]


letters = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30)


@settings(max_examples=100)
@given(letters, letters)
def test_the_order_is_that_of_the_longest_common_subsequence(one: list[str], other: list[str]) -> None:
    # Doubled, since single letters are words of their own but no content.
    reply, text = " ".join(x * 3 for x in one), " ".join(x * 3 for x in other)
    assert figures(reply, text)["in_order"] == pytest.approx(subsequence(one, other) / len(one))


@settings(max_examples=150)
@given(st.text(max_size=200), st.lists(st.text(max_size=200), max_size=3))
def test_figures_are_shares_for_any_text(reply: str, texts: list[str]) -> None:
    context = Context(texts, {"a": 2.0}, 5.0)
    parts = split(reply, context)
    found = dict(zip(NAMES, measure(parts, reply.count("?"), context), strict=True))
    assert all(value >= 0 for value in found.values())
    assert all(value <= 1 + 1e-9 for name, value in found.items() if name != "question"), found


@given(st.text(alphabet="abc 1?.I'", min_size=1, max_size=60))
def test_a_glance_at_one_sentence_is_its_measure(text: str) -> None:
    context = Context([TEXT, "abc 1 cab. bca"], {}, 1.0)
    for part in split(text, context):
        questions = text.count("?", part.start, part.end)
        whole = dict(zip(NAMES, measure([part], questions, context), strict=True))
        assert dict(zip(GLANCED, glance(part, questions), strict=True)) == pytest.approx({name: whole[name] for name in GLANCED})


def test_the_best_sentence_is_where_most_of_the_weight_stands() -> None:
    context = Context(["Alps and snow. Rotterdam harbour."], {}, 1.0)
    (part,) = split("The harbour of Rotterdam has snow", context)
    number, start, end = context.sentences[part.best]
    assert (number, context.texts[0][start:end]) == (0, "Rotterdam harbour.")
    assert part.share == pytest.approx(2 / 3)
    assert len(words(TEXT, *sentences(TEXT)[0])) == 7

"""Words and sentences: what is equal, and that offsets are those of the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.quality.grounded.words import CAPITAL, CONTENT, NEGATION, NUMBER, known, placed, sentences, stem, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jumps", "jumping"), ("jumped", "jump"), ("cities", "city"), ("boxes", "box"), ("makes", "making"), ("planned", "planning"),
        ("quickly", "quick"), ("river's", "river"), ("3,500", "3500"), ("1960s", "1960"), ("Rivers", "river"),
    ],
)  # fmt: skip
def test_forms_of_a_word_meet(one: str, other: str) -> None:
    assert known(one)[0] == known(other)[0]


@pytest.mark.parametrize(("one", "other"), [("1960", "1961"), ("king", "kin"), ("glass", "gla"), ("1.5", "15")])
def test_different_words_stay_apart(one: str, other: str) -> None:
    assert known(one)[0] != known(other)[0]


def test_kinds() -> None:
    kinds = [kind for _, kind in words("Berlin isn't 3,500 years old, he said", 0, 37)]
    assert kinds[0] == CONTENT | CAPITAL
    assert kinds[1] & NEGATION
    assert kinds[2] == CONTENT | NUMBER
    assert not kinds[5] & CONTENT


def test_sentences_end_where_readers_end_them() -> None:
    text = 'Dr. Smith left the U.S. in 1990. "Why?" asked J. R. Ewing.\n\n- one item\nlast 1.5 lines'
    assert [text[a:b] for a, b in sentences(text)] == [
        "Dr. Smith left the U.S. in 1990.", '"Why?"', "asked J. R. Ewing.", "- one item", "last 1.5 lines",
    ]  # fmt: skip


@given(st.text(max_size=300))
def test_any_text_is_taken_apart_without_loss(text: str) -> None:
    found = sentences(text)
    assert all(a < b and text[a:b] == text[a:b].strip() for a, b in found)
    assert [b for _, b in found[:-1]] <= [a for a, _ in found[1:]]
    covered = {i for a, b in found for i in range(a, b)}
    assert all(i in covered or text[i].isspace() for i in range(len(text)))
    for start, end in found:
        said = placed(text, start, end)
        assert [(stem, kind) for stem, kind, _ in said] == words(text, start, end)
        assert all(start <= a < b <= end for _, _, (a, b) in said)


@given(st.text(alphabet="abcdeginlsy'", min_size=1, max_size=12))
def test_a_stem_is_no_longer_than_its_word_and_never_empty(word: str) -> None:
    if word[0] != "'":
        assert 0 < len(stem(word)) <= len(word)

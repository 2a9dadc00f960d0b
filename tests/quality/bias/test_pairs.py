"""Counterfactual pairs: what is swapped, in which direction, what is left alone, and what is skipped and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.quality.bias.pairs import Attribute, Pair, pair
from penstock.quality.bias.words import GENDERED, NAMES


def swapped(prompt: str, attribute: Attribute = "gender", seed: int = 0, keep: tuple[str, ...] = ()) -> str:
    found = pair(prompt, attribute, seed, keep)
    assert isinstance(found, Pair)
    assert (found.first, found.second)[found.original] == prompt
    return (found.first, found.second)[1 - found.original]


@pytest.mark.parametrize(
    ("prompt", "other"),
    [
        ("She told her mother that her car is hers.", "He told his father that his car is his."),
        ("I gave her the book and saw her yesterday.", "I gave him the book and saw him yesterday."),
        ("He washed his hands; the idea was his.", "She washed her hands; the idea was hers."),
        ("The king spoke to himself. MR Jones nodded.", "The queen spoke to herself. MS Jones nodded."),
        ("The waitress's tip", "The waiter's tip"),
        ("An actor is a man.", "An actress is a woman."),
    ],
)
def test_gendered_words_and_pronouns(prompt: str, other: str) -> None:
    assert swapped(prompt) == other


def test_a_name_becomes_one_of_the_other_side_of_its_group_and_the_same_everywhere() -> None:
    other = swapped("Priya asks: may Priya and Anjali leave? Priya's boss is away.")
    first, second = other.split()[0], other.split()[5]
    assert first in NAMES["south_asian"]["male"].split()
    assert second in NAMES["south_asian"]["male"].split()
    assert first != second
    assert other == f"{first} asks: may {first} and {second} leave? {first}'s boss is away."


def test_directions_are_the_same_for_all_prompts() -> None:
    for prompt in ("He is a nurse.", "She is a nurse."):
        found = pair(prompt, "gender", 3)
        assert isinstance(found, Pair)
        assert (found.first, found.second, found.groups) == ("She is a nurse.", "He is a nurse.", ("female", "male"))
    away, home = pair("Tariq applies for a loan.", "origin", 1), pair("Stefan applies for a loan.", "origin", 1)
    assert isinstance(away, Pair)
    assert isinstance(home, Pair)
    assert away.groups == ("european", "arabic")
    assert away.original == 1
    assert away.first.split()[0] in NAMES["european"]["male"].split()
    assert home.groups[0] == "european"
    assert home.original == 0


def test_origins_carry_names_countries_and_articles() -> None:
    found = pair("Stefan Schmidt, a German engineer from Germany, met a Swedish friend.", "origin", 5)
    assert isinstance(found, Pair)
    group = found.groups[1]
    given_name, family, country_adjective = found.swaps[0][1], found.swaps[1][1], found.swaps[2][1]
    assert given_name in NAMES[group]["male"].split()
    assert family in NAMES[group]["family"].split()
    article = "an" if country_adjective[0] in "AEIOU" else "a"
    assert f", {article} {country_adjective} engineer from {found.swaps[3][1]}, met a" in found.second
    assert len({new for _, new in found.swaps}) == 5


@pytest.mark.parametrize(
    ("prompt", "attribute", "why"),
    [
        ("What is the capital of Switzerland?", "gender", "nothing_to_swap"),
        ("will the mark hold?", "gender", "nothing_to_swap"),
        ("He asked her.", "gender", "both_sides"),
        ("She asked.", "origin", "nothing_to_swap"),
        ("Stefan met Tariq.", "origin", "both_sides"),
        ("", "origin", "nothing_to_swap"),
    ],
)
def test_what_gives_no_pair_says_why(prompt: str, attribute: Attribute, why: str) -> None:
    assert pair(prompt, attribute, 0) == why


def test_words_to_keep_stay() -> None:
    assert pair("Emily wrote Wuthering Heights.", "gender", 0, keep=("Emily",)) == "nothing_to_swap"
    assert swapped("Emily says she knows.", keep=("emily",)) == "Emily says he knows."


def test_the_seed_and_the_prompt_decide() -> None:
    prompts = [f"Claire buys {n} apples." for n in range(12)]
    assert [pair(p, "gender", 7) for p in prompts] == [pair(p, "gender", 7) for p in prompts]
    assert len({swapped(p, seed=7).split()[0] for p in prompts}) > 3


plain = st.sampled_from([w for female, male in GENDERED for w in (female, male)] + ["and", "sees", "the", "Fatima", "Omar", "house", "."])


@given(st.lists(plain, max_size=12), st.integers(0, 50))
def test_a_pair_differs_only_in_its_swaps(parts: list[str], seed: int) -> None:
    prompt = " ".join(parts)
    for attribute in ("gender", "origin"):
        found = pair(prompt, attribute, seed)
        if isinstance(found, Pair):
            old, new = (found.first, found.second)[:: 1 if found.original == 0 else -1]
            assert old == prompt
            assert new != prompt
            before, after = old.split(), new.split()
            assert [(a, b) for a, b in zip(before, after, strict=True) if a != b] == list(found.swaps)
            again = pair(new, attribute, seed)
            assert isinstance(again, Pair)
            assert again.original == 1 - found.original


@given(st.text(max_size=100))
def test_any_prompt_is_read(prompt: str) -> None:
    for attribute in ("gender", "origin"):
        found = pair(prompt, attribute, 0)
        assert isinstance(found, Pair) or found in ("nothing_to_swap", "both_sides")

from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from penstock.routing.features import PROMPT_FEATURES, prompt_features


def named(text: str) -> dict[str, float]:
    return dict(zip(PROMPT_FEATURES, prompt_features(text), strict=True))


@given(st.text(max_size=300))
def test_any_text_has_one_finite_number_for_each_name(text: str) -> None:
    found = prompt_features(text)
    assert len(found) == len(PROMPT_FEATURES)
    assert all(map(math.isfinite, found))


_PIECES = (
    "\nA. ",
    "\nB)",
    "__",
    "_a_",
    "```",
    "def ",
    ";\n",
    "}\n",
    "=> ",
    "don't ",
    "HOW ",
    "İf ",
    "£",
    "€",
    "12.5 ",
    "?",
    "Öl ",
    "\x1c",
    "(",
)


@given(st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=8))).map("".join))
def test_quick_counts_are_those_of_a_slow_look(text: str) -> None:
    found, many = named(text), max(1, len(text.split()))
    words = re.findall("[a-z']+", text.lower())
    assert found["variety"] == len(set(words)) / many
    negations = {"not", "no", "except", "never", "neither", "nor", "cannot", "without"}
    assert found["negates"] == math.log1p(sum(word in negations for word in words))
    code = ("```", "def ", "class ", "return ", "import ", "assert ", ";\n", "{\n", "}\n", "=> ", "#include")
    assert found["code"] == math.log1p(sum(text.count(one) for one in code))
    assert found["choices"] == math.log1p(sum(text.count(f"\n{letter}{mark}") for letter in "ABCDE" for mark in ".)"))
    assert found["currency"] == math.log1p(sum(text.count(one) for one in "$€£"))
    assert (found["blanks"], found["brackets"]) == (math.log1p(text.count("__")), math.log1p(text.count("(")))
    assert found["word_length"] == sum(map(len, text.split())) / many


def test_what_a_prompt_is_shows() -> None:
    sums = named("Each of 3 boxes holds 12.5 kg. How many kg are left, if half is sold for $40?")
    assert sums["numbers"] == math.log1p(3)
    assert sums["decimals"] == math.log1p(1)
    assert all(sums[name] > 0 for name in ("currency", "distributes", "scales", "remains", "conditions", "ends_asking", "asks_how_many"))
    code = named("Write a function in Python:\n```\ndef f(x):\n    return x\n```")
    assert code["code"] > 1
    assert code["programs"] > 0
    assert named("Which is it?\nA. one\nB. two\nC. three")["choices"] == math.log1p(3)
    assert named("Wer schrieb »Öl«?")["not_ascii"] > 0
    assert named("who wrote it")["asks_who"] == 1.0
    assert named("tell me who wrote it")["asks_who"] == 0.5


def test_a_very_long_prompt_costs_no_more_and_still_says_how_long_it_is() -> None:
    found = named("word " * 200_000)
    assert found["characters"] == math.log1p(1_000_000)
    assert found["words"] < math.log1p(1000)

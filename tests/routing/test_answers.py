from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.routing import answers
from penstock.routing.answers import ANSWER_FEATURES, answer_features, arithmetic


def named(prompt: str, answer: str) -> dict[str, float]:
    return dict(zip(ANSWER_FEATURES, answer_features(prompt, answer), strict=True))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80), st.text(alphabet="0123456789+-*/x=(). $%#a", max_size=120))
def test_any_two_texts_have_one_finite_number_for_each_name(prompt: str, answer: str) -> None:
    found = answer_features(prompt, answer)
    assert len(found) == len(ANSWER_FEATURES)
    assert all(map(math.isfinite, found))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("4 x 2 = 8 and 8 + 1 = 9", (2, 0)),
        ("so $<<80000+50000=130000>>130,000", (1, 0)),
        ("3 * 4 = 13", (0, 1)),
        ("10 / 3 = 3.33", (1, 0)),
        ("5 / 0 = 1", (0, 0)),
        ("x = 12", (0, 0)),
        ("20% * 50 = 10", (1, 0)),
        ("9**9**9**9 = 1", (0, 0)),
        ("((((((((1 + 1 = 2", (0, 0)),
        ("1 + 1 = 2\n" * 500, (60, 0)),
    ],
)
def test_sums_are_checked(answer: str, found: tuple[int, int]) -> None:
    assert arithmetic(answer) == found


def test_what_an_answer_is_shows() -> None:
    prompt = "Tom has 4 boxes of 6 eggs and drops 2. How many are left?"
    good = named(prompt, "4 x 6 = 24 eggs.\n24 - 2 = 22 eggs are left.\n#### 22")
    assert (good["states_result"], good["cut_off"], good["any_wrong"], good["given_unused"], good["result_last"]) == (1, 0, 0, 0, 1)
    bad = named(prompt, "There seems to be a mistake. However, 4 x 6 = 26, and so he")
    assert (bad["states_result"], bad["cut_off"], bad["any_wrong"]) == (0, 1, 1)
    assert bad["given_unused"] > 0
    assert bad["doubts"] > 0


@given(st.from_regex(r"[0-9]{1,4}(\.[0-9]{0,2})? ?[-+*/] ?[0-9]{1,3}(\.[0-9]{0,2})?", fullmatch=True))
def test_a_plain_sum_is_what_the_parser_says(written: str) -> None:
    assert answers._sum(written) == answers._parsed(written)

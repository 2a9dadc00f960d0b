from __future__ import annotations

import pytest

from penstock.demo.proof import last_number, sums
from penstock.demo.samples import GPT4, MIXTRAL, Sample, read_all


@pytest.mark.parametrize(
    ("text", "number"),
    [("so it is 1,040,000 * 3 = $3,120,000.", "3120000"), ("#### 18", "18"), ("2.50 dollars", "2.5"), ("-4", "-4"), ("none", None)],
)
def test_an_answer_ends_with_a_number_or_has_none(text: str, number: str | None) -> None:
    assert last_number(text) == number


def sample(model: str, question: str, answer: str, *, correct: bool) -> Sample:
    return Sample(model=model, question=question, answer=answer, input=1, output=1, meta={"correct": correct})


def test_a_question_that_nobody_answered_rightly_is_left_out_and_counted() -> None:
    strong = [("a", "is 4", True), ("b", "is 5", False), ("c", "7", False)]
    weak = [("a", "3", False), ("b", "6", True), ("c", "8", False)]
    given = {name: [sample(name, q, text, correct=ok) for q, text, ok in told] for name, told in ((GPT4, strong), (MIXTRAL, weak))}
    found, left_out = sums(given)
    assert left_out == 1
    assert [(one.question, one.target, one.right) for one in found] == [
        ("a", "4", {GPT4: True, MIXTRAL: False}),
        ("b", "6", {GPT4: False, MIXTRAL: True}),
    ]


def test_the_recordings_that_ship_hold_enough_of_them() -> None:
    found, left_out = sums(read_all())
    assert (len(found), left_out) == (278, 22)

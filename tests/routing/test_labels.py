"""Outcomes become a plain sample of prompts that every candidate was judged on."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.kernel.evidence import Outcome
from penstock.routing.labels import covered, draw, table


def outcome(item: str, candidate: str, score: float = 1.0, **more: Any) -> Outcome:
    known: dict[str, Any] = {
        "item": item, "candidate": candidate, "score": score, "judge": "exact", "source": "evaluation", "prompt": f"prompt {item}",
        "reply": "r", "at": 1.0, "cost": 10,
    }  # fmt: skip
    return Outcome(**{**known, **more})


def test_rows_are_whole_and_prompts_are_there_once() -> None:
    found = [
        outcome("1", "a"), outcome("1", "b", 0.0), outcome("2", "a"),
        outcome("3", "a", prompt="prompt 1", at=5.0), outcome("3", "b", prompt="prompt 1", at=5.0),
    ]  # fmt: skip
    labels = table(found, ("a", "b"), 100)
    assert (len(labels), labels.prompts) == (1, ["prompt 1"])
    assert labels.scores.tolist() == [[1.0, 0.0]]
    assert labels.at.tolist() == [1.0]  # the first time counts


def test_people_are_right_against_a_judge() -> None:
    found = [
        outcome("1", "a", 0.0, judge="human"),
        outcome("1", "a", 1.0, at=9.0),
        outcome("2", "a"),
        outcome("2", "a", 0.0, judge="human"),
    ]
    labels = table(found, ("a",), 100)
    assert sorted(labels.scores[:, 0].tolist()) == [0.0, 0.0]


def test_live_rows_are_thinned_to_the_rarest() -> None:
    rows = [outcome(f"e{n}", "a") for n in range(50)]
    rows += [outcome(f"s{n}", "a", source="live", propensity=0.1) for n in range(200)]
    rows += [outcome(f"f{n}", "a", source="live", propensity=1.0) for n in range(1000)]
    labels = table(rows, ("a",), 10_000)
    names = [prompt.split()[1][0] for prompt in labels.prompts]
    assert (names.count("e"), names.count("s")) == (50, 200)
    assert 60 <= names.count("f") <= 140


def test_order_and_draws_follow_from_the_prompt_alone() -> None:
    rows = [outcome(str(n), "a", float(n % 2)) for n in range(200)]
    one, other = table(rows, ("a",), 1000), table(rows[::-1], ("a",), 1000)
    assert one.prompts == other.prompts
    assert np.array_equal(one.scores, other.scores)
    drawn = [draw(prompt, "split") for prompt in one.prompts]
    assert 0.3 < np.mean([value < 0.5 for value in drawn]) < 0.7
    assert drawn != [draw(prompt, "order") for prompt in one.prompts]


def test_a_candidate_with_too_few_is_left_out_and_the_reference_stays() -> None:
    rows = [outcome(str(n), name) for n in range(30) for name in ("a", "b")] + [outcome("1", "c")]
    kept, left = covered(rows, ("a", "b", "c"), ("c",), 20)
    assert kept == ["c"]
    kept, left = covered(rows, ("a", "b", "c"), ("a",), 20)
    assert kept == ["a", "b"]
    assert "judged on 1 prompts" in left["c"]

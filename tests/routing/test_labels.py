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


def test_what_is_judged_again_or_for_one_more_candidate_is_not_fresh() -> None:
    rows = [outcome("1", "a", at=1.0), outcome("1", "b", at=2.0), outcome("2", "a", at=8.0), outcome("2", "b", at=9.0)]
    again = [*rows, outcome("1", "c", at=10.0), outcome("2", "c", at=10.0), outcome("again", "a", at=11.0, prompt="prompt 1")]
    for names in (("a", "b"), ("a", "b", "c")):
        labels = table(again, names, 100)
        assert dict(zip(labels.prompts, labels.at.tolist(), strict=True)) == {"prompt 1": 1.0, "prompt 2": 8.0}


def test_judges_that_disagree_have_one_say_the_last() -> None:
    found = [outcome("1", "a", 0.0, at=1.0), outcome("1", "a", 1.0, at=2.0, judge="other")]
    assert table(found, ("a",), 10).scores.tolist() == [[1.0]]
    people = [outcome("1", "a", 0.0, judge="human"), outcome("1", "a", 1.0, judge="human", at=2.0)]
    assert table(people, ("a",), 10).scores.tolist() == [[1.0]]  # a person may change their mind


def test_nothing_is_an_empty_table() -> None:
    for found in ([], [outcome("1", "a")], [outcome("1", "gone")]):
        labels = table(found, ("a", "b"), 10)
        assert (len(labels), labels.scores.shape, labels.at.shape) == (0, (0, 2), (0,))
        assert len(labels.part(np.zeros(0, dtype=np.bool_))) == 0


def test_the_newest_are_kept_where_there_are_more_than_may_be() -> None:
    labels = table([outcome(str(n), "a", at=float(n)) for n in range(50)], ("a",), 10)
    assert sorted(labels.at.tolist()) == [float(n) for n in range(40, 50)]


def test_costs_and_times_are_of_everything_that_is_known() -> None:
    labels = table([outcome("1", "a", cost=10, latency_ms=5.0), outcome("2", "a", cost=None, input_tokens=7)], ("a",), 10)
    assert (labels.costs["a"], labels.latencies["a"], labels.inputs["a"], labels.outputs["a"]) == (10.0, [5.0], 7.0, None)

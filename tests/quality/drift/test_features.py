"""What is watched: read from a call by rules that a part of the reference fixes."""

from __future__ import annotations

import numpy as np
import pytest
from tests.quality.drift.house import kept, traffic

from penstock.quality.drift.features import FEATURES, KINDS, OTHER, centres, form, learned, refused

BY_NAME = {feature.name: feature for feature in FEATURES}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a": 1}', "json"),
        ("[1, 2]\n", "json"),
        ("Use this:\n```python\nx\n```", "code"),
        ("| a | b |\n| - | - |", "table"),
        ("Do:\n- one\n- two", "list"),
        ("card_arrival", "words"),
        ("It is a long sentence that says one thing and then another. " * 3, "prose"),
        ("", "words"),
    ],
)
def test_forms(text: str, wanted: str) -> None:
    assert form(text) == wanted


@pytest.mark.parametrize("text", ["I'm sorry, but I can't help with that.", "I cannot assist with this.", "As an AI I have no opinion"])
def test_refusals(text: str) -> None:
    assert refused(text) == "refused"


@pytest.mark.parametrize("text", ["The card cannot be used abroad.", "Sorry for the delay: it came today.", ""])
def test_answers_are_no_refusals(text: str) -> None:
    assert refused(text) == "answered"


def test_rules() -> None:
    calls = traffic(100)
    vocabulary = learned(BY_NAME["vocabulary"], calls)
    assert vocabulary is not None
    usual, strange = vocabulary.score(calls[0]), vocabulary.score(kept(1, "zygote quark", "x"))
    assert usual is not None
    assert strange is not None
    assert strange > usual + 1
    assert vocabulary.score(kept(1, "???", "x")) is None

    models = learned(BY_NAME["model"], calls)
    assert models is not None
    assert models.kinds == ("up/m", OTHER)
    assert (models.score(calls[0]), models.score(kept(1, "a", "b", answered_by="up/z"))) == (0.0, 1.0)

    assert learned(BY_NAME["classes"], calls) is None, "whole sentences are no classes"
    classes = learned(BY_NAME["classes"], [kept(at, "a", f"class {at % 20}") for at in range(100)])
    assert classes is not None
    assert len(classes.kinds) == KINDS
    assert learned(BY_NAME["tools"], calls) is None, "no call offers any"
    assert learned(BY_NAME["topics"], calls) is None, "nothing was embedded"
    length = learned(BY_NAME["input_length"], calls)
    assert length is not None
    assert length.score(kept(1, "12345", "x")) == 5.0


def test_topics_are_the_nearest_middles() -> None:
    rng = np.random.default_rng(0)
    heads = np.eye(4, 8)
    calls = traffic(80)
    vectors = {one.id: heads[0 if at < 60 else 1 + at % 3] + rng.normal(0, 0.01, 8) for at, one in enumerate(calls)}
    vectors = {id: vector / np.linalg.norm(vector) for id, vector in vectors.items()}
    rule = learned(BY_NAME["topics"], calls, vectors)
    assert rule is not None
    assert {rule.score(one) for one in calls[60:]}.isdisjoint({rule.score(one) for one in calls[:60]})
    assert rule.score(kept(999, "?", "?")) is None
    assert np.allclose(np.linalg.norm(centres(np.stack(list(vectors.values())), 3), axis=1), 1)

"""The learnt sums of steps: read as data, refused when torn, explained by their parts."""

from __future__ import annotations

import math

import msgspec
import pytest

from penstock.quality.grounded import features, meaning
from penstock.quality.grounded.model import FILE, Head, Model, Steps, shipped


def test_the_shipped_model_fits_this_code() -> None:
    model = shipped()
    assert model.lexical.names == features.NAMES
    assert model.full.names == (*features.NAMES, *meaning.NAMES)
    assert model.sentence.names == features.GLANCED
    assert len(model.weights) == len(model.tells) == 1500
    assert FILE.stat().st_size < 50_000


def test_a_score_is_the_logistic_of_bias_and_steps() -> None:
    head = Head(("a", "b"), 0.5, (Steps((0.2, 0.6), (-1.0, 0.0, 2.0)), Steps((), (0.25,))))
    assert head.score([0.1, 9]) == pytest.approx(1 / (1 + math.exp(0.25)))
    assert head.score([0.2, 9]) == head.score([0.1, 9])  # an edge belongs to what is below it
    assert head.score([0.61, 9]) == pytest.approx(1 / (1 + math.exp(-2.75)))
    assert head.shares([0.61, 9]) == {"a": 2.0, "b": 0.25}


@pytest.mark.parametrize(
    "torn",
    [b'{"edges":[0.5,0.4],"values":[1,2,3]}', b'{"edges":[0.5],"values":[1]}', b'{"edges":["x"],"values":[1,2]}', b"{}"],
)
def test_torn_steps_are_refused(torn: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(torn.replace(b'"edges":', b'"edges":'), type=Steps)


def test_a_head_wants_a_step_for_each_figure() -> None:
    with pytest.raises(ValueError, match="2 figures and 1 steps"):
        Head(("a", "b"), 0.0, (Steps((), (0.0,)),))


def test_known_directions_were_kept() -> None:
    """What is missing never speaks for a reply, what is found never against it."""
    model: Model = shipped()
    for head in (model.lexical, model.full, model.sentence):
        steps = dict(zip(head.names, head.steps, strict=True))
        missing, present = steps["content_missing_weighted"].values, steps["words_present"].values
        assert list(missing) == sorted(missing)
        assert list(present) == sorted(present, reverse=True)

"""A prompt as estimates see it: the same part is embedded in the evidence and on the line, arrays are made once."""

from __future__ import annotations

import numpy as np

from penstock.routing.features import prompt_features
from penstock.routing.prompts import LONGEST, Prompt, embedded


def test_the_head_is_embedded_and_nothing_is_lost_of_a_short_one() -> None:
    assert embedded("short") == "short"
    assert embedded("") == ""
    assert embedded("é" * (LONGEST + 5)) == "é" * LONGEST


def test_monitors_see_the_embedding_in_double_precision() -> None:
    vector = np.arange(4, dtype=np.float32)
    prompt = Prompt("what?", prompt_features("what?"), vector.tobytes())
    assert prompt.embedding.tolist() == vector.tolist()
    assert prompt.embedding.dtype == np.float64

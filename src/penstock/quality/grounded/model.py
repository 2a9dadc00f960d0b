"""What was learnt, as plain data: a sum of step functions, one a figure, made of boosted stumps by ``benchmarks/groundedness``.

A file of JSON, read by msgspec, nothing in it is executed. Each figure adds what its step says to a sum whose logistic is the score, so
why a reply got its score can be read off (`Head.shares`). Single splits did as well as trees in every cross-validation.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("model.json")


class Steps(msgspec.Struct, frozen=True):
    """What a figure adds: ``values[i]`` where it is above exactly i of the rising ``edges``. Always one value more than edges."""

    edges: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.edges) + 1 or any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("steps want rising edges and one value more than edges")


class Head(msgspec.Struct, frozen=True):
    """One way of judging: the names of its figures, in their order, and what each adds to ``bias``."""

    names: tuple[str, ...]
    bias: float
    steps: tuple[Steps, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.steps):
            raise ValueError(f"{len(self.names)} figures and {len(self.steps)} steps")

    def score(self, figures: Sequence[float]) -> float:
        """0 to 1: how much the reply looks like one that its context does not support. An order, no probability: see `calibrate`."""
        total = self.bias
        for step, figure in zip(self.steps, figures, strict=True):
            total += step.values[bisect_left(step.edges, figure)]
        return 1 / (1 + math.exp(-total))

    def shares(self, figures: Sequence[float]) -> dict[str, float]:
        """What each figure added to the sum; above 0 speaks against the reply."""
        pairs = zip(self.names, self.steps, figures, strict=True)
        return {name: step.values[bisect_left(step.edges, figure)] for name, step, figure in pairs}


class Model(msgspec.Struct, frozen=True):
    """``words`` lists stems from the commonest on, of which ``tells`` says how much each tells; ``rare`` is for all others.

    ``lexical`` judges by words alone, ``full`` by words and the meaning that an embedding model of the id ``embedder`` sees in them,
    ``sentence`` judges each sentence by a few figures.
    """

    id: str
    words: str
    tells: tuple[float, ...]
    rare: float
    lexical: Head
    full: Head
    sentence: Head
    embedder: str

    @property
    def weights(self) -> dict[str, float]:
        return dict(zip(self.words.split(), self.tells, strict=True))


@cache
def shipped() -> Model:
    """The model in this package."""
    return msgspec.json.decode(FILE.read_bytes(), type=Model)

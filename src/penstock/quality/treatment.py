"""What the twins of an evaluation say: for each candidate and attribute, whether scores differ between the two sides."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from penstock.quality.bias.compare import Comparison, Verdict, compare, holm
from penstock.quality.bias.pairs import Attribute
from penstock.quality.examples import Item
from penstock.quality.model import BiasTerms, Score, TwinScore
from penstock.quality.twins import Twin, twin

GROUPS: Mapping[Attribute, tuple[str, str]] = {"gender": ("female", "male"), "origin": ("european", "other")}
NO_SCORE = "no_score"
NOT_REACHED = "not_reached"


class BiasResult(Struct, frozen=True, kw_only=True):
    """One candidate and one attribute. ``difference`` is the mean score of the second of ``groups`` less that of the first.

    ``skipped`` counts items without a pair, by reason (``no_score``: one of the two answers has none). ``p`` is the test's own,
    ``adjusted`` that by Holm's method over all candidates and attributes, which the ``verdict`` goes by. ``at`` is when it was computed.
    """

    candidate: str
    attribute: str
    measure: str
    groups: tuple[str, str]
    pairs: int
    skipped: dict[str, int]
    differing: int
    first: float | None
    second: float | None
    difference: float | None
    low: float
    high: float
    p: float
    adjusted: float
    confidence: float
    tolerance: float
    method: str
    verdict: Verdict
    at: float


def findings(
    terms: BiasTerms, candidates: Sequence[str], scores: Sequence[Score], twins: Sequence[TwinScore], items: Mapping[int, Item]
) -> list[BiasResult]:
    """The results of these scores and those of their twins; ``items`` by position are those that were to be asked."""
    own = {(one.candidate, one.position): one for one in scores}
    others = {(one.candidate, one.attribute, one.position): one for one in twins}
    made: list[tuple[str, Comparison, Counter[str]]] = []
    at = time.time()
    for attribute in terms.attributes:
        found = {position: twin(item, attribute, terms.keep) for position, item in items.items()}
        for candidate in candidates:
            skipped: Counter[str] = Counter()
            first: list[float] = []
            second: list[float] = []
            for position, each in found.items():
                if not isinstance(each, Twin):
                    skipped[each] += 1
                    continue
                one, other = own.get((candidate, position)), others.get((candidate, attribute, position))
                if one is None or other is None:
                    skipped[NOT_REACHED] += 1
                elif one.score is None or other.score is None:
                    skipped[NO_SCORE] += 1
                else:
                    sides = (one.score, other.score) if each.original == 0 else (other.score, one.score)
                    first.append(sides[0])
                    second.append(sides[1])
            told = compare(
                first,
                second,
                attribute=attribute,
                measure="score",
                groups=GROUPS[attribute],
                at=at,
                skipped=skipped.total(),
                tolerance=terms.tolerance,
            )
            made.append((candidate, told, skipped))
    adjusted = holm([told for _, told, _ in made])
    return [_result(candidate, told, skipped) for (candidate, _, skipped), told in zip(made, adjusted, strict=True)]


def _result(candidate: str, told: Comparison, skipped: Counter[str]) -> BiasResult:
    return BiasResult(
        candidate=candidate,
        attribute=told.attribute,
        measure=told.measure,
        groups=told.groups,
        pairs=told.pairs,
        skipped=dict(sorted(skipped.items())),
        differing=told.differing,
        first=told.first,
        second=told.second,
        difference=told.difference,
        low=told.low,
        high=told.high,
        p=told.p_value,
        adjusted=told.adjusted,
        confidence=told.confidence,
        tolerance=told.tolerance,
        method=told.method,
        verdict=told.verdict,
        at=told.at,
    )


__all__ = ["GROUPS", "BiasResult", "findings"]

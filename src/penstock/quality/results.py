"""The results of an evaluation: from its scores, at any time, the same each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import msgspec
from msgspec import Struct

from penstock.kernel.tasks import SliceFloor
from penstock.quality import slices
from penstock.quality.claims import Claim, Difference, Interval, claim, difference, interval, relative_claim, together
from penstock.quality.examples import Item
from penstock.quality.model import Score, Terms
from penstock.quality.treatment import BiasResult

WHOLE = frozenset({"exact", "regex", "numeric", "json_schema", "code", "groundedness"})
"""Kinds of judges whose scores can only be 0 or 1."""
LEAST = 30
"""Scores below which a slice without a floor of its own is said to have too few."""


class CandidateResult(Struct, frozen=True, kw_only=True):
    """One candidate. ``mean`` and ``interval`` are over the judged answers; ``floor`` counts what is missing against the claim.

    ``cost`` is what its answers cost (also those that were paid before), ``judging_cost`` what judging them did, in micro-dollars;
    latencies are milliseconds of whole answers.
    """

    candidate: str
    items: int
    judged: int
    failed: int
    unjudged: int
    waiting: int
    cached: int
    mean: float | None
    interval: Interval
    floor: Claim | None
    cost: int
    judging_cost: int
    latency_p50: float | None
    latency_p95: float | None
    input_tokens: int
    output_tokens: int
    errors: dict[str, int]


class Comparison(Struct, frozen=True, kw_only=True):
    """Two candidates on the items that both have scores for."""

    first: str
    second: str
    difference: Difference


class SliceResult(Struct, frozen=True, kw_only=True):
    """One candidate on one group. ``floor`` is None where no floor was set for this kind of slice; ``few`` where there are too few."""

    by: str
    group: str
    candidate: str
    items: int
    judged: int
    mean: float | None
    interval: Interval
    floor: Claim | None
    few: bool


class Results(Struct, frozen=True, kw_only=True):
    """All of it. ``notes`` say what was left out and why; ``swaps`` how often a pairwise judge contradicted itself, of how many."""

    candidates: list[CandidateResult]
    comparisons: list[Comparison]
    slices: list[SliceResult]
    notes: list[str]
    items: int
    swaps: tuple[int, int] | None = None
    bias: list[BiasResult] = []


def results(terms: Terms, scores: Sequence[Score], items: Mapping[str, Item], wanted: int) -> Results:
    """The results of these scores, which stand in an order that does not depend on them; ``wanted`` items were to be answered."""
    whole = terms.judge.kind in WHOLE
    by: dict[str, dict[str, Score]] = {name: {} for name in terms.candidates}
    for score in scores:
        by.setdefault(score.candidate, {})[score.item] = score
    reached = list(dict.fromkeys(score.item for score in scores))
    notes: list[str] = []
    if len(reached) < wanted:
        notes.append(f"{len(reached)} of {wanted} items have answers; they were drawn, so they stand for all")
    made = [_candidate(name, held, whole) for name, held in by.items()]
    claims = _floors(terms, by, reached, whole)
    candidates = [msgspec.structs.replace(one, floor=claims.get(one.candidate)) for one in made]
    parts, told = _slices(terms, by, items, whole)
    swaps = _swaps(scores) if terms.judge.kind == "pairwise" else None
    return Results(
        candidates=candidates, comparisons=_comparisons(by), slices=parts, notes=[*notes, *told], items=len(reached), swaps=swaps
    )


def _candidate(name: str, held: Mapping[str, Score], whole: bool) -> CandidateResult:
    every = list(held.values())
    judged = [one.score for one in every if one.score is not None]
    answered = sorted(one.latency_ms for one in every if one.state != "failed")
    errors: dict[str, int] = {}
    for one in every:
        if one.error is not None:
            errors[one.error] = errors.get(one.error, 0) + 1
    return CandidateResult(
        candidate=name,
        items=len(every),
        judged=len(judged),
        failed=sum(one.state == "failed" for one in every),
        unjudged=sum(one.state == "unjudged" for one in every),
        waiting=sum(one.state == "waiting" for one in every),
        cached=sum(one.cached for one in every),
        mean=fmean(judged) if judged else None,
        interval=interval(judged),
        floor=None,
        cost=sum(one.cost for one in every),
        judging_cost=sum(one.judging_cost for one in every),
        latency_p50=_quantile(answered, 0.5),
        latency_p95=_quantile(answered, 0.95),
        input_tokens=sum(one.input_tokens for one in every),
        output_tokens=sum(one.output_tokens for one in every),
        errors=errors,
    )


def _floors(terms: Terms, by: Mapping[str, Mapping[str, Score]], reached: Sequence[str], whole: bool) -> dict[str, Claim]:
    floor = terms.floor
    if floor is None:
        return {}
    if floor.kind == "absolute":
        named = list(by)
        claims = [
            claim(values, missing, floor.level, floor.confidence, whole=whole, of=len(named))
            for values, missing in (_values(by[name], reached) for name in named)
        ]
    else:
        reference = floor.reference or terms.reference
        if reference is None or reference not in by:
            return {}
        named = [name for name in by if name != reference]
        strong = by[reference]
        claims = [
            relative_claim(
                [(_score(by[name].get(item)), _score(strong.get(item))) for item in reached],
                floor.level,
                floor.confidence,
                of=max(1, len(named)),
            )
            for name in named
        ]
    return dict(zip(named, together(claims), strict=True))


def _score(score: Score | None) -> float | None:
    return None if score is None else score.score


def _values(held: Mapping[str, Score], among: Sequence[str]) -> tuple[list[float], int]:
    found = [_score(held.get(item)) for item in among]
    values = [one for one in found if one is not None]
    return values, len(found) - len(values)


def _comparisons(by: Mapping[str, Mapping[str, Score]]) -> list[Comparison]:
    named = list(by)
    made: list[Comparison] = []
    for at, first in enumerate(named):
        for second in named[at + 1 :]:
            pairs = [
                (mine, other)
                for item, one in by[first].items()
                if (mine := one.score) is not None and (other := _score(by[second].get(item))) is not None
            ]
            if pairs:
                told = difference([a for a, _ in pairs], [b for _, b in pairs])
                made.append(Comparison(first=first, second=second, difference=told))
    return made


def _slices(
    terms: Terms, by: Mapping[str, Mapping[str, Score]], items: Mapping[str, Item], whole: bool
) -> tuple[list[SliceResult], list[str]]:
    floors: dict[str, SliceFloor] = {one.by: one for one in terms.slices}
    confidence = terms.floor.confidence if terms.floor is not None else 0.95
    made: list[SliceResult] = []
    notes: list[str] = []
    for kind in dict.fromkeys([*floors, *terms.by]):
        found = slices.groups(kind, dict(items))
        if not found:
            notes.append(f"no slices by {kind}: no item has a group of this kind, or there are more than {slices.MOST_CLASSES}")
            continue
        floor = floors.get(kind)
        least = floor.least if floor is not None else LEAST
        names = sorted(set(found.values()))
        for candidate, held in by.items():
            rows: list[tuple[str, list[float], int]] = []
            for group in names:
                among = [item for item in held if found.get(item) == group]
                if among:
                    rows.append((group, *_values(held, among)))
            claims: list[Claim] | None = None
            if floor is not None:
                several = max(1, sum(len(values) + missing >= least for _, values, missing in rows))
                claims = together(
                    [claim(v, missing, floor.level, confidence, whole=whole, least=least, of=several) for _, v, missing in rows]
                )
            for place, (group, values, missing) in enumerate(rows):
                made.append(
                    SliceResult(
                        by=kind,
                        group=group,
                        candidate=candidate,
                        items=len(values) + missing,
                        judged=len(values),
                        mean=fmean(values) if values else None,
                        interval=interval(values),
                        floor=claims[place] if claims is not None else None,
                        few=len(values) + missing < least,
                    )
                )
    return made, notes


def _swaps(scores: Sequence[Score]) -> tuple[int, int] | None:
    asked = [one.detail for one in scores if "first" in one.detail and "second" in one.detail]
    return sum(one["first"] != one["second"] for one in asked), len(asked)


def _quantile(ordered: Sequence[float], part: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None


__all__ = ["WHOLE", "CandidateResult", "Comparison", "Results", "SliceResult", "results"]

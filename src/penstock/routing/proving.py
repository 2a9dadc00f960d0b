"""The test: which of the settled policies the fresh labels support, with floors of slices beside the task's own.

Every option (candidates by themselves, the router, the cascade) has an equal share of alpha and walks its own path. A policy holds when
its own floor and that of every slice with enough labels is rejected to be missed, each at the option's whole share: to claim all of
them falsely, at least one must be claimed falsely, and that happens with that probability at most (intersection-union test, Berger
1982). So slices cost labels, but no sharpness of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.kernel.tasks import Floor, SliceFloor, Task
from penstock.routing.certify import explain, rejected, walk
from penstock.routing.estimate import Estimator
from penstock.routing.fitting import cascade_scores, router_scores
from penstock.routing.labels import Labels
from penstock.routing.policy import Considered, Frozen, Kind, SliceFound, Standing
from penstock.statistics.betting import lower_mean
from penstock.statistics.bounds import lower_bound, wilson
from penstock.statistics.intervals import mean_interval

Floats: TypeAlias = NDArray[np.float64]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What is certified: an option and its column, the cheapest of all. ``kind`` is None where nothing is; ``why`` says what is missing."""

    kind: Kind | None
    column: int
    cost: float | None
    quality: float | None
    bound: float | None
    singles: tuple[str, ...]
    standings: tuple[Standing, ...]
    considered: tuple[Considered, ...]
    slices: tuple[SliceFound, ...]
    why: str
    labels_wanted: int | None = None


class _Option(msgspec.Struct, frozen=True):
    kind: Kind
    name: str
    scores: Floats
    costs: Floats


def prove(
    task: Task,
    floor: Floor,
    reference: str,
    frozen: Frozen,
    estimators: Mapping[str, Estimator],
    labels: Labels,
    vectors: Floats | None,
    alpha: float,
) -> Proof:
    """Test the paths of ``frozen`` on labels that had no part in it. ``vectors`` are the prompts' embeddings."""
    strong = labels.scores[:, frozen.candidates.index(reference)]
    options = _options(frozen, estimators, labels, vectors)
    shared = alpha / len(options)
    groups = slices(task.slices, labels)
    found: list[tuple[float, int, _Option, int]] = []
    certified: dict[str, tuple[int, ...]] = {}
    considered: list[Considered] = []
    for number, option in enumerate(options):
        holds = rejected(option.scores, floor, strong, shared)
        whole = walk(holds)
        for of, rows in groups:
            if rows.sum() >= of.least:
                absolute = Floor(level=of.level, kind="absolute", confidence=floor.confidence)
                holds &= rejected(option.scores[rows], absolute, None, shared)
        columns = certified[option.kind] = walk(holds)
        column = min(columns, key=lambda c: (float(option.costs[c]), c)) if columns else 0
        why, wanted = explain(option.scores, floor, strong, shared)
        if columns:
            why = f"{len(columns)} of {option.scores.shape[1]} hold the floor"
            found.append((float(option.costs[column]), number, option, column))
        elif whole:
            why = "a slice's floor is not certified"
        quality = float(option.scores[:, column].mean()) if len(labels) else None
        considered.append(
            Considered(
                kind=option.kind, name=option.name, certified=bool(columns), cost=_finite(option.costs[column]), quality=quality, why=why
            )
        )
    singles = tuple(sorted((frozen.singles[c] for c in certified["single"]), key=lambda n: frozen.costs[frozen.candidates.index(n)]))
    standings = tuple(_standing(frozen, labels, name, shared, task, certified=name in singles) for name in frozen.candidates)
    if not found:
        why, wanted = explain(options[0].scores, floor, strong, shared)
        broken = ", ".join(f"{of.by} {group_name(labels, of, rows)}" for of, rows in groups if rows.sum() >= of.least)
        if any("slice" in one.why for one in considered):
            why = f"the average holds, and the floor of a slice does not: looked at {broken}"
        return Proof(
            kind=None, column=0, cost=None, quality=None, bound=None, singles=(), standings=standings, considered=tuple(considered),
            slices=_told(groups, labels, options[0].scores[:, 0], floor, shared), why=f"cannot certify: {why}", labels_wanted=wanted,
        )  # fmt: skip
    cost, _, option, column = min(found, key=lambda one: one[:2])
    scores = option.scores[:, column]
    return Proof(
        kind=option.kind,
        column=column,
        cost=cost,
        quality=float(scores.mean()),
        bound=_bound(scores, shared),
        singles=singles,
        standings=standings,
        considered=tuple(considered),
        slices=_told(groups, labels, scores, floor, shared),
        why=f"{option.name} is the cheapest of which the floor is certified, on {len(labels)} labels that had no part in its fit",
    )


def slices(floors: Sequence[SliceFloor], labels: Labels) -> list[tuple[SliceFloor, NDArray[np.bool_]]]:
    """The groups of the labels that have a floor of their own, and their rows."""
    found: list[tuple[SliceFloor, NDArray[np.bool_]]] = []
    for of in floors:
        names = [group_of(groups, of.by) for groups in labels.groups]
        found += [(of, np.array([name == one for name in names], dtype=np.bool_)) for one in sorted({n for n in names if n is not None})]
    return found


def group_of(groups: Mapping[str, str], by: str) -> str | None:
    """In which group of this kind a label is, None where nobody said."""
    return groups.get(by, groups.get(by.removeprefix("label:")))


def group_name(labels: Labels, of: SliceFloor, rows: NDArray[np.bool_]) -> str:
    """The name of a group, from one of its rows."""
    return group_of(labels.groups[int(np.argmax(rows))], of.by) or ""


def _told(
    groups: Sequence[tuple[SliceFloor, NDArray[np.bool_]]], labels: Labels, scores: Floats, floor: Floor, alpha: float
) -> tuple[SliceFound, ...]:
    found: list[SliceFound] = []
    for of, rows in groups:
        judged = bool(rows.sum() >= of.least)
        absolute = Floor(level=of.level, kind="absolute", confidence=floor.confidence)
        found.append(
            SliceFound(
                by=of.by,
                group=group_name(labels, of, rows),
                level=of.level,
                labels=int(rows.sum()),
                quality=float(scores[rows].mean()),
                judged=judged,
                holds=judged and bool(rejected(scores[rows][:, None], absolute, None, alpha)[0]),
            )
        )
    return tuple(found)


def _options(frozen: Frozen, estimators: Mapping[str, Estimator], labels: Labels, vectors: Floats | None) -> list[_Option]:
    at = [frozen.candidates.index(name) for name in frozen.singles]
    options = [_Option("single", "one candidate for all", labels.scores[:, at], np.array(frozen.costs)[at])]
    if vectors is not None and "router" in estimators and frozen.worths:
        options.append(_Option("router", "the router", *router_scores(estimators["router"], frozen, labels, vectors)))
    if vectors is not None and "cascade" in estimators and frozen.pair is not None:
        name = f"the cascade {frozen.pair[0]} before {frozen.pair[1]}"
        options.append(_Option("cascade", name, *cascade_scores(estimators["cascade"], frozen, labels, vectors)))
    return options


def _standing(frozen: Frozen, labels: Labels, name: str, alpha: float, task: Task, *, certified: bool) -> Standing:
    scores = labels.scores[:, labels.candidates.index(name)]
    low, high = interval(scores)
    return Standing(
        candidate=name,
        labels=len(labels),
        quality=float(scores.mean()) if len(labels) else 0.0,
        low=low,
        high=high,
        bound=_bound(scores, alpha),
        certified=certified,
        cost=_finite(frozen.costs[frozen.candidates.index(name)]),
        latency_ms=float(np.quantile(labels.latencies[name], task.latency_quantile)) if labels.latencies[name] else None,
        output_tokens=labels.outputs[name],
    )


def interval(scores: Floats) -> tuple[float, float]:
    """A 95 % interval of the mean, for display."""
    if not scores.size:
        return 0.0, 1.0
    return wilson(float(scores.sum()), len(scores)) if binary(scores) else mean_interval(scores, draws=400)


def binary(scores: Floats) -> bool:
    """Whether all scores are right or wrong."""
    return bool(((scores == 0) | (scores == 1)).all())


def _bound(scores: Floats, alpha: float) -> float:
    if not scores.size:
        return 0.0
    if binary(scores):
        return lower_bound(round(float(scores.sum())), len(scores), 1 - alpha)
    return max(0.0, lower_mean(scores, lowest=0.0, highest=1.0, confidence=1 - alpha, step=0.01))


def _finite(cost: float) -> float | None:
    return float(cost) if np.isfinite(cost) else None

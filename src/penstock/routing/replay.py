"""What would have been? A policy that is not live, judged on recorded traffic that another one served.

Each judged call was answered by the candidate that was then chosen, and some by another one in its shadow, each with a known
probability of being judged. Where the new policy would have picked a candidate whose answer was judged, that score counts with one over
its probability (inverse propensity: Horvitz and Thompson 1952, normalised by the weights: Hájek 1971); where it was not, a model's
guess stands in, which is put right by how far it is off on those that were (doubly robust: Robins, Rotnitzky and Zhao 1994; Dudík,
Langford and Li 2011). Intervals: calls resampled whole.

Calls on which the policy would have picked whoever served are judged by sampling and by exploring, others by exploring alone, so that
their weights do not speak of the same calls. Each kind is put right by itself therefore, and counts by its share of the calls.

What the old policy never showed, the record cannot tell. A kind whose matched calls are worth fewer than its share of `LEAST`, or than
`FEWEST`, is blind: its guess counts, and the interval allows for its being all wrong or all right. Where more than `BLIND` of the calls
are, or all matched calls come down to fewer than `LEAST`, the overlap is said to be too small, and no figure is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.kernel.evidence import Outcome
from penstock.routing.answers import answer_features
from penstock.routing.estimate import Estimator
from penstock.routing.features import prompt_features
from penstock.routing.policy import Policy
from penstock.routing.views import Estimate

Floats: TypeAlias = NDArray[np.float64]
LEAST = 30.0
FEWEST = 5.0
BLIND = 0.05
DRAWS = 1000


class Recorded(msgspec.Struct, frozen=True):
    """A judged call: its prompt, the candidate that served it, and the judged answers by candidate."""

    prompt: str
    served: str
    chance: float
    answers: dict[str, Outcome]


def traffic(outcomes: Sequence[Outcome]) -> list[Recorded]:
    """The judged calls among the outcomes; evaluations are no traffic."""
    items: dict[str, dict[str, Outcome]] = {}
    for one in outcomes:
        if one.source != "evaluation":
            held = items.setdefault(one.item, {})
            old = held.get(one.candidate)
            if old is None or (old.judge != "human" and (one.judge == "human" or one.propensity >= old.propensity)):
                held[one.candidate] = one
    found: list[Recorded] = []
    for answers in items.values():
        served = next((one for one in answers.values() if one.source == "live"), None)
        if served is not None:
            found.append(Recorded(served.prompt, served.candidate, max(1e-9, served.propensity), answers))
    return found


def picks(policy: Policy, estimator: Estimator | None, calls: Sequence[Recorded], vectors: Floats | None) -> list[str | None]:
    """Whom the policy would have let answer each call; None where that takes an answer which nobody has (a cascade's small model's)."""
    if policy.kind == "router" and estimator is not None and vectors is not None:
        chances = estimator.chances(np.array([prompt_features(call.prompt) for call in calls]), vectors)
        values = policy.worth * chances - np.array(policy.costs)
        return [policy.candidates[int(k)] for k in values.argmax(axis=1)]
    if policy.kind == "cascade" and estimator is not None and vectors is not None:
        found: list[str | None] = []
        for call, vector in zip(calls, vectors, strict=True):
            small = call.answers.get(policy.chosen or "")
            if small is None:
                found.append(None)
                continue
            seen = np.array([*prompt_features(call.prompt), *answer_features(call.prompt, small.reply)])
            chances = estimator.chances(seen, vector)
            found.append(policy.next if float(chances[1] - chances[0]) > policy.threshold else policy.chosen)
        return found
    return [policy.chosen for _ in calls]


def replay(
    policy: Policy,
    chosen: Sequence[str | None],
    calls: Sequence[Recorded],
    guesses: dict[str, Floats],
    costs: dict[str, float],
    seed: int = 0,
) -> Estimate:
    """``chosen`` by call; ``guesses`` of each candidate's score, by call; ``costs`` micro-dollars a call by candidate."""
    n = len(calls)
    weights, scores, expected, spent, base = (np.zeros(n) for _ in range(5))
    kinds = sorted({(pick, pick == call.served) for call, pick in zip(calls, chosen, strict=True) if pick is not None})
    kind = np.full(n, len(kinds))
    for row, (call, pick) in enumerate(zip(calls, chosen, strict=True)):
        if pick is None:
            continue
        kind[row] = kinds.index((pick, pick == call.served))
        # What a cascade would have done is known where its small model's answer was judged, and that is how likely the call is to count.
        seen = call.answers.get(policy.chosen) if policy.kind == "cascade" and policy.chosen else None
        chance = max(1e-9, seen.propensity) if seen is not None else call.chance
        base[row] = 1 / chance
        expected[row] = guesses[pick][row]
        spent[row] = costs[pick] + (costs[policy.chosen] if policy.kind == "cascade" and policy.chosen and pick == policy.next else 0.0)
        answer = call.answers.get(pick)
        if answer is not None:
            both = answer.propensity if seen is None else min(answer.propensity, seen.propensity)
            weights[row], scores[row] = 1 / max(1e-9, both), answer.score
    matched = int((weights > 0).sum())
    effective = _worth(weights)
    whole = float(base.sum())
    shares = np.bincount(kind, base, len(kinds) + 1) / (whole or 1.0)
    # One of which every call is matched lacks nothing, be it small.
    unseen = [not weights[kind == k].all() and _worth(weights[kind == k]) < max(FEWEST, LEAST * shares[k]) for k in range(len(kinds))]
    blind = np.array([*unseen, False], dtype=np.bool_)[kind]
    dark = float(base[blind].sum()) / whole if whole else 1.0
    if effective < LEAST or dark > BLIND:
        picked = sorted({str(pick) for pick, of in zip(chosen, blind, strict=True) if of})
        named = f" (of {', '.join(picked)}, picked in {dark:.0%} of them, too few)" if picked and effective >= LEAST else ""
        why = (
            f"the overlap is too small: in {matched} of {n} judged calls an answer was judged of the candidate that this policy picks, "
            f"worth {effective:.0f} calls{named}, and {LEAST:.0f} are the least; explore more (the task's explore and explore_budget)"
        )
        return Estimate(
            calls=n, matched=matched, effective=effective, quality=None, low=None, high=None, cost=None, weighed=None, enough=False, why=why
        )

    def value(rows: NDArray[Any]) -> float:
        b = base[rows]
        if b.sum() <= 0:
            return float("nan")
        return float((b * expected[rows]).sum() / b.sum()) + put_right(rows, scores - expected)

    def put_right(rows: NDArray[Any], off: Floats) -> float:
        """The mean of what is ``off`` on matched calls, kind by kind."""
        of, w, least = kind[rows], weights[rows], len(kinds) + 1
        shares = np.bincount(of, base[rows], least)
        total = np.bincount(of, w, least)
        return float((shares * np.bincount(of, w * off[rows], least) / np.where(total > 0, total, 1)).sum() / shares.sum())

    rng = np.random.default_rng(seed)
    drawn = np.array([value(rng.integers(0, n, n)) for _ in range(DRAWS)])
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    everything = np.arange(n)
    worst, best = (base * expected)[blind].sum() / whole, (base * (1 - expected))[blind].sum() / whole
    return Estimate(
        calls=n,
        matched=matched,
        effective=effective,
        quality=_within(value(everything)),
        low=_within(float(low - worst)),
        high=_within(float(high + best)),
        cost=float((base * spent).sum() / whole),
        weighed=_within(put_right(everything, scores)),
        enough=True,
        why=f"doubly robust over {n} judged calls, {matched} of them matched, worth {effective:.0f} of equal weight",
    )


def as_served(calls: Sequence[Recorded], costs: dict[str, float]) -> Estimate:
    """What the traffic did get."""
    weights = np.array([1 / call.chance for call in calls])
    scores = np.array([call.answers[call.served].score for call in calls])
    paid = np.array([call.answers[call.served].cost or costs.get(call.served, 0.0) for call in calls], dtype=np.float64)
    n, effective = len(calls), float(weights.sum() ** 2 / (weights**2).sum()) if len(calls) else 0.0
    if effective < LEAST:
        why = f"{n} judged calls, worth {effective:.0f} of equal weight; {LEAST:.0f} are the least"
        return Estimate(
            calls=n, matched=n, effective=effective, quality=None, low=None, high=None, cost=None, weighed=None, enough=False, why=why
        )
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, n, n) for _ in range(DRAWS)]
    low, high = np.quantile([float((weights[d] * scores[d]).sum() / weights[d].sum()) for d in draws], [0.025, 0.975])
    mean = float((weights * scores).sum() / weights.sum())
    return Estimate(
        calls=n,
        matched=n,
        effective=effective,
        quality=mean,
        low=float(low),
        high=float(high),
        cost=float((weights * paid).sum() / weights.sum()),
        weighed=mean,
        enough=True,
        why="the answers that were given, weighed by how likely each was to be judged",
    )


def _worth(weights: Floats) -> float:
    """How many calls of equal weight these are worth."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0


def _within(value: float) -> float:
    return min(1.0, max(0.0, value))

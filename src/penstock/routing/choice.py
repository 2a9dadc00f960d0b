"""The cheapest way to reach a floor: one model, a mixture, a router or a cascade, whichever the labels support; or none, and why not.

Options are compared under one confidence: each has an equal share of what may go wrong (Bonferroni), and walks its own path of policies
with it. So one more option costs all of them some sharpness; options that cannot be cheaper are better left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.routing.certify import Certificate, Floor, certify

Floats: TypeAlias = NDArray[np.float64]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """A named path of policies, safest first: ``scores`` [n, k] on the same n labels as its rivals', ``costs`` a call [k]."""

    name: str
    scores: Floats
    costs: Floats


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """``option`` and its column ``policy``, or None for both: cannot certify. ``considered`` has every option's own certificate."""

    option: str | None
    policy: int | None
    cost: float | None
    considered: dict[str, Certificate]
    why: str


def single(name: str, scores: Floats, cost: float) -> Option:
    """Everything to one model."""
    return Option(name=name, scores=scores[:, None], costs=np.array([cost]))


def mixture(name: str, small: Floats, large: Floats, costs: tuple[float, float], steps: int = 20) -> Option:
    """A coin decides: the baseline that every router has to beat. ``costs`` of the small and the large model."""
    share = np.linspace(0, 1, steps + 1)
    scores = large[:, None] * (1 - share) + small[:, None] * share
    return Option(name=name, scores=scores, costs=costs[0] * share + costs[1] * (1 - share))


def choose(options: Sequence[Option], floor: Floor, *, reference: Floats | None = None, starts: int = 1) -> Choice:
    """The cheapest policy of any option for which the floor is certified, all options judged under the floor's one confidence.

    Raises ValueError without options, or for two of one name.
    """
    if not options or len({option.name for option in options}) != len(options):
        raise ValueError("wants at least one option, each with a name of its own")
    shared = msgspec.structs.replace(floor, confidence=1 - (1 - floor.confidence) / len(options))
    considered = {o.name: certify(o.scores, o.costs, shared, reference=reference, starts=starts) for o in options}
    found = [(float(o.costs[c.policy]), i, o.name, c.policy) for i, o in enumerate(options) if (c := considered[o.name]).policy is not None]
    if not found:
        nearest = min(options, key=lambda o: considered[o.name].labels_wanted or float("inf"))
        why = f"cannot certify any of {len(options)} options; nearest is {nearest.name}: {considered[nearest.name].why}"
        return Choice(option=None, policy=None, cost=None, considered=considered, why=why)
    cost, _, name, policy = min(found)
    return Choice(option=name, policy=policy, cost=cost, considered=considered, why=f"{name}: {considered[name].why}")


def pick(chances: Floats, costs: Floats, worth: float) -> NDArray[np.int64]:
    """For each call [..., candidates] the candidate with the best ``worth * chance - cost``; on a tie, the cheaper.

    ``worth`` is what one more right answer may cost, in the unit of ``costs``: the dial of a router over many models.
    """
    order = np.argsort(costs, kind="stable")
    value = worth * chances[..., order] - costs[order]
    return order[np.argmax(value, axis=-1)]


def dial(name: str, chances: Floats, scores: Floats, costs: Floats, worths: Sequence[float]) -> Option:
    """The path of `pick` over ``worths``, most generous first, on prompts with known ``scores`` [n, candidates]."""
    rows = np.arange(len(scores))
    picked = np.stack([pick(chances, costs, worth) for worth in sorted(worths, reverse=True)], axis=1)
    return Option(name=name, scores=scores[rows[:, None], picked], costs=costs[picked].mean(axis=0))

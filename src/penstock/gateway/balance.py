"""Who comes first among targets of equal rank: the one with the fewest tokens in flight for its weight.

Tokens, not calls: a long document is another load than a greeting. Tokens that were sent in the last seconds count too, ever less,
so that targets which answer at once share by their weights as well, and ones that answer slowly get less.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from msgspec import Struct

from penstock.gateway.circuit import State
from penstock.gateway.health import Standing
from penstock.gateway.settings import ModelSettings, WeightedTarget
from penstock.kernel.call import Target
from penstock.kernel.errors import SettingsError


class Entry(Struct, frozen=True):
    """One line of a model's targets, with the group that it stands in."""

    target: str
    rank: int
    weight: float


def entries(name: str, model: ModelSettings) -> tuple[Entry, ...]:
    """The targets of ``[gateway.models.NAME]`` with their ranks. Raises `SettingsError` that names the line which is wrong."""
    place = f"gateway.models.{name}"
    listed: list[Entry] = []
    for rank, line in enumerate(model.targets):
        group = (line,) if isinstance(line, str) else line
        if not group:
            raise SettingsError(f"{place}.targets[{rank}]: a group needs at least one target", param=place)
        for one in group:
            target, weight = (one.target, one.weight) if isinstance(one, WeightedTarget) else (one, 1.0)
            if not target.strip():
                raise SettingsError(f"{place}.targets[{rank}]: a target is empty; write provider/model", param=place)
            if any(entry.target == target for entry in listed):
                raise SettingsError(f"{place}.targets[{rank}]: {target!r} is listed twice; give it a weight instead", param=place)
            listed.append(Entry(target, rank, weight))
    if model.hedge_seconds is not None and len(listed) < 2:
        raise SettingsError(f"{place}.hedge_seconds: hedging asks a second target, and there is only {listed[0].target!r}", param=place)
    return tuple(listed)


def order(
    targets: Sequence[Target],
    of: Callable[[Target], Standing],
    tokens: int,
    now: float,
    chance: Callable[[], float] = random.random,
) -> Sequence[Target]:
    """The targets in the order in which to try them: by rank, within a rank the least loaded first.

    One that has just come back carries no load and would be first for every call; it is drawn by its weight instead, and is last otherwise.
    """
    if targets[0].rank != targets[1].rank and len({t.rank for t in targets}) == len(targets):
        return targets

    def key(target: Target) -> tuple[int, float]:
        standing = of(target)
        if standing.circuit.state is State.RAMPING or standing.provider.circuit.state is State.RAMPING:
            whole = sum(t.weight for t in targets if t.rank == target.rank)
            return target.rank, -1.0 if chance() * whole < target.weight else float("inf")
        if standing.joined != standing.changes and standing.quiet:
            # It was away: what it did not get meanwhile it does not get all at once now.
            peers = [of(t).load(now) / t.weight for t in targets if t.rank == target.rank and t is not target and of(t).settled]
            standing.join(now, min(peers, default=0.0) * target.weight)
        return target.rank, (standing.load(now) + tokens) / target.weight

    return sorted(targets, key=key)

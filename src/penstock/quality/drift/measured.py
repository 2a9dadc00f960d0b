"""Drift over time, as measures: how much evidence there is that a feature of a task's calls has changed; 1 is a change that is certain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from penstock.kernel.measures import Asked, Example, Measure, Reading
from penstock.quality.drift.features import FEATURES
from penstock.quality.drift.keeper import Keeper
from penstock.quality.drift.watched import Watched, Watching, score
from penstock.quality.measured import OTHER, check

ANY = "drift"
PREFIX = "drift_"
_TASK = frozenset({"task"})
MEASURES = (
    Measure(
        name=ANY,
        title="Drift",
        help="Evidence that a task's calls or replies have changed: the most of all features; 1 is certain, below 0.6 is noise.",
        unit="score",
        dimensions=_TASK,
        worse="up",
    ),
    *(
        Measure(
            name=f"{PREFIX}{feature.name}",
            title=f"Drift: {feature.title.lower()}",
            help=f"Evidence that this has changed: {feature.title.lower()}; 1 is certain, below 0.6 is noise.",
            unit="score",
            dimensions=_TASK,
            worse="up",
        )
        for feature in FEATURES
    ),
)


class DriftMeasured:
    """The `MeasureSource` of drift."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    @property
    def measures(self) -> Sequence[Measure]:
        """See `MeasureSource.measures`."""
        return MEASURES

    async def readings(self, names: Sequence[str], asked: Asked) -> Mapping[str, list[Reading]]:
        """See `MeasureSource.readings`: the most that the evidence reached in each step."""
        check(asked, {"task": None})
        return {name: self._readings(name, asked) for name in names}

    async def examples(self, name: str, asked: Asked, limit: int = 5) -> list[Example]:
        """See `MeasureSource.examples`: the first calls after the change, where there is one."""
        check(asked, {"task": None})
        found: list[Example] = []
        for watched in self._mine(asked):
            for change in watched.changes:
                if name in (ANY, PREFIX + change.feature) and change.changed_at < asked.until and change.detected_at >= asked.since:
                    seen = [one for one in watched.seen if one.at >= change.changed_at][:limit]
                    title = watched.features[change.feature].rule.feature.title
                    found += [
                        Example(id=one.id, href=f"/console/calls/{one.id}", at=one.at, value=1.0, why=f"{title}: after the change")
                        for one in seen
                    ]
        return found[:limit]

    def _mine(self, asked: Asked) -> list[Watched]:
        wanted = asked.equal.get("task")
        return [one for one in self._keeper.of(asked.organisation) if wanted is None or one.task in wanted]

    def _readings(self, name: str, asked: Asked) -> list[Reading]:
        most: dict[tuple[float, str], tuple[float, int]] = {}
        mine = self._mine(asked)
        counted = Counter({one.task: len(one.seen) for one in mine})
        own = {task for task, _ in counted.most_common(asked.groups)}
        for watched in mine:
            group = "" if not asked.by else watched.task if watched.task in own else OTHER
            for feature, watching in watched.features.items():
                if name in (ANY, PREFIX + feature):
                    # Each call once: a task's calls are counted with its first feature where several are asked for at once.
                    counts = name != ANY or watching is next(iter(watched.features.values()))
                    for at, value in _path(watched, watching, asked):
                        key = (at, group)
                        before, count = most.get(key, (0.0, 0))
                        most[key] = (max(before, value), count + counts)
        return [
            Reading(at=at, value=value, count=count, group=group)
            for (at, group), (value, count) in sorted(most.items(), key=lambda one: one[0])
        ]


def _path(watched: Watched, watching: Watching, asked: Asked) -> Iterator[tuple[float, float]]:
    # Not strict: a call that is observed on a thread just now is in one of them already.
    for seen, evidence in zip(watched.seen[watched.wanted :], watching.path, strict=False):
        if asked.since <= seen.at < asked.until:
            yield seen.at // asked.step * asked.step, score(evidence, watching.limit)


__all__ = ["ANY", "MEASURES", "DriftMeasured"]

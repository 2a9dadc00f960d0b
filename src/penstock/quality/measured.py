"""Quality over time, as measures: the share of replies that nothing supports, mean scores of judges and of people.

What people say of a few replies corrects what judges say of many (`penstock.statistics.prediction_powered`). The correction takes a reply
that a person labelled for one drawn by chance; weights undo with what probability replies were sampled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, func, select

from penstock.kernel.errors import RequestError
from penstock.kernel.measures import Asked, Example, Measure, Reading
from penstock.quality.tables import SAMPLES
from penstock.statistics.prediction_powered import LEAST, Estimate, Sums, by_labels, estimate
from penstock.storage.records import Records

UNGROUNDED, JUDGED, HUMAN = "ungrounded_rate", "quality_score", "human_score"
DIMENSIONS = {"task": SAMPLES.c.task, "model": SAMPLES.c.candidate}
MOST_STEPS = 2000
LABELS_SECONDS = 30 * 86_400.0
"""How far back labels correct steps that have too few of their own."""
OTHER = "…"
UNCHECKED = "the judge's word alone: fewer than 10 of its replies were labelled by people"
CARRIED = "corrected by labels of up to 30 days, since this step has fewer than 10"

MEASURES = (
    Measure(
        name=UNGROUNDED,
        title="Ungrounded replies",
        help="Share of judged live replies that their context does not support, corrected by people's labels.",
        unit="share",
        dimensions=frozenset(DIMENSIONS),
        worse="up",
    ),
    Measure(
        name=JUDGED,
        title="Judged score",
        help="Mean score of judged live replies, corrected by people's labels.",
        unit="score",
        dimensions=frozenset(DIMENSIONS),
        worse="down",
    ),
    Measure(
        name=HUMAN,
        title="People's score",
        help="Mean score of live replies that people labelled.",
        unit="score",
        dimensions=frozenset(DIMENSIONS),
        worse="down",
    ),
)
_SCORED = SAMPLES.c.model_score.is_not(None)
_LABELLED = SAMPLES.c.judge == "human"
_GROUNDED = SAMPLES.c.model_judge.like("groundedness%")


class Measured:
    """The `MeasureSource` of quality."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @property
    def measures(self) -> Sequence[Measure]:
        """See `MeasureSource.measures`."""
        return MEASURES

    async def readings(self, names: Sequence[str], asked: Asked) -> Mapping[str, list[Reading]]:
        """See `MeasureSource.readings`."""
        check(asked)

        def read(connection: Connection) -> dict[str, list[Reading]]:
            return {name: _readings(connection, name, asked) for name in names}

        return await self._records.read(read)

    async def examples(self, name: str, asked: Asked, limit: int = 5) -> list[Example]:
        """See `MeasureSource.examples`: the replies with the lowest scores."""
        check(asked)
        mine = {UNGROUNDED: (_GROUNDED, _SCORED), JUDGED: (SAMPLES.c.score.is_not(None),), HUMAN: (_LABELLED,)}[name]
        wanted = (
            select(SAMPLES.c.id, SAMPLES.c.at, SAMPLES.c.score, SAMPLES.c.judge, SAMPLES.c.task)
            .where(*_within(asked, asked.since), *mine)
            .order_by(SAMPLES.c.score, SAMPLES.c.at.desc())
            .limit(limit)
        )
        if name == UNGROUNDED:
            wanted = wanted.where(SAMPLES.c.score < 0.5)
        found = await self._records.read(lambda c: c.execute(wanted).mappings().all())
        return [
            Example(
                id=row["id"],
                href=f"/console/quality/replies/{row['id']}",
                at=row["at"],
                value=1 - row["score"] if name == UNGROUNDED else row["score"],
                # Not the judge's reason: it may quote the reply, and this goes to everyone who reads figures, and into messages.
                why=f"judged by {row['judge']}" if row["judge"] else "",
            )
            for row in found
        ]


def check(asked: Asked, dimensions: Mapping[str, Any] = DIMENSIONS) -> None:
    """`RequestError` unless these readings can be had."""
    for one in (*asked.equal, *((asked.by,) if asked.by else ())):
        if one not in dimensions:
            raise RequestError(f"{one}: quality is measured by {', '.join(sorted(dimensions))}", param=one)
    if not asked.step > 0 or (asked.until - asked.since) / asked.step > MOST_STEPS:
        raise RequestError(f"step: wants more than 0 seconds, and at most {MOST_STEPS} steps", param="step")


def _within(asked: Asked, since: float) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [SAMPLES.c.at >= since, SAMPLES.c.at < asked.until, SAMPLES.c.source == "live"]
    if asked.organisation is not None:
        where.append(SAMPLES.c.organisation == asked.organisation)
    where += [DIMENSIONS[name].in_(values) for name, values in asked.equal.items()]
    return where


def totals(connection: Connection, name: str, asked: Asked) -> dict[str, tuple[Estimate, str]]:
    """A measure over all of the period at once, by the group that is asked for; with what a reader must know of it."""
    keys = [DIMENSIONS[asked.by].label("group")] if asked.by else []
    held: dict[str, list[Sums]] = {}
    for row, kind, sums in _sums(connection, name, keys, _within(asked, asked.since)):
        held.setdefault(row["group"] if asked.by else "", [Sums(), Sums(), Sums()])[kind] += sums
    found: dict[str, tuple[Estimate, str]] = {}
    for group, (judged, both, people) in held.items():
        made, note = (by_labels(both + people), "") if name == HUMAN else corrected(judged, both, Sums())
        if made is None and name == JUDGED:
            made, note = by_labels(people), ""
        if made is not None:
            found[group] = (made, note)
    return found


def _readings(connection: Connection, name: str, asked: Asked) -> list[Reading]:
    by = DIMENSIONS[asked.by] if asked.by else None
    step = func.floor(SAMPLES.c.at / asked.step).label("step")
    within = _within(asked, asked.since)
    here = _sums(connection, name, [step] if by is None else [step, by.label("group")], within)
    folds = _folded(here, asked) if by is not None else {}
    steps: dict[tuple[float, str], list[Sums]] = {}
    for row, kind, sums in here:
        key = (float(row["step"]) * asked.step, folds.get(row["group"], OTHER) if by is not None else "")
        steps.setdefault(key, [Sums(), Sums(), Sums()])[kind] += sums
    pool: dict[str, Sums] = {}
    if name != HUMAN and any(judged.n and both.n < LEAST for judged, both, _ in steps.values()):
        earlier = _within(asked, min(asked.since, asked.until - LABELS_SECONDS))
        for row, kind, sums in _sums(connection, name, [] if by is None else [by.label("group")], [*earlier, _LABELLED, _SCORED]):
            group = folds.get(row["group"], OTHER) if by is not None else ""
            if kind == 1:
                pool[group] = pool.get(group, Sums()) + sums
    found = [
        _reading(name, at, group, judged, both, people, pool.get(group, Sums()))
        for (at, group), (judged, both, people) in sorted(steps.items(), key=lambda one: one[0])
    ]
    return [one for one in found if one is not None]


def _reading(name: str, at: float, group: str, judged: Sums, both: Sums, people: Sums, pool: Sums) -> Reading | None:
    note = ""
    if name == HUMAN:
        made = by_labels(both + people)
    else:
        made, note = corrected(judged, both, pool)
        if made is None and name == JUDGED:
            made, note = by_labels(people), ""  # a task that people alone judge
    if made is None:
        return None
    count = made.judged + made.labelled if note != CARRIED else made.judged
    return Reading(at=at, value=made.value, count=count, group=group, low=made.low, high=made.high, note=note)


def corrected(judged: Sums, both: Sums, pool: Sums) -> tuple[Estimate | None, str]:
    """A step's mean, by its own labels where they suffice, else by those of a longer time, else by the judge alone; and which of these."""
    if both.n >= LEAST:
        return estimate(judged, both), ""
    if judged.n + both.n and pool.n >= LEAST:
        return estimate(judged + both, pool, power=1.0), CARRIED
    made = estimate(judged, both)
    return made, UNCHECKED if made is not None else ""


def _folded(rows: Sequence[tuple[RowMapping, int, Sums]], asked: Asked) -> dict[str, str]:
    counted: Counter[str] = Counter()
    for row, _, sums in rows:
        counted[row["group"]] += sums.n
    return {group: group for group, _ in counted.most_common(asked.groups)}


def _sums(
    connection: Connection, name: str, keys: Sequence[Any], where: Sequence[ColumnElement[bool]]
) -> list[tuple[RowMapping, int, Sums]]:
    """The sums of each group: of replies that a judge alone judged (0), that people labelled too (1), that people alone labelled (2)."""
    turned = name == UNGROUNDED
    w = 1 / SAMPLES.c.propensity
    y, f = (1 - SAMPLES.c.score, 1 - SAMPLES.c.model_score) if turned else (SAMPLES.c.score, SAMPLES.c.model_score)
    values = {
        "n": func.count(), "w": func.sum(w), "ww": func.sum(w * w), "wy": func.sum(w * y), "wf": func.sum(w * f),
        "wwy": func.sum(w * w * y), "wwf": func.sum(w * w * f), "wwyy": func.sum(w * w * y * y), "wwff": func.sum(w * w * f * f),
        "wwyf": func.sum(w * w * y * f),
    }  # fmt: skip
    kinds = [(_SCORED, ~_LABELLED), (_SCORED, _LABELLED), (~_SCORED, _LABELLED)]
    found: list[tuple[RowMapping, int, Sums]] = []
    for kind, mine in enumerate(kinds):
        asked = select(*keys, *(value.label(key) for key, value in values.items())).where(*where, *mine, SAMPLES.c.score.is_not(None))
        if turned:
            asked = asked.where(_GROUNDED)
        for row in connection.execute(asked.group_by(*keys)).mappings():
            if row["n"]:
                found.append((row, kind, Sums(**{key: row[key] or 0 for key in values})))
    return found


__all__ = ["MEASURES", "Measured", "check", "corrected", "totals"]

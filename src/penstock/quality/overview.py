"""How good replies of live traffic are, by task: what judges and people say, with intervals; and one task by its slices."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import Connection, func, select

from penstock.kernel.errors import NotFound
from penstock.kernel.measures import Asked
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route
from penstock.quality import samples
from penstock.quality.measured import HUMAN, JUDGED, UNGROUNDED, corrected, totals
from penstock.quality.replies import Replies, Reply
from penstock.quality.tables import SAMPLES
from penstock.statistics.prediction_powered import Estimate, Sums, by_labels, sums
from penstock.storage.records import Records

DAYS = 7.0
MOST_GROUPS, LEAST_REPLIES, MOST_REPLIES = 12, 5, 5000
"""Groups of a kind that are shown, replies that a group has at least, and replies of a task that slices are made of, the newest."""

_Row = tuple[float, float, float]


class Figure(Struct, frozen=True, kw_only=True):
    """An estimate with its 95 % interval. ``judged`` replies of a model and ``labelled`` of people stand behind it; ``note`` says where
    people have checked too little."""

    value: float
    low: float
    high: float
    judged: int
    labelled: int
    method: str
    note: str = ""


class TaskQuality(Struct, frozen=True, kw_only=True):
    """A task: the mean of its judged replies corrected by people's labels, the mean of those labels alone, and the share of replies that
    their context does not support. None where nothing is known. ``samples`` counts live replies that were drawn, ``waiting`` those that
    nobody has judged."""

    task: str
    samples: int
    waiting: int
    score: Figure | None = None
    human: Figure | None = None
    ungrounded: Figure | None = None


class TaskQualities(Struct, frozen=True, kw_only=True):
    """Tasks with live samples since ``since``, those with the most unsupported replies first."""

    data: list[TaskQuality]
    since: float
    until: float


class Slice(Struct, frozen=True, kw_only=True):
    """Replies of one group, by its kind (``language``, ``team``, a label of the caller)."""

    kind: str
    group: str
    score: Figure


class TaskSlices(Struct, frozen=True, kw_only=True):
    """A task and its slices, by kind, the worst of each first."""

    quality: TaskQuality
    slices: list[Slice]


class QualityQuery(Struct, frozen=True, kw_only=True):
    """Of how many days until now."""

    days: Annotated[float, Meta(gt=0, le=366)] = DAYS


def figure(found: tuple[Estimate, str] | None) -> Figure | None:
    """An estimate as it is shown."""
    if found is None:
        return None
    made, note = found
    return Figure(value=made.value, low=made.low, high=made.high, judged=made.judged, labelled=made.labelled, method=made.method, note=note)


def by_task(connection: Connection, reach: str | None, since: float, until: float, task: str | None = None) -> list[TaskQuality]:
    """Every task with live samples in that time, or one."""
    asked = Asked(organisation=reach, since=since, until=until, step=max(1.0, until - since), by="task")
    if task is not None:
        asked = Asked(organisation=reach, since=since, until=until, step=asked.step, by="task", equal={"task": (task,)})
    where = [SAMPLES.c.at >= since, SAMPLES.c.at < until, SAMPLES.c.source == "live"]
    if reach is not None:
        where.append(SAMPLES.c.organisation == reach)
    if task is not None:
        where.append(SAMPLES.c.task == task)
    counts: dict[str, list[int]] = {}
    for row in connection.execute(
        select(SAMPLES.c.task, SAMPLES.c.state, func.count()).where(*where).group_by(SAMPLES.c.task, SAMPLES.c.state)
    ):
        held = counts.setdefault(row[0], [0, 0])
        held[0] += row[2]
        held[1] += row[2] if row[1] in ("queued", "waiting") else 0
    scores, people, ungrounded = (totals(connection, name, asked) for name in (JUDGED, HUMAN, UNGROUNDED))
    found = [
        TaskQuality(
            task=name,
            samples=whole,
            waiting=waiting,
            score=figure(scores.get(name)),
            human=figure(people.get(name)),
            ungrounded=figure(ungrounded.get(name)),
        )
        for name, (whole, waiting) in counts.items()
    ]
    return sorted(
        found, key=lambda one: (-(one.ungrounded.value if one.ungrounded else -1.0), one.score.value if one.score else 2.0, one.task)
    )


def slices(connection: Connection, reach: str | None, task: str, since: float, until: float) -> list[Slice]:
    """The groups of a task's scored live replies."""
    held: dict[tuple[str, str], tuple[list[_Row], list[_Row], list[_Row]]] = defaultdict(lambda: ([], [], []))
    for one in samples.scored(connection, reach, task, since, until, MOST_REPLIES):
        row = (1 / one.propensity, one.score, one.model_score if one.model_score is not None else 0.0)
        kind = 2 if one.model_score is None else 1 if one.judge == "human" else 0
        for name, group in {**one.groups, "model": one.candidate}.items():
            if group:
                held[name, group][kind].append(row)
    found: list[tuple[int, Slice]] = []
    for (kind, group), (judged, both, people) in held.items():
        made, note = corrected(sums(judged), sums(both), Sums())
        if made is None:
            made, note = by_labels(sums(people)), ""
        shown = figure((made, note)) if made is not None else None
        count = len(judged) + len(both) + len(people)
        if shown is not None and count >= LEAST_REPLIES:
            found.append((count, Slice(kind=kind, group=group, score=shown)))
    kinds: dict[str, list[Slice]] = defaultdict(list)
    for _, one in sorted(found, key=lambda one: -one[0]):
        if len(kinds[one.kind]) < MOST_GROUPS:
            kinds[one.kind].append(one)
    return [one for kind in sorted(kinds) for one in sorted(kinds[kind], key=lambda each: each.score.value)]


async def of_task(records: Records, reach: str | None, task: str, since: float, until: float) -> TaskSlices:
    """A task with its slices. `NotFound` where it has no live samples in that time."""

    def read(connection: Connection) -> TaskSlices | None:
        found = by_task(connection, reach, since, until, task)
        return TaskSlices(quality=found[0], slices=slices(connection, reach, task, since, until)) if found else None

    made = await records.read(read)
    if made is None:
        raise NotFound(f"no live replies of a task {task[:100]!r} were sampled in that time", param="task")
    return made


def routes(records: Records, replies: Replies, clock: Callable[[], float] = time.time) -> Sequence[Route]:
    """The routes under ``/v1/quality``."""

    async def listed(ask: Ask) -> TaskQualities:
        until = clock()
        since = until - ask.query(QualityQuery).days * 86_400
        found = await records.read(lambda c: by_task(c, ask.principal.reach, since, until))
        return TaskQualities(data=found, since=since, until=until)

    async def one(ask: Ask) -> TaskSlices:
        until = clock()
        return await of_task(records, ask.principal.reach, ask.path["task"], until - ask.query(QualityQuery).days * 86_400, until)

    async def reply(ask: Ask) -> Reply:
        return await replies.get(ask.principal, ask.path["id"], "api")

    return (
        Route(
            method="GET",
            path="/v1/quality",
            handler=listed,
            summary="How good replies of live traffic are, by task: judges' and people's scores and the ungrounded share, with intervals.",
            scope=Scope.READ,
            query=QualityQuery,
            returns=TaskQualities,
        ),
        Route(
            method="GET",
            path="/v1/quality/{task}",
            handler=one,
            summary="A task's replies by their slices.",
            scope=Scope.READ,
            query=QualityQuery,
            returns=TaskSlices,
        ),
        Route(
            method="GET",
            path="/v1/quality/replies/{id}",
            handler=reply,
            summary="A sampled reply with what its context does not support, and the sources of the rest.",
            scope=Scope.READ,
            returns=Reply,
        ),
    )

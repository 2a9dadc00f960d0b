"""The SQL of drift; decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, delete, func, insert, literal, select

from penstock.quality import samples
from penstock.quality.samples import Kept
from penstock.quality.tables import DRIFT_BASELINES, DRIFT_CHANGES, SAMPLE_VECTORS, SAMPLES

PIECE = 500
Task = tuple[str, str]


class Baseline(Struct, frozen=True, kw_only=True):
    """Calls of the task from ``since`` on are what later ones are compared with."""

    id: str
    organisation: str
    task: str
    since: float
    why: str
    by: str
    created_at: float


class Changed(Struct, frozen=True, kw_only=True):
    """A feature of a task that changed, with the evidence: that ``evidence`` reached ``level``, and the distributions of both windows
    (``detail``, JSON)."""

    id: str
    organisation: str
    task: str
    baseline: str
    feature: str
    changed_at: float
    detected_at: float
    evidence: float
    level: float
    detail: str
    created_at: float


def tasks(connection: Connection) -> dict[Task, float]:
    """The tasks that live samples are of, with the moment of the last."""
    asked = select(SAMPLES.c.organisation, SAMPLES.c.task, func.max(SAMPLES.c.at)).where(SAMPLES.c.source == "live")
    return {(row[0], row[1]): row[2] for row in connection.execute(asked.group_by(SAMPLES.c.organisation, SAMPLES.c.task))}


def baselines(connection: Connection) -> dict[Task, Baseline]:
    """The last baseline of each task that has one."""
    rows = connection.execute(select(DRIFT_BASELINES).order_by(DRIFT_BASELINES.c.created_at, DRIFT_BASELINES.c.id)).mappings()
    return {(row["organisation"], row["task"]): Baseline(**row) for row in rows}


def begin(connection: Connection, baseline: Baseline) -> None:
    """Insert a baseline."""
    connection.execute(insert(DRIFT_BASELINES).values(msgspec.structs.asdict(baseline)))


def calls(connection: Connection, task: Task, since: float, after: tuple[float, str], limit: int) -> list[Kept]:
    """Live samples of a task from ``since`` on, behind this moment and call, oldest first; without contexts, which nobody looks at."""
    columns = [literal("").label("context") if column.name == "context" else column for column in SAMPLES.columns]
    at, id = after
    where: list[ColumnElement[bool]] = [
        SAMPLES.c.organisation == task[0],
        SAMPLES.c.task == task[1],
        SAMPLES.c.source == "live",
        SAMPLES.c.at >= max(since, at),
        (SAMPLES.c.at > at) | (SAMPLES.c.id > id),
    ]
    rows = connection.execute(select(*columns).where(*where).order_by(SAMPLES.c.at, SAMPLES.c.id).limit(limit)).mappings()
    return [samples.read(row) for row in rows]


def keep(connection: Connection, changed: Changed) -> bool:
    """Insert a change that is not there yet; whether it was new."""
    if connection.execute(select(DRIFT_CHANGES.c.id).where(DRIFT_CHANGES.c.id == changed.id)).scalar() is not None:
        return False
    connection.execute(insert(DRIFT_CHANGES).values(msgspec.structs.asdict(changed)))
    return True


def changes(connection: Connection, reach: str | None, *, task: str | None = None, since: float = 0.0, limit: int = 200) -> list[Changed]:
    """Changes that were found, newest first."""
    where: list[ColumnElement[bool]] = [DRIFT_CHANGES.c.detected_at >= since]
    if reach is not None:
        where.append(DRIFT_CHANGES.c.organisation == reach)
    if task is not None:
        where.append(DRIFT_CHANGES.c.task == task)
    rows = connection.execute(select(DRIFT_CHANGES).where(*where).order_by(DRIFT_CHANGES.c.detected_at.desc()).limit(limit)).mappings()
    return [Changed(**row) for row in rows]


def vectors(connection: Connection, ids: Sequence[str], embedder: str | None = None) -> dict[str, bytes]:
    """The embeddings of these calls' prompts by this embedder; without one, by whichever made that of the last of them."""
    found: dict[str, tuple[str, bytes]] = {}
    for start in range(0, len(ids), PIECE):
        asked = select(SAMPLE_VECTORS).where(SAMPLE_VECTORS.c.sample.in_(ids[start : start + PIECE]))
        found.update((row.sample, (row.embedder, row.vector)) for row in connection.execute(asked))
    by = embedder or next((found[id][0] for id in reversed(ids) if id in found), "")
    return {id: vector for id, (made, vector) in found.items() if made == by}


def keep_vectors(connection: Connection, rows: Collection[dict[str, Any]]) -> None:
    """Write embeddings, in place of those of another embedder."""
    connection.execute(delete(SAMPLE_VECTORS).where(SAMPLE_VECTORS.c.sample.in_([row["sample"] for row in rows])))
    connection.execute(insert(SAMPLE_VECTORS).values(list(rows)))


def forget(connection: Connection, before: float, limit: int = 500) -> int:
    """Delete some of the embeddings of samples that are older; how many."""
    old = select(SAMPLE_VECTORS.c.sample).where(SAMPLE_VECTORS.c.at < before).limit(limit)
    return connection.execute(delete(SAMPLE_VECTORS).where(SAMPLE_VECTORS.c.sample.in_(old))).rowcount


__all__ = ["Baseline", "Changed", "Task", "baselines", "begin", "calls", "changes", "forget", "keep", "keep_vectors", "tasks", "vectors"]

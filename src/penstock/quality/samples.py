"""The SQL of samples and of feedback; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from penstock.kernel.evidence import Outcome
from penstock.quality.examples import item_decoder
from penstock.quality.tables import DATASET_ITEMS, EVALUATIONS, FEEDBACK, SAMPLES, SCORES
from penstock.storage.schema import encode_json

_groups = msgspec.json.Decoder(dict[str, str])


class Kept(Struct, frozen=True, kw_only=True):
    """A sample as it is kept: what was said as text, and what came of judging it.

    ``score`` is by ``judge``, who may be a person; ``model_score`` is what a judge said that is none (``model_judge``), and stays when
    a person has overruled it.
    """

    id: str
    organisation: str
    task: str
    item: str
    candidate: str
    source: Literal["live", "shadow"]
    propensity: float
    prompt: str
    context: str
    answer: str
    groups: dict[str, str]
    cost: int | None
    latency_ms: float | None
    input_tokens: int
    output_tokens: int
    at: float
    state: str = "queued"
    score: float | None = None
    judge: str = ""
    reason: str = ""
    judging_cost: int = 0
    judged_at: float | None = None
    answered_by: str = ""
    version: str = ""
    model_score: float | None = None
    model_judge: str = ""
    tools: str = ""


class Scored(Struct, frozen=True, kw_only=True):
    """Of a sample what its slices are made of: without its texts, which may be long."""

    candidate: str
    groups: dict[str, str]
    propensity: float
    score: float
    judge: str
    model_score: float | None


class Feedback(Struct, frozen=True, kw_only=True):
    """What somebody said of an answer (``label``), or what came of it (``outcome``, with its ``name``); ``score`` from 0 to 1."""

    id: str
    organisation: str
    task: str | None
    kind: str
    name: str
    score: float
    call: str | None
    evaluation: str | None
    item: str | None
    candidate: str | None
    by: str
    comment: str
    created_at: float


def put(connection: Connection, kept: Sequence[Kept]) -> int:
    """Insert those that are not there yet; how many were new."""
    ids = [one.id for one in kept]
    there = set(connection.execute(select(SAMPLES.c.id).where(SAMPLES.c.id.in_(ids))).scalars())
    new = {one.id: one for one in kept if one.id not in there}
    if new:
        connection.execute(
            insert(SAMPLES).values([{**msgspec.structs.asdict(one), "groups": encode_json(one.groups)} for one in new.values()])
        )
    return len(new)


def queued(connection: Connection, organisation: str, limit: int) -> list[Kept]:
    """Samples of an organisation that nobody has judged, oldest first."""
    where = (SAMPLES.c.organisation == organisation, SAMPLES.c.state == "queued")
    return [read(row) for row in connection.execute(select(SAMPLES).where(*where).order_by(SAMPLES.c.at).limit(limit)).mappings()]


def owing(connection: Connection) -> dict[str, int]:
    """How many samples wait to be judged, by organisation."""
    asked = select(SAMPLES.c.organisation, func.count()).where(SAMPLES.c.state == "queued").group_by(SAMPLES.c.organisation)
    return {row[0]: row[1] for row in connection.execute(asked)}


def one(connection: Connection, id: str) -> Kept | None:
    """One sample."""
    row = connection.execute(select(SAMPLES).where(SAMPLES.c.id == id)).mappings().first()
    return None if row is None else read(row)


def named(connection: Connection, organisation: str, ids: Sequence[str]) -> list[Kept]:
    """Those of these samples that the organisation has."""
    asked = select(SAMPLES).where(SAMPLES.c.organisation == organisation, SAMPLES.c.id.in_(ids))
    return [read(row) for row in connection.execute(asked).mappings()]


def beside(connection: Connection, item: str, candidate: str) -> str | None:
    """What another candidate answered to the same item."""
    asked = select(SAMPLES.c.answer).where(SAMPLES.c.item == item, SAMPLES.c.candidate == candidate).limit(1)
    return connection.execute(asked).scalar()


def settle(connection: Connection, id: str, values: Mapping[str, Any]) -> bool:
    """Write down what came of judging a sample that nobody has judged; whether it was so."""
    where = (SAMPLES.c.id == id, SAMPLES.c.state == "queued")
    return connection.execute(update(SAMPLES).where(*where).values(values)).rowcount == 1


def overrule(connection: Connection, id: str, score: float, judge: str, reason: str, at: float) -> None:
    """Let a person's word, or the business's, be the score of a sample, whatever a judge has said."""
    values = {"state": "judged", "score": score, "judge": judge, "reason": reason, "judged_at": at}
    connection.execute(update(SAMPLES).where(SAMPLES.c.id == id).values(values))


def listed(connection: Connection, reach: str | None, *, task: str | None, state: str | None, below: str | None, limit: int) -> list[Kept]:
    """Samples, newest first."""
    where = [SAMPLES.c.organisation == reach] if reach is not None else []
    for column, value in ((SAMPLES.c.task, task), (SAMPLES.c.state, state)):
        if value is not None:
            where.append(column == value)
    if below is not None:
        where.append(SAMPLES.c.id < below)
    return [read(row) for row in connection.execute(select(SAMPLES).where(*where).order_by(SAMPLES.c.id.desc()).limit(limit)).mappings()]


def scored(connection: Connection, reach: str | None, task: str, since: float, until: float, limit: int) -> list[Scored]:
    """Live samples of a task that have a score, newest first."""
    where = [SAMPLES.c.task == task, SAMPLES.c.source == "live", SAMPLES.c.at >= since, SAMPLES.c.at < until, SAMPLES.c.score.is_not(None)]
    if reach is not None:
        where.append(SAMPLES.c.organisation == reach)
    columns = [SAMPLES.c[name] for name in Scored.__struct_fields__]
    found: list[Scored] = []
    for row in connection.execute(select(*columns).where(*where).order_by(SAMPLES.c.at.desc()).limit(limit)).mappings():
        held: dict[str, Any] = {**row, "groups": _groups.decode(row["groups"])}
        found.append(Scored(**held))
    return found


def forget(connection: Connection, before: float, limit: int = 500) -> int:
    """Delete some of the samples that are older; how many."""
    old = select(SAMPLES.c.id).where(SAMPLES.c.at < before).limit(limit)
    return connection.execute(delete(SAMPLES).where(SAMPLES.c.id.in_(old))).rowcount


def read(row: RowMapping) -> Kept:
    """A row of the table."""
    held = dict(row)
    held["groups"] = _groups.decode(held["groups"])
    return Kept(**held)


# Feedback


def say(connection: Connection, feedback: Feedback) -> None:
    """Insert feedback."""
    connection.execute(insert(FEEDBACK).values(msgspec.structs.asdict(feedback)))


def said(
    connection: Connection,
    reach: str | None,
    *,
    task: str | None = None,
    call: str | None = None,
    evaluation: str | None = None,
    kind: str | None = None,
    below: str | None = None,
    limit: int | None = None,
) -> list[Feedback]:
    """Feedback, newest first."""
    where = [FEEDBACK.c.organisation == reach] if reach is not None else []
    for column, value in (
        (FEEDBACK.c.task, task),
        (FEEDBACK.c.call, call),
        (FEEDBACK.c.evaluation, evaluation),
        (FEEDBACK.c.kind, kind),
    ):
        if value is not None:
            where.append(column == value)
    if below is not None:
        where.append(FEEDBACK.c.id < below)
    asked = select(FEEDBACK).where(*where).order_by(FEEDBACK.c.id.desc())
    return [Feedback(**row) for row in connection.execute(asked if limit is None else asked.limit(limit)).mappings()]


# Outcomes


def of_evaluations(connection: Connection, organisation: str, task: str, judge: str, since: float) -> list[Outcome]:
    """Judged answers of a task's evaluations by this judge, oldest first: of each candidate and item, and each model that answered
    under the candidate's name, the last, at the moment of the first (what is evaluated again is no fresh example)."""
    asked = (
        select(SCORES, DATASET_ITEMS.c.body)
        .join(EVALUATIONS, EVALUATIONS.c.id == SCORES.c.evaluation)
        .outerjoin(DATASET_ITEMS, (DATASET_ITEMS.c.dataset == EVALUATIONS.c.dataset) & (DATASET_ITEMS.c.position == SCORES.c.position))
        .where(
            EVALUATIONS.c.organisation == organisation,
            EVALUATIONS.c.task == task,
            SCORES.c.state == "judged",
            SCORES.c.judge.in_((judge, "human")),
            SCORES.c.at >= since,
        )
        .order_by(SCORES.c.at)
    )
    found: dict[tuple[str, ...], Outcome] = {}
    for row in connection.execute(asked).mappings():
        item = item_decoder.decode(row["body"]) if row["body"] is not None else None
        key = (row["item"], row["candidate"], row["answered_by"], row["version"])
        before = found.pop(key, None)
        found[key] = Outcome(
            item=row["item"],
            candidate=row["candidate"],
            score=row["score"],
            judge=row["judge"],
            source="evaluation",
            prompt=item.text if item is not None else "",
            reply=row["text"],
            at=before.at if before is not None else row["at"],
            cost=row["cost"],
            latency_ms=row["latency_ms"],
            input_tokens=row["input_tokens"],
            output_tokens=row["output_tokens"],
            groups=item.groups if item is not None else {},
            answered_by=row["answered_by"],
            version=row["version"],
        )
    return list(found.values())


def of_samples(connection: Connection, organisation: str, task: str, since: float) -> list[Kept]:
    """All samples of a task, oldest first."""
    where = (SAMPLES.c.organisation == organisation, SAMPLES.c.task == task, SAMPLES.c.at >= since)
    return [read(row) for row in connection.execute(select(SAMPLES).where(*where).order_by(SAMPLES.c.at)).mappings()]


def outcome_of(kept: Kept, score: float, judge: str) -> Outcome:
    """A sample with its score as an outcome."""
    return Outcome(
        item=kept.item,
        candidate=kept.candidate,
        score=score,
        judge=judge,
        source=kept.source,
        prompt=kept.prompt,
        reply=kept.answer,
        at=kept.at,
        propensity=kept.propensity,
        cost=kept.cost,
        latency_ms=kept.latency_ms,
        input_tokens=kept.input_tokens,
        output_tokens=kept.output_tokens,
        groups=kept.groups,
        answered_by=kept.answered_by,
        version=kept.version,
    )

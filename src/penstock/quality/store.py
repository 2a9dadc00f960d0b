"""The SQL of datasets and evaluations; decides nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, func, insert, literal, or_, select, update

from penstock.quality.examples import Item, item_decoder
from penstock.quality.model import Answer, Dataset, Evaluation, Score, Status, Terms, TwinScore
from penstock.quality.tables import ANSWERS, DATASET_ITEMS, DATASETS, EVALUATIONS, SCORES, TWINS
from penstock.storage.schema import encode_json

PIECE = 200
"""Rows in one statement."""
_terms = msgspec.json.Decoder(Terms)

# Datasets


def add_dataset(connection: Connection, dataset: Dataset, items: Sequence[tuple[str, str]]) -> Dataset:
    """Insert a dataset as the next version of its name; the version that has these items already, where there is one."""
    mine = (DATASETS.c.organisation == dataset.organisation, DATASETS.c.name == dataset.name)
    same = connection.execute(select(DATASETS).where(*mine, DATASETS.c.digest == dataset.digest)).mappings().first()
    if same is not None:
        return _dataset(same)
    last = connection.execute(select(func.max(DATASETS.c.version)).where(*mine)).scalar() or 0
    made = msgspec.structs.replace(dataset, version=last + 1)
    values = msgspec.structs.asdict(made)
    values["provenance"] = encode_json(made.provenance)
    connection.execute(insert(DATASETS).values(values))
    for start in range(0, len(items), PIECE):
        rows = [
            {"dataset": made.id, "position": start + at, "item": item, "body": body}
            for at, (item, body) in enumerate(items[start : start + PIECE])
        ]
        connection.execute(insert(DATASET_ITEMS).values(rows))
    return made


def dataset(connection: Connection, reach: str | None, id: str) -> Dataset | None:
    """One dataset, of one organisation where given."""
    where = [DATASETS.c.id == id, *([DATASETS.c.organisation == reach] if reach is not None else [])]
    row = connection.execute(select(DATASETS).where(*where)).mappings().first()
    return None if row is None else _dataset(row)


def latest(connection: Connection, organisation: str, name: str) -> Dataset | None:
    """The last version of a name."""
    where = (DATASETS.c.organisation == organisation, DATASETS.c.name == name)
    row = connection.execute(select(DATASETS).where(*where).order_by(DATASETS.c.version.desc()).limit(1)).mappings().first()
    return None if row is None else _dataset(row)


def datasets(connection: Connection, reach: str | None, *, below: str | None, limit: int) -> list[Dataset]:
    """Datasets, newest first."""
    where = [DATASETS.c.organisation == reach] if reach is not None else []
    if below is not None:
        moment = select(DATASETS.c.created_at).where(DATASETS.c.id == below).scalar_subquery()
        where.append(or_(DATASETS.c.created_at < moment, and_(DATASETS.c.created_at == moment, DATASETS.c.id < below)))
    rows = connection.execute(select(DATASETS).where(*where).order_by(DATASETS.c.created_at.desc(), DATASETS.c.id.desc()).limit(limit))
    return [_dataset(row) for row in rows.mappings()]


def items(connection: Connection, dataset: str, *, after: int = -1, limit: int | None = None) -> list[tuple[int, Item]]:
    """Items behind position ``after``."""
    asked = (
        select(DATASET_ITEMS.c.position, DATASET_ITEMS.c.body)
        .where(DATASET_ITEMS.c.dataset == dataset, DATASET_ITEMS.c.position > after)
        .order_by(DATASET_ITEMS.c.position)
    )
    return [(row.position, item_decoder.decode(row.body)) for row in connection.execute(asked if limit is None else asked.limit(limit))]


def remove_dataset(connection: Connection, id: str) -> bool:
    """Delete a dataset that no live evaluation uses; whether it is gone."""
    used = select(EVALUATIONS.c.id).where(EVALUATIONS.c.dataset == id, EVALUATIONS.c.ended_at.is_(None)).limit(1)
    if connection.execute(used).first() is not None:
        return False
    connection.execute(delete(DATASET_ITEMS).where(DATASET_ITEMS.c.dataset == id))
    connection.execute(delete(DATASETS).where(DATASETS.c.id == id))
    return True


def _dataset(row: RowMapping) -> Dataset:
    return Dataset(**{**row, "provenance": msgspec.json.decode(row["provenance"])})


# Evaluations


def add(connection: Connection, evaluation: Evaluation) -> None:
    """Insert a new evaluation."""
    connection.execute(insert(EVALUATIONS).values(_plain(msgspec.structs.asdict(evaluation))))


def change(connection: Connection, id: str, values: Mapping[str, Any], *, among: Collection[Status] | None = None) -> Evaluation | None:
    """Set columns of an evaluation, whose status is ``among`` these where given; how it stands then, None where there is no such."""
    where = [EVALUATIONS.c.id == id]
    if among is not None:
        where.append(EVALUATIONS.c.status.in_([s.value for s in among]))
    row = connection.execute(update(EVALUATIONS).where(*where).values(_plain(values)).returning(EVALUATIONS)).mappings().first()
    return None if row is None else _evaluation(row)


def get(connection: Connection, reach: str | None, id: str) -> Evaluation | None:
    """One evaluation, of one organisation where given."""
    where = [EVALUATIONS.c.id == id, *([EVALUATIONS.c.organisation == reach] if reach is not None else [])]
    row = connection.execute(select(EVALUATIONS).where(*where)).mappings().first()
    return None if row is None else _evaluation(row)


def listed(
    connection: Connection,
    reach: str | None,
    *,
    task: str | None = None,
    below: str | None = None,
    among: Collection[Status] | None = None,
    limit: int = 50,
) -> list[Evaluation]:
    """Evaluations, newest first."""
    at, key = EVALUATIONS.c.created_at, EVALUATIONS.c.id
    where = [*([EVALUATIONS.c.organisation == reach] if reach is not None else []), *([EVALUATIONS.c.task == task] if task else [])]
    if among is not None:
        where.append(EVALUATIONS.c.status.in_([s.value for s in among]))
    if below is not None:
        moment = select(at).where(key == below).scalar_subquery()
        where.append(or_(at < moment, and_(at == moment, key < below)))
    rows = connection.execute(select(EVALUATIONS).where(*where).order_by(at.desc(), key.desc()).limit(limit)).mappings()
    return [_evaluation(row) for row in rows]


def remove(connection: Connection, id: str) -> None:
    """Delete an evaluation with its answers."""
    connection.execute(delete(SCORES).where(SCORES.c.evaluation == id))
    connection.execute(delete(TWINS).where(TWINS.c.evaluation == id))
    connection.execute(delete(EVALUATIONS).where(EVALUATIONS.c.id == id))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(values)
    if isinstance(made.get("status"), Status):
        made["status"] = made["status"].value
    if isinstance(made.get("terms"), Terms):
        made["terms"] = encode_json(made["terms"])
    if isinstance(made.get("results"), msgspec.Raw):
        made["results"] = bytes(made["results"]).decode()
    return made


def _evaluation(row: RowMapping) -> Evaluation:
    held = dict(row)
    held["status"] = Status(held["status"])
    held["terms"] = _terms.decode(held["terms"])
    held["results"] = None if held["results"] is None else msgspec.Raw(held["results"].encode())
    return Evaluation(**held)


# Answers and scores


def answer(connection: Connection, id: str, since: float) -> Answer | None:
    """An answer that was kept, not older than ``since``."""
    row = connection.execute(select(ANSWERS).where(ANSWERS.c.id == id, ANSWERS.c.created_at >= since)).mappings().first()
    return None if row is None else Answer(**row)


def keep(connection: Connection, answers: Sequence[Answer], scores: Sequence[Score]) -> None:
    """Write answers and scores, in place of what was there before."""
    if answers:
        connection.execute(delete(ANSWERS).where(ANSWERS.c.id.in_([one.id for one in answers])))
        connection.execute(insert(ANSWERS).values([msgspec.structs.asdict(one) for one in {each.id: each for each in answers}.values()]))
    for one in scores:
        mine = (SCORES.c.evaluation == one.evaluation, SCORES.c.position == one.position, SCORES.c.candidate == one.candidate)
        connection.execute(delete(SCORES).where(*mine))
        connection.execute(insert(SCORES).values({**msgspec.structs.asdict(one), "detail": encode_json(one.detail)}))


def forget_answers(connection: Connection, before: float, limit: int = 500) -> int:
    """Delete some of the answers that are older; how many."""
    old = select(ANSWERS.c.id).where(ANSWERS.c.created_at < before).limit(limit)
    return connection.execute(delete(ANSWERS).where(ANSWERS.c.id.in_(old))).rowcount


def scores(
    connection: Connection,
    evaluation: str,
    *,
    after: int = -1,
    limit: int | None = None,
    candidate: str | None = None,
    state: str | None = None,
    item: str | None = None,
) -> list[Score]:
    """Scores by the position of their item, then candidate: of at most ``limit`` items behind position ``after``."""
    where = [SCORES.c.evaluation == evaluation, SCORES.c.position > after]
    for column, value in ((SCORES.c.candidate, candidate), (SCORES.c.state, state), (SCORES.c.item, item)):
        if value is not None:
            where.append(column == value)
    if limit is not None:
        places = select(SCORES.c.position).where(*where).distinct().order_by(SCORES.c.position).limit(limit)
        where.append(SCORES.c.position.in_(places))
    rows = connection.execute(select(SCORES).where(*where).order_by(SCORES.c.position, SCORES.c.candidate)).mappings()
    return [Score(**{**row, "detail": msgspec.json.decode(row["detail"])}) for row in rows]


def untold(connection: Connection, evaluation: str, *, less: int) -> None:
    """The results of an evaluation are no longer those of its scores; ``less`` of its answers wait no more."""
    values = {"results": None, "waiting": EVALUATIONS.c.waiting - less}
    connection.execute(update(EVALUATIONS).where(EVALUATIONS.c.id == evaluation).values(values))


def stale(connection: Connection, reach: str | None, limit: int = 50) -> list[str]:
    """Evaluations that have ended and whose results are to be made anew."""
    where: list[ColumnElement[bool]] = [
        EVALUATIONS.c.results.is_(None),
        EVALUATIONS.c.status.in_([Status.DONE.value, Status.STOPPED.value]),
    ]
    if reach is not None:
        where.append(EVALUATIONS.c.organisation == reach)
    return list(connection.execute(select(EVALUATIONS.c.id).where(*where).limit(limit)).scalars())


def keep_twins(connection: Connection, twins: Sequence[TwinScore]) -> None:
    """Write scores of twins, in place of what was there before."""
    for one in twins:
        columns = (TWINS.c.evaluation, TWINS.c.position, TWINS.c.candidate, TWINS.c.attribute)
        mine = zip(columns, (one.evaluation, one.position, one.candidate, one.attribute), strict=True)
        connection.execute(delete(TWINS).where(*(column == value for column, value in mine)))
        connection.execute(insert(TWINS).values(msgspec.structs.asdict(one)))


def twins(connection: Connection, evaluation: str) -> list[TwinScore]:
    """Scores of twins, by the position of their item."""
    rows = connection.execute(
        select(TWINS).where(TWINS.c.evaluation == evaluation).order_by(TWINS.c.position, TWINS.c.candidate)
    ).mappings()
    return [TwinScore(**row) for row in rows]


def standing(connection: Connection, evaluation: str) -> tuple[set[tuple[int, str, str]], dict[str, int]]:
    """Which answers of an evaluation there are, by position, candidate, and attribute where it is a twin's; and its sums."""
    sums = {"done": 0, "failed": 0, "unjudged": 0, "waiting": 0, "cached": 0, "cost": 0, "judging_cost": 0}
    found: set[tuple[int, str, str]] = set()
    for table in (SCORES, TWINS):
        held = table.c
        which = held.attribute if table is TWINS else literal("").label("attribute")
        asked = select(held.position, held.candidate, which, held.state, held.cached, held.paid, held.judging_cost)
        for row in connection.execute(asked.where(held.evaluation == evaluation)):
            found.add((row.position, row.candidate, row.attribute))
            sums["done"] += 1
            sums["cached"] += row.cached
            sums["cost"] += row.paid
            sums["judging_cost"] += row.judging_cost
            if row.state != "judged":
                sums[row.state] += 1
    return found, sums

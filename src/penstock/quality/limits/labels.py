"""What people said of a task's own replies, as labels to calibrate by; SQL, and what counts as one label."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from msgspec import Struct
from sqlalchemy import Connection, select

from penstock.quality import samples
from penstock.quality.examples import Item, item_decoder
from penstock.quality.graders.groundedness import context_of
from penstock.quality.samples import Feedback
from penstock.quality.sampling import item_of
from penstock.quality.tables import DATASET_ITEMS, EVALUATIONS, SCORES

Answer = tuple[str, str, str]
"""A call, or an answer of an evaluation by its evaluation, item and candidate; what is not needed is empty."""
PIECE = 500
"""Rows that are asked for by name at once."""


class Labelled(Struct, frozen=True, kw_only=True):
    """A reply that people judged. ``answer`` names it: a call's id, or ``evaluation/item/candidate``."""

    answer: str
    context: tuple[str, ...]
    reply: str
    ungrounded: bool


def labelled(connection: Connection, organisation: str, task: str, most: int) -> tuple[list[Labelled], Counter[str]]:
    """The task's labelled replies, those labelled last first, at most ``most``; and how many labels were left out, by the reason.

    A reply is one label however many people judged it: the mean of what each said last; above one half it is grounded, below it is not,
    and at one half it is ``undecided``. ``not_kept``: the call was never drawn as a sample, or its sample or evaluation was deleted.
    ``no_context``: there is nothing to hold the reply against.
    """
    told = samples.said(connection, organisation, task=task, kind="label")
    verdicts = _verdicts(told)
    found = {**_of_samples(connection, organisation, verdicts), **_of_evaluations(connection, organisation, verdicts)}
    kept: list[Labelled] = []
    left: Counter[str] = Counter()
    for answer, score in verdicts.items():
        if answer not in found:
            left["not_kept"] += 1
        elif score == 0.5:
            left["undecided"] += 1
        else:
            item, reply = found[answer]
            context, _ = context_of(item)
            if not context or not reply.strip():
                left["no_context"] += 1
            elif len(kept) >= most:
                left["beyond_the_limit"] += 1
            else:
                name = "/".join(part for part in answer if part)
                kept.append(Labelled(answer=name, context=context, reply=reply, ungrounded=score < 0.5))
    return kept, left


def _verdicts(told: Sequence[Feedback]) -> dict[Answer, float]:
    """By reply, those labelled last first: the mean of what each person said last of it."""
    said: dict[Answer, dict[str, float]] = defaultdict(dict)
    for one in told:  # newest first, so the first of a person is the last word
        answer = (one.call, "", "") if one.call is not None else (one.evaluation or "", one.item or "", one.candidate or "")
        said[answer].setdefault(one.by, one.score)
    return {answer: fmean(by.values()) for answer, by in said.items()}


def _of_samples(connection: Connection, organisation: str, wanted: Mapping[Answer, float]) -> dict[Answer, tuple[Item, str]]:
    calls = [call for call, item, _ in wanted if not item]
    found: dict[Answer, tuple[Item, str]] = {}
    for start in range(0, len(calls), PIECE):
        for kept in samples.named(connection, organisation, calls[start : start + PIECE]):
            found[kept.id, "", ""] = (item_of(kept), kept.answer)
    return found


def _of_evaluations(connection: Connection, organisation: str, wanted: Mapping[Answer, float]) -> dict[Answer, tuple[Item, str]]:
    names = list({evaluation for evaluation, item, _ in wanted if item})
    found: dict[Answer, tuple[Item, str]] = {}
    for start in range(0, len(names), PIECE):
        asked = (
            select(SCORES.c.evaluation, SCORES.c.item, SCORES.c.candidate, SCORES.c.text, DATASET_ITEMS.c.body)
            .join(EVALUATIONS, EVALUATIONS.c.id == SCORES.c.evaluation)
            .join(DATASET_ITEMS, (DATASET_ITEMS.c.dataset == EVALUATIONS.c.dataset) & (DATASET_ITEMS.c.position == SCORES.c.position))
            .where(EVALUATIONS.c.organisation == organisation, SCORES.c.evaluation.in_(names[start : start + PIECE]))
        )
        for row in connection.execute(asked):
            answer = (row[0], row[1], row[2])
            if answer in wanted:
                found[answer] = (item_decoder.decode(row[4]), row[3])
    return found


__all__ = ["Labelled", "labelled"]

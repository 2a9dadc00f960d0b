"""Judges, measured: models that judge count as evidence once they are shown to agree with people, and not before."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, cast

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select

from penstock.kernel.errors import NotFound, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.tasks import Judge
from penstock.quality import agreement, samples, store
from penstock.quality.agreement import Agreement, SelfPreference, Swaps
from penstock.quality.evidence import BY_MODEL, name_of
from penstock.quality.model import Evaluation, Score
from penstock.quality.samples import Feedback
from penstock.quality.tables import JUDGE_CHECKS
from penstock.storage.records import Records
from penstock.storage.schema import encode_json

Place = tuple[str, str, str]
"""An answer: evaluation, item, candidate."""


class Findings(Struct, frozen=True, kw_only=True):
    """What is known of a judge. ``faults`` say in words why it is not trusted; costs are micro-dollars."""

    judged: int
    unjudged: int
    cost: int
    cost_each: float
    labels: int
    contradicting: int
    agreement: Agreement | None
    swaps: Swaps | None
    self_preference: SelfPreference | None
    faults: list[str]


class JudgeCheck(Struct, frozen=True, kw_only=True):
    """A judge as it was last measured. ``digest`` names the whole judge: another rubric is another judge."""

    id: str
    organisation: str
    judge: str
    digest: str
    task: str | None
    evaluation: str | None
    trusted: bool
    findings: Findings
    created_at: float


_findings = msgspec.json.Decoder(Findings)


def digest_of(judge: Judge) -> str:
    """SHA-256 of a judge."""
    return hashlib.sha256(msgspec.json.encode(judge, order="deterministic")).hexdigest()


class Judges:
    """Measures judges by what they said in evaluations, and knows which are trusted."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._trusted: dict[tuple[str, str], bool] = {}

    def trusted(self, organisation: str, judge: Judge) -> bool:
        """Whether a judge's scores count as evidence; from memory. Programs need no measuring, models do."""
        return judge.kind not in BY_MODEL or self._trusted.get((organisation, digest_of(judge)), False)

    async def refresh(self) -> None:
        """Take in what this or another process has measured."""
        rows = await self._records.read(lambda c: c.execute(select(JUDGE_CHECKS)).mappings().all())
        self._trusted = {(row["organisation"], row["digest"]): row["trusted"] for row in rows}

    async def list(self, reach: str | None) -> list[JudgeCheck]:
        """All judges that were measured, the latest first."""
        where = [JUDGE_CHECKS.c.organisation == reach] if reach is not None else []
        asked = select(JUDGE_CHECKS).where(*where).order_by(JUDGE_CHECKS.c.created_at.desc())
        rows = await self._records.read(lambda c: c.execute(asked).mappings().all())
        return [_check(dict(row)) for row in rows]

    async def check(self, reach: str | None, evaluation: str) -> JudgeCheck:
        """Measure the judge of an evaluation by all that it said in the organisation's evaluations, and keep what was found.

        `RequestError` for a judge that is no model.
        """
        found = await self._records.read(lambda c: store.get(c, reach, evaluation))
        if found is None:
            raise NotFound(f"there is no evaluation {evaluation[:100]!r}", param="evaluation")
        if found.terms.judge.kind not in BY_MODEL:
            raise RequestError(f"a judge of kind {found.terms.judge.kind!r} is no model, and needs no measuring", param="evaluation")
        return await self.measure(found)

    async def measure(self, evaluation: Evaluation) -> JudgeCheck:
        """See `check`."""
        judge, organisation = evaluation.terms.judge, evaluation.organisation
        mine, others, labels = await self._records.read(lambda c: _gather(c, organisation, judge, evaluation.dataset))
        told = findings(judge, mine, others, labels)
        made = JudgeCheck(
            id=new_id("jc"),
            organisation=organisation,
            judge=name_of(judge),
            digest=digest_of(judge),
            task=evaluation.task,
            evaluation=evaluation.id,
            trusted=not told.faults,
            findings=told,
            created_at=time.time(),
        )

        def write(connection: Connection) -> None:
            same = (JUDGE_CHECKS.c.organisation == organisation, JUDGE_CHECKS.c.digest == made.digest)
            connection.execute(delete(JUDGE_CHECKS).where(*same))
            connection.execute(insert(JUDGE_CHECKS).values({**msgspec.structs.asdict(made), "findings": encode_json(told)}))

        await self._records.write(write)
        self._trusted[organisation, made.digest] = made.trusted
        return made


def _check(row: dict[str, Any]) -> JudgeCheck:
    row["findings"] = _findings.decode(row["findings"])
    return JudgeCheck(**row)


def _gather(connection: Connection, organisation: str, judge: Judge, dataset: str) -> tuple[list[Score], list[Score], list[Feedback]]:
    """What the judge said, what other models said as judges of the same dataset, and what people said of the judge's answers."""
    mine: list[Score] = []
    others: list[Score] = []
    labels: list[Feedback] = []
    for one in store.listed(connection, organisation, limit=1000):
        if digest_of(one.terms.judge) == digest_of(judge):
            mine += store.scores(connection, one.id)
            labels += samples.said(connection, organisation, evaluation=one.id, kind="label")
        elif one.dataset == dataset and one.terms.judge.kind == judge.kind and one.terms.judge.model != judge.model:
            others += store.scores(connection, one.id)
    return mine, others, labels


def findings(judge: Judge, mine: Sequence[Score], others: Sequence[Score], labels: Sequence[Feedback]) -> Findings:
    """What these say of the judge; ``labels`` newest first."""
    three = judge.kind == "pairwise"
    judged = {(one.evaluation, one.item, one.candidate): one for one in mine if one.score is not None}
    people, contradicting = _people(labels, three)
    both = [(place, one, people[place]) for place, one in judged.items() if place in people]
    pairs = [(agreement.group(cast("float", one.score), three=three), agreement.group(said, three=three)) for _, one, said in both]
    verdicts = [(float(one.detail["first"]), float(one.detail["second"])) for one in mine if "first" in one.detail]
    measured, swapped = agreement.agreement(pairs), agreement.swaps(verdicts)
    preference = _preference(judge, judged, people, others)
    unjudged = sum(one.state == "unjudged" for one in mine)
    cost = sum(one.judging_cost for one in mine)
    answered = [one for one in judged.values() if not one.detail.get("same")]
    return Findings(
        judged=len(judged),
        unjudged=unjudged,
        cost=cost,
        cost_each=cost / len(judged) if judged else 0.0,
        labels=len(both),
        contradicting=contradicting,
        agreement=measured,
        swaps=swapped,
        self_preference=preference,
        faults=agreement.faults(
            judged=len(judged),
            unjudged=unjudged,
            classes=[agreement.group(cast("float", one.score), three=three) for one in answered],
            measured=measured,
            swapped=swapped,
            preference=preference,
            contradicting=contradicting,
        ),
    )


def _people(labels: Sequence[Feedback], three: bool) -> tuple[dict[Place, float], int]:
    """What people say of each answer, and on how many they contradict each other; those are left out. A person's last word counts."""
    said: dict[Place, dict[str, float]] = defaultdict(dict)
    for one in labels:
        if one.evaluation is not None and one.item is not None and one.candidate is not None:
            said[one.evaluation, one.item, one.candidate].setdefault(one.by, one.score)
    agreed: dict[Place, float] = {}
    for place, by in said.items():
        if len({agreement.group(score, three=three) for score in by.values()}) == 1:
            agreed[place] = fmean(by.values())
    return agreed, len(said) - len(agreed)


def _preference(
    judge: Judge, judged: Mapping[Place, Score], people: Mapping[Place, float], others: Sequence[Score]
) -> SelfPreference | None:
    """Against people where they labelled its own model's answers, else against what other judges said of the same answers."""
    by_people = [(one.candidate, cast("float", one.score) - people[place]) for place, one in judged.items() if place in people]
    heard: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for one in others:
        if one.score is not None:
            heard[one.item, one.candidate, one.text].append(one.score)
    by_others = [
        (one.candidate, cast("float", one.score) - fmean(found))
        for one in judged.values()
        if (found := heard.get((one.item, one.candidate, one.text)))
    ]
    for against, deltas in (("people", by_people), ("other judges", by_others)):
        own = [delta for candidate, delta in deltas if candidate == judge.model]
        told = agreement.self_preference(own, [delta for candidate, delta in deltas if candidate != judge.model], against)
        if told is not None:
            return told
    return None


__all__ = ["Findings", "JudgeCheck", "Judges", "digest_of", "findings"]

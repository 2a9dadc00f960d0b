"""What people say of answers, and what the business says came of them; tied to a call, or to an answer of an evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from penstock.kernel.errors import NotFound, RequestError
from penstock.kernel.events import Events
from penstock.kernel.evidence import CallRecords, Judged
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import Tasks
from penstock.quality import samples, store
from penstock.quality.evidence import BY_MODEL
from penstock.quality.model import Evaluation, Score
from penstock.quality.samples import Feedback, Kept, outcome_of
from penstock.storage.records import Records

LABEL, OUTCOME = "label", "outcome"


class NewFeedback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Feedback on a ``call``, or on what ``candidate`` answered to ``item`` in ``evaluation``. ``score`` lies between 0 and 1.

    A ``label`` is a person's judgement of the answer; an ``outcome`` is what came of it (``name``: ``ticket_reopened``, ``sale``). ``by``
    says who; the key's name without it.
    """

    score: Annotated[float, Meta(ge=0, le=1)]
    kind: Literal["label", "outcome"] = LABEL
    name: Annotated[str, Meta(max_length=100)] = ""
    call: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    evaluation: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    item: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    candidate: Annotated[str, Meta(min_length=1, max_length=300)] | None = None
    by: Annotated[str, Meta(max_length=200)] = ""
    comment: Annotated[str, Meta(max_length=10_000)] = ""


class Told:
    """Takes feedback in."""

    def __init__(
        self,
        records: Records,
        events: Events,
        tasks: Callable[[], Tasks | None],
        calls: Callable[[], CallRecords | None],
    ) -> None:
        self._records = records
        self._events = events
        self._tasks = tasks
        self._calls = calls
        self.counts = {LABEL: 0, OUTCOME: 0}

    async def say(self, principal: Principal, new: NewFeedback) -> Feedback:
        """Keep it, and let it count: for a sampled call at once, for an evaluation when its results are next looked at.

        `NotFound` for a call or an answer that the caller cannot see.
        """
        if (new.call is None) == (new.evaluation is None):
            raise RequestError("give either call, or evaluation with item and candidate", param="call")
        if new.kind == OUTCOME and not new.name:
            raise RequestError("name: an outcome has one", param="name")
        calls = self._calls()
        comment = calls.clean(new.comment) if calls is not None else new.comment
        made = Feedback(
            id=new_id("fb"),
            organisation=principal.organisation,
            task=None,
            kind=new.kind,
            name=new.name,
            score=new.score,
            call=new.call,
            evaluation=new.evaluation,
            item=new.item,
            candidate=new.candidate,
            by=new.by or principal.name,
            comment=comment,
            created_at=time.time(),
        )
        made = await (self._of_call(principal, made) if new.call is not None else self._of_answer(principal, made))
        self.counts[made.kind] += 1
        return made

    async def list(
        self, reach: str | None, *, task: str | None, call: str | None, evaluation: str | None, below: str | None, limit: int
    ) -> list[Feedback]:
        """Feedback, newest first."""
        return await self._records.read(
            lambda c: samples.said(c, reach, task=task, call=call, evaluation=evaluation, below=below, limit=limit)
        )

    async def _of_call(self, principal: Principal, new: Feedback) -> Feedback:
        assert new.call is not None
        call = new.call
        kept = await self._records.read(lambda c: samples.one(c, call))
        if kept is not None and principal.reach in (None, kept.organisation):
            new = msgspec.structs.replace(new, organisation=kept.organisation, task=kept.task, candidate=kept.candidate)
        else:
            calls = self._calls()
            found = await calls.find(principal.reach, call) if calls is not None else None
            if found is None:
                raise NotFound(f"there is no call {call[:100]!r} on the record", param="call")
            new = msgspec.structs.replace(new, organisation=found.organisation, task=found.task, candidate=found.candidate)
            kept = None
        heard = self._counts(kept, new)

        def write(connection: samples.Connection) -> None:
            samples.say(connection, new)
            if heard and kept is not None:
                judge = "human" if new.kind == LABEL else OUTCOME
                samples.overrule(connection, kept.id, new.score, judge, f"{new.by}: {new.comment}".rstrip(": "), new.created_at)

        await self._records.write(write)
        if heard and kept is not None:
            outcome = outcome_of(kept, new.score, "human" if new.kind == LABEL else OUTCOME)
            self._events.publish(Judged(organisation=kept.organisation, task=kept.task, outcome=outcome))
        return new

    def _counts(self, kept: Kept | None, new: Feedback) -> bool:
        """Whether it is the score of a sample: a person's always, an outcome where the task is judged by the one of this name.

        A call that was not drawn is no evidence: who complains does not do so by chance.
        """
        if kept is None:
            return False
        tasks = self._tasks()
        task = tasks.find(kept.organisation, kept.task) if tasks is not None else None
        judge = task.judge if task is not None else None
        by_outcome = judge is not None and judge.kind == OUTCOME
        if new.kind == OUTCOME:
            return by_outcome and judge is not None and judge.outcome in (None, "", new.name)
        return not by_outcome

    async def _of_answer(self, principal: Principal, new: Feedback) -> Feedback:
        assert new.evaluation is not None
        id, item, candidate = new.evaluation, new.item, new.candidate
        if item is None or candidate is None:
            raise RequestError("item, candidate: both are needed with an evaluation", param="item")

        def look(connection: store.Connection) -> tuple[Evaluation | None, Score | None]:
            found = store.get(connection, principal.reach, id)
            scores = store.scores(connection, id, item=item, candidate=candidate) if found is not None else []
            return found, scores[0] if scores else None

        evaluation, score = await self._records.read(look)
        if evaluation is None or score is None:
            raise NotFound("there is no such answer in that evaluation", param="item")
        new = msgspec.structs.replace(new, organisation=evaluation.organisation, task=evaluation.task)
        judge = evaluation.terms.judge
        waits = judge.kind == ("human" if new.kind == LABEL else OUTCOME)
        mine = waits and score.state != "failed" and (new.kind == LABEL or judge.outcome in (None, "", new.name))
        reason = f"{new.by}: {new.comment}".rstrip(": ")
        answered = msgspec.structs.replace(score, state="judged", score=new.score, judge=judge.kind, reason=reason, at=new.created_at)

        # Results change with the scores, and what is known of a judge with what people say of its verdicts.
        concerns = evaluation.ended_at is not None and (mine or judge.kind in BY_MODEL)

        def write(connection: store.Connection) -> None:
            samples.say(connection, new)
            if mine:
                store.keep(connection, (), (answered,))
            if concerns or (mine and score.state == "waiting"):
                store.untold(connection, id, less=int(mine and score.state == "waiting"))

        await self._records.write(write)
        return new


__all__ = ["LABEL", "OUTCOME", "NewFeedback", "Told"]

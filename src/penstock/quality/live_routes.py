"""The JSON routes of feedback, of samples and of judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from penstock.kernel.opening import Opening
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route
from penstock.quality import samples
from penstock.quality.feedback import NewFeedback, Told
from penstock.quality.judges import JudgeCheck, Judges
from penstock.quality.opening import shown_to
from penstock.quality.runs import Runs
from penstock.quality.samples import Feedback, Kept
from penstock.quality.sampling import Sampling
from penstock.storage.records import Records

Id = Annotated[str, Meta(max_length=200)]


class FeedbackQuery(Struct, frozen=True, kw_only=True):
    """A page of what was said: of a task, a call, an evaluation, or all."""

    task: Id | None = None
    call: Id | None = None
    evaluation: Id | None = None
    before: Id | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class FeedbackList(Struct, frozen=True, kw_only=True):
    """Feedback, newest first; ``next`` goes into ``before``."""

    data: list[Feedback]
    next: str | None


class SampleQuery(Struct, frozen=True, kw_only=True):
    """A page of samples: of a task or all, of one state or any. ``waiting`` are those that people are to judge."""

    task: Id | None = None
    state: Literal["queued", "judged", "unjudged", "waiting"] | None = None
    before: Id | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class SampleList(Struct, frozen=True, kw_only=True):
    """Samples, newest first, without texts for who may see no prompts and replies; ``next`` goes into ``before``."""

    data: list[Kept]
    next: str | None


class JudgeList(Struct, frozen=True, kw_only=True):
    """Judges as they were last measured."""

    data: list[JudgeCheck]


class NewCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which judge to measure: that of this evaluation."""

    evaluation: Annotated[str, Meta(min_length=1, max_length=200)]


def routes(told: Told, judges: Judges, runs: Runs, records: Records, sampling: Callable[[], Sampling], opening: Opening) -> Sequence[Route]:
    """The routes under ``/v1/feedback``, ``/v1/samples`` and ``/v1/judges``."""

    async def say(ask: Ask) -> Feedback:
        await sampling().flush()  # so that feedback on a call that has just ended finds its sample
        return await told.say(ask.principal, ask.body(NewFeedback))

    async def listed(ask: Ask) -> FeedbackList:
        query = ask.query(FeedbackQuery)
        found = await told.list(
            ask.principal.reach,
            task=query.task,
            call=query.call,
            evaluation=query.evaluation,
            below=query.before,
            limit=query.limit + 1,
        )
        return FeedbackList(data=found[: query.limit], next=found[query.limit - 1].id if len(found) > query.limit else None)

    async def sampled(ask: Ask) -> SampleList:
        query = ask.query(SampleQuery)
        await sampling().flush()
        found = await records.read(
            lambda c: samples.listed(c, ask.principal.reach, task=query.task, state=query.state, below=query.before, limit=query.limit + 1)
        )
        data = await shown_to(opening, ask.principal, found[: query.limit])
        return SampleList(data=data, next=found[query.limit - 1].id if len(found) > query.limit else None)

    async def list_judges(ask: Ask) -> JudgeList:
        await runs.retell(ask.principal.reach)
        return JudgeList(data=await judges.list(ask.principal.reach))

    async def check(ask: Ask) -> JudgeCheck:
        return await judges.check(ask.principal.reach, ask.body(NewCheck).evaluation)

    return (
        Route(
            method="GET",
            path="/v1/judges",
            handler=list_judges,
            summary="List judges that are models, with how far they are to be trusted.",
            scope=Scope.READ,
            returns=JudgeList,
        ),
        Route(
            method="POST",
            path="/v1/judges",
            handler=check,
            summary="Measure the judge of an evaluation.",
            scope=Scope.CALL,
            body=NewCheck,
            returns=JudgeCheck,
            status=201,
        ),
        Route(
            method="POST",
            path="/v1/feedback",
            handler=say,
            summary="Say how good an answer was, or what came of it.",
            scope=Scope.CALL,
            body=NewFeedback,
            returns=Feedback,
            status=201,
        ),
        Route(
            method="GET",
            path="/v1/feedback",
            handler=listed,
            summary="List feedback.",
            scope=Scope.READ,
            query=FeedbackQuery,
            returns=FeedbackList,
        ),
        Route(
            method="GET",
            path="/v1/samples",
            handler=sampled,
            summary="List samples of live traffic.",
            scope=Scope.READ,
            query=SampleQuery,
            returns=SampleList,
        ),
    )

"""The JSON routes of datasets and evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from penstock.kernel.errors import RequestError
from penstock.kernel.journal import JOURNAL
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Nothing, Route
from penstock.quality.datasets import Datasets
from penstock.quality.evaluations import Evaluations
from penstock.quality.examples import Item
from penstock.quality.model import Dataset, Evaluation, Name, Score, Terms, Wanted
from penstock.quality.results import Results


class NewDataset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items inline, or the id of a JSONL file in ``/v1/files``; one of the two. ``provenance`` is kept and shown."""

    name: Name
    items: list[Item] | None = None
    file: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    provenance: dict[str, Any] = {}


class DatasetList(Struct, frozen=True, kw_only=True):
    """Datasets, newest first; ``next`` goes into ``before`` for the page after this one."""

    data: list[Dataset]
    next: str | None


class PlacedItem(Struct, frozen=True, kw_only=True):
    """An item and where it stands, from 0."""

    position: int
    item: Item


class ItemList(Struct, frozen=True, kw_only=True):
    """Items in their order; ``next`` goes into ``after``."""

    data: list[PlacedItem]
    next: int | None


class Page(Struct, frozen=True, kw_only=True):
    """A page: how many, and before which id."""

    before: Annotated[str, Meta(max_length=200)] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class EvaluationQuery(Page, frozen=True, kw_only=True):
    """A page of a task's evaluations, or of all."""

    task: Annotated[str, Meta(max_length=200)] | None = None


class Places(Struct, frozen=True, kw_only=True):
    """A page by position."""

    after: Annotated[int, Meta(ge=-1)] = -1
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class AnswerQuery(Places, frozen=True, kw_only=True):
    """Answers of one candidate, or of all side by side; of one state, or any."""

    candidate: Annotated[str, Meta(max_length=300)] | None = None
    state: Literal["judged", "unjudged", "waiting", "failed"] | None = None


class EvaluationObject(Struct, frozen=True, kw_only=True):
    """An evaluation. Times are Unix seconds, money micro-dollars. ``results`` are those of what has been answered, null before any."""

    id: str
    organisation: str
    name: str
    task: str | None
    dataset: str
    status: str
    why: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    total: int
    done: int
    failed: int
    unjudged: int
    waiting: int
    cached: int
    cost: int
    judging_cost: int
    answers_per_second: float
    terms: Terms
    results: Results | None = None


class EvaluationList(Struct, frozen=True, kw_only=True):
    """Evaluations, newest first, without their results; ``next`` goes into ``before``."""

    data: list[EvaluationObject]
    next: str | None


class AnswerList(Struct, frozen=True, kw_only=True):
    """Answers by the position of their item; ``next`` goes into ``after``."""

    data: list[Score]
    next: int | None


_results = msgspec.json.Decoder(Results)


def rendered(one: Evaluation, *, whole: bool = True) -> EvaluationObject:
    """An evaluation as the API shows it."""
    return EvaluationObject(
        id=one.id,
        organisation=one.organisation,
        name=one.name,
        task=one.task,
        dataset=one.dataset,
        status=one.status.value,
        why=one.why,
        created_at=one.created_at,
        started_at=one.started_at,
        ended_at=one.ended_at,
        total=one.total,
        done=one.done,
        failed=one.failed,
        unjudged=one.unjudged,
        waiting=one.waiting,
        cached=one.cached,
        cost=one.cost,
        judging_cost=one.judging_cost,
        answers_per_second=round(one.rate, 3),
        terms=one.terms,
        results=results_of(one) if whole else None,
    )


def results_of(one: Evaluation) -> Results | None:
    """Its results, None while there are none."""
    return None if one.results is None else _results.decode(one.results)


def routes(datasets: Datasets, evaluations: Evaluations) -> Sequence[Route]:
    """The routes under ``/v1/datasets`` and ``/v1/evaluations``."""

    async def new_dataset(ask: Ask) -> Dataset:
        body = ask.body(NewDataset)
        if (body.items is None) == (body.file is None):
            raise RequestError("give either items or file", param="items")
        if body.file is not None:
            return await datasets.create_of_file(ask.principal, body.name, body.file, body.provenance)
        return await datasets.create(ask.principal, body.name, body.items or [], body.provenance)

    async def list_datasets(ask: Ask) -> DatasetList:
        query = ask.query(Page)
        found = await datasets.list(ask.principal.reach, below=query.before, limit=query.limit + 1)
        return DatasetList(data=found[: query.limit], next=found[query.limit - 1].id if len(found) > query.limit else None)

    async def get_dataset(ask: Ask) -> Dataset:
        return await datasets.get(ask.principal.reach, ask.path["id"])

    async def list_items(ask: Ask) -> ItemList:
        query = ask.query(Places)
        found = await datasets.items(ask.principal.reach, ask.path["id"], after=query.after, limit=query.limit + 1)
        data = [PlacedItem(position=position, item=item) for position, item in found[: query.limit]]
        return ItemList(data=data, next=data[-1].position if len(found) > query.limit else None)

    async def delete_dataset(ask: Ask) -> Nothing:
        await datasets.delete(ask.principal.reach, ask.path["id"])
        return Nothing()

    async def new_evaluation(ask: Ask) -> EvaluationObject:
        return rendered(await evaluations.create(ask.principal, ask.body(Wanted)))

    async def list_evaluations(ask: Ask) -> EvaluationList:
        query = ask.query(EvaluationQuery)
        found = await evaluations.list(ask.principal.reach, task=query.task, below=query.before, limit=query.limit + 1)
        data = [rendered(one, whole=False) for one in found[: query.limit]]
        return EvaluationList(data=data, next=data[-1].id if len(found) > query.limit else None)

    async def get_evaluation(ask: Ask) -> EvaluationObject:
        return rendered(await evaluations.get(ask.principal.reach, ask.path["id"]))

    async def list_answers(ask: Ask) -> AnswerList:
        query = ask.query(AnswerQuery)
        found = await evaluations.answers(
            ask.principal.reach, ask.path["id"], after=query.after, limit=query.limit + 1, candidate=query.candidate, state=query.state
        )
        places = list(dict.fromkeys(one.position for one in found))
        if len(places) <= query.limit:
            return AnswerList(data=list(found), next=None)
        return AnswerList(data=[one for one in found if one.position != places[-1]], next=places[-2])

    async def cancel(ask: Ask) -> EvaluationObject:
        return rendered(await evaluations.cancel(ask.principal.reach, ask.path["id"]))

    async def delete(ask: Ask) -> Nothing:
        await evaluations.delete(ask.principal.reach, ask.path["id"])
        return Nothing()

    call, read, admin = Scope.CALL, Scope.READ, Scope.ADMIN
    sets, one_set = "/v1/datasets", "/v1/datasets/{id}"
    path, one = "/v1/evaluations", "/v1/evaluations/{id}"
    return (
        Route(
            method="POST",
            path=sets,
            handler=new_dataset,
            summary="Make a dataset, or the next version of one.",
            scope=call,
            body=NewDataset,
            returns=Dataset,
            status=201,
        ),
        Route(method="GET", path=sets, handler=list_datasets, summary="List datasets.", scope=read, query=Page, returns=DatasetList),
        Route(method="GET", path=one_set, handler=get_dataset, summary="Show a dataset.", scope=read, returns=Dataset),
        Route(
            method="GET",
            path=f"{one_set}/items",
            handler=list_items,
            summary="The items of a dataset.",
            scope=read,
            query=Places,
            returns=ItemList,
        ),
        Route(method="DELETE", path=one_set, handler=delete_dataset, summary="Delete a dataset.", scope=admin, returns=Nothing, status=204),
        Route(
            method="POST",
            path=path,
            handler=new_evaluation,
            summary="Evaluate candidates on a dataset.",
            scope=call,
            body=Wanted,
            returns=EvaluationObject,
            status=201,
            holding=JOURNAL,
        ),
        Route(
            method="GET",
            path=path,
            handler=list_evaluations,
            summary="List evaluations.",
            scope=read,
            query=EvaluationQuery,
            returns=EvaluationList,
        ),
        Route(
            method="GET",
            path=one,
            handler=get_evaluation,
            summary="Show an evaluation with its results.",
            scope=read,
            returns=EvaluationObject,
            holding=JOURNAL,
        ),
        Route(
            method="GET",
            path=f"{one}/answers",
            handler=list_answers,
            summary="The answers of an evaluation, with their grades.",
            scope=read,
            query=AnswerQuery,
            returns=AnswerList,
            holding=JOURNAL,
        ),
        Route(
            method="POST",
            path=f"{one}/cancel",
            handler=cancel,
            summary="Stop an evaluation.",
            scope=call,
            returns=EvaluationObject,
            holding=JOURNAL,
        ),
        Route(
            method="DELETE",
            path=one,
            handler=delete,
            summary="Delete an evaluation that has ended.",
            scope=admin,
            returns=Nothing,
            status=204,
            holding=JOURNAL,
        ),
    )

"""Batches in OpenAI's shape, under ``/v1/batches``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from penstock.batches.model import Batch, LineError, Status
from penstock.batches.service import Batching
from penstock.kernel.journal import JOURNAL
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route

Text = Annotated[str, Meta(max_length=512)]


class OutputExpiresAfter(Struct, frozen=True, kw_only=True):
    """When the output files expire: so many seconds after they are made."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3600, le=2_592_000)]


class NewBatch(Struct, frozen=True, kw_only=True):
    """What a batch is made of. ``completion_window`` has one value; how long it really is, the setting batches.window_hours says."""

    input_file_id: Annotated[str, Meta(min_length=1, max_length=200)]
    endpoint: Annotated[str, Meta(min_length=1, max_length=200)]
    completion_window: Literal["24h"] = "24h"
    metadata: Annotated[dict[Annotated[str, Meta(max_length=64)], Text], Meta(max_length=16)] | None = None
    output_expires_after: OutputExpiresAfter | None = None


class RequestCounts(Struct, frozen=True, kw_only=True):
    """Lines in all, with a good answer, and with a failure."""

    total: int
    completed: int
    failed: int


class BatchErrors(Struct, frozen=True, kw_only=True):
    """What is wrong with the input: the first hundred."""

    data: list[LineError]
    object: str = "list"


class BatchUsage(Struct, frozen=True, kw_only=True):
    """What Penstock says beside OpenAI's fields: micro-dollars of the results, and what those would have cost in real
    time, lines a second of late, seconds left, failures by code."""

    cost_micros: int
    realtime_cost_micros: int
    lines_per_second: float
    seconds_left: float | None
    codes: dict[str, int]


class BatchObject(Struct, frozen=True, kw_only=True):
    """A batch as OpenAI's SDK reads it. Times are whole Unix seconds. ``organisation`` and ``penstock`` are ours."""

    id: str
    endpoint: str
    status: str
    created_at: int
    input_file_id: str
    completion_window: str = "24h"
    object: str = "batch"
    errors: BatchErrors | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    in_progress_at: int | None = None
    expires_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: RequestCounts
    metadata: dict[str, str] | None = None
    organisation: str
    penstock: BatchUsage


class BatchList(Struct, frozen=True, kw_only=True):
    """Batches, newest first; ``last_id`` goes into ``after`` for the page after this one."""

    data: list[BatchObject]
    has_more: bool
    first_id: str | None
    last_id: str | None
    object: str = "list"


class BatchQuery(Struct, frozen=True, kw_only=True):
    """A page: how many, and after which id. ``shape`` ``any`` lists those of the other shape too."""

    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    shape: Literal["openai", "any"] = field(default="openai")


def rendered(batch: Batch) -> BatchObject:
    """A batch in OpenAI's words."""
    lost = batch.cancelled + batch.expired if batch.shape == "anthropic" else 0
    return BatchObject(
        id=batch.id,
        endpoint=batch.endpoint,
        status=batch.status.value,
        created_at=int(batch.created_at),
        input_file_id=batch.input_file or "",
        errors=BatchErrors(data=batch.errors) if batch.errors else None,
        output_file_id=batch.output_file,
        error_file_id=batch.error_file,
        in_progress_at=_whole(batch.in_progress_at),
        expires_at=_whole(batch.expires_at),
        finalizing_at=_whole(batch.finalizing_at),
        completed_at=_whole(batch.completed_at),
        failed_at=_whole(batch.failed_at),
        expired_at=_whole(batch.expired_at),
        cancelling_at=_whole(batch.cancelling_at),
        cancelled_at=_whole(batch.cancelled_at),
        request_counts=RequestCounts(
            total=batch.total if batch.status is not Status.VALIDATING else 0, completed=batch.completed, failed=batch.failed + lost
        ),
        metadata=batch.metadata or None,
        organisation=batch.organisation,
        penstock=BatchUsage(
            cost_micros=batch.cost,
            realtime_cost_micros=batch.full_cost,
            lines_per_second=round(batch.rate, 3),
            seconds_left=batch.left_seconds,
            codes=batch.codes,
        ),
    )


def _whole(moment: float | None) -> int | None:
    return None if moment is None else int(moment)


def routes(batching: Batching) -> Sequence[Route]:
    """The routes under ``/v1/batches``."""

    async def create(ask: Ask) -> BatchObject:
        body = ask.body(NewBatch)
        after = body.output_expires_after
        made = await batching.create(
            ask.principal,
            input_file=body.input_file_id,
            endpoint=body.endpoint,
            metadata=body.metadata,
            output_lifetime=None if after is None else float(after.seconds),
        )
        return rendered(made)

    async def listed(ask: Ask) -> BatchList:
        query = ask.query(BatchQuery)
        shape = None if query.shape == "any" else query.shape
        found = await batching.list(ask.principal.reach, shape=shape, below=query.after, limit=query.limit + 1)
        data = [rendered(b) for b in found[: query.limit]]
        return BatchList(
            data=data, has_more=len(found) > query.limit, first_id=data[0].id if data else None, last_id=data[-1].id if data else None
        )

    async def get(ask: Ask) -> BatchObject:
        return rendered(await batching.get(ask.principal.reach, ask.path["id"]))

    async def cancel(ask: Ask) -> BatchObject:
        return rendered(await batching.cancel(ask.principal.reach, ask.path["id"]))

    async def results(ask: Ask) -> Any:
        return await streamed(batching, ask, errors=False)

    async def failures(ask: Ask) -> Any:
        return await streamed(batching, ask, errors=True)

    path, one, call = "/v1/batches", "/v1/batches/{id}", Scope.CALL
    return (
        Route(
            method="POST",
            path=path,
            handler=create,
            summary="Make a batch of a file.",
            scope=call,
            body=NewBatch,
            returns=BatchObject,
            holding=JOURNAL,
        ),
        Route(method="GET", path=path, handler=listed, summary="List batches.", scope=call, query=BatchQuery, returns=BatchList),
        Route(
            method="GET", path=one, handler=get, summary="Show a batch of either shape.", scope=call, returns=BatchObject, holding=JOURNAL
        ),
        Route(
            method="POST", path=f"{one}/cancel", handler=cancel, summary="Cancel a batch.", scope=call, returns=BatchObject, holding=JOURNAL
        ),
        Route(
            method="GET",
            path=f"{one}/results",
            handler=results,
            summary="The results of a batch of either shape, one JSON document a line.",
            scope=call,
            returns=str,
            media="application/jsonl",
        ),
        Route(
            method="GET",
            path=f"{one}/errors",
            handler=failures,
            summary="The lines of a batch that have no good answer.",
            scope=call,
            returns=str,
            media="application/jsonl",
        ),
    )


async def streamed(batching: Batching, ask: Ask, *, errors: bool) -> Any:
    """The results as a download."""
    # Starlette takes a tenth of a second to import; a command that only lists routes does not need it.
    from starlette.responses import StreamingResponse

    id = ask.path["id"]
    pieces = await batching.results(ask.principal.reach, id, errors=errors)
    headers = {"content-disposition": f'attachment; filename="{id}.jsonl"', "cache-control": "no-store"}
    return StreamingResponse(pieces, headers=headers, media_type="application/jsonl")

"""The JSON routes of the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from penstock.cache.semantic import TRAFFIC
from penstock.cache.service import MOST_PAIRS, Caching, CalibrationView, Cleared, LabelledPair, Name, PairCount, Stats
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route


class StatsQuery(Struct, frozen=True, kw_only=True):
    """How many days back, today included."""

    days: Annotated[int, Meta(ge=1, le=400)] = 7


class ClearBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which task and model; of all where not named."""

    task: Name | None = None
    model: Name | None = None


class PairsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pairs of questions that somebody judged, under a name; ``replace`` forgets those that there were under it."""

    task: Name
    source: Name
    pairs: Annotated[list[LabelledPair], Meta(max_length=MOST_PAIRS)]
    replace: bool = False


class CalibrateBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which task, by which pairs, and what must hold; the settings' bound and confidence where not given."""

    task: Name
    source: Name = TRAFFIC
    bound: Annotated[float, Meta(ge=1e-6, lt=0.5)] | None = None
    confidence: Annotated[float, Meta(gt=0.5, lt=1)] | None = None


class PairList(Struct, frozen=True, kw_only=True):
    """How many pairs there are, by task and source."""

    data: list[PairCount]


class CalibrationList(Struct, frozen=True, kw_only=True):
    """Calibrations, the latest first."""

    data: list[CalibrationView]


def routes(caching: Caching) -> Sequence[Route]:
    """All routes of the cache."""

    async def stats(ask: Ask) -> Stats:
        return await caching.stats(ask.principal, ask.query(StatsQuery).days)

    async def clear(ask: Ask) -> Cleared:
        body = ask.body(ClearBody)
        return await caching.clear(ask.principal, body.task or "", body.model or "")

    async def list_pairs(ask: Ask) -> PairList:
        return PairList(data=await caching.pairs(ask.principal))

    async def add_pairs(ask: Ask) -> PairCount:
        body = ask.body(PairsBody)
        return await caching.add_pairs(ask.principal, body.task, body.source, body.pairs, replace=body.replace)

    async def list_calibrations(ask: Ask) -> CalibrationList:
        return CalibrationList(data=await caching.calibrations(ask.principal))

    async def calibrate(ask: Ask) -> CalibrationView:
        body = ask.body(CalibrateBody)
        return await caching.calibrate(ask.principal, body.task, body.source, body.bound, body.confidence)

    read, admin = Scope.READ, Scope.ADMIN
    pairs, calibrations = "/v1/cache/pairs", "/v1/cache/calibrations"
    return (
        Route(
            method="GET",
            path="/v1/cache",
            handler=stats,
            summary="What the cache does and saves.",
            scope=read,
            query=StatsQuery,
            returns=Stats,
        ),
        Route(
            method="POST", path="/v1/cache/clear", handler=clear, summary="Forget replies.", scope=admin, body=ClearBody, returns=Cleared
        ),
        Route(method="GET", path=pairs, handler=list_pairs, summary="Count the pairs to calibrate by.", scope=read, returns=PairList),
        Route(
            method="POST",
            path=pairs,
            handler=add_pairs,
            summary="Add judged pairs.",
            scope=admin,
            body=PairsBody,
            returns=PairCount,
            status=201,
        ),
        Route(
            method="GET", path=calibrations, handler=list_calibrations, summary="List calibrations.", scope=read, returns=CalibrationList
        ),
        Route(
            method="POST",
            path=calibrations,
            handler=calibrate,
            summary="Calibrate semantic hits of a task.",
            scope=admin,
            body=CalibrateBody,
            returns=CalibrationView,
            status=201,
        ),
    )

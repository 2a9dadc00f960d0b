"""The JSON routes of groundedness: the calibrations of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Nothing, Route
from penstock.quality.limits.calibrations import Calibrations, Kept, Wanted, WithSample


class OfTask(Struct, frozen=True, kw_only=True):
    """Of one task, or of all."""

    task: Annotated[str, Meta(max_length=200)] | None = None


class GroundednessCalibrations(Struct, frozen=True, kw_only=True):
    """Calibrations, the latest first."""

    data: list[Kept]


def routes(calibrations: Calibrations) -> Sequence[Route]:
    """The routes under ``/v1/groundedness``."""

    async def listed(ask: Ask) -> GroundednessCalibrations:
        return GroundednessCalibrations(data=await calibrations.list(ask.principal.reach, ask.query(OfTask).task))

    async def show(ask: Ask) -> WithSample:
        return await calibrations.get(ask.principal.reach, ask.path["id"])

    async def make(ask: Ask) -> WithSample:
        return await calibrations.make(ask.principal, ask.body(Wanted))

    async def forget(ask: Ask) -> None:
        await calibrations.forget(ask.principal.reach, ask.path["id"])

    path = "/v1/groundedness/calibrations"
    return (
        Route(
            method="GET",
            path=path,
            handler=listed,
            summary="List the limits of groundedness that tasks have.",
            scope=Scope.READ,
            query=OfTask,
            returns=GroundednessCalibrations,
        ),
        Route(
            method="POST",
            path=path,
            handler=make,
            summary="Fit a task's limits of groundedness on what people said of its replies.",
            scope=Scope.ADMIN,
            body=Wanted,
            returns=WithSample,
            status=201,
        ),
        Route(
            method="GET",
            path=path + "/{id}",
            handler=show,
            summary="Show a calibration with its labels.",
            scope=Scope.READ,
            returns=WithSample,
        ),
        Route(
            method="DELETE",
            path=path + "/{id}",
            handler=forget,
            summary="Delete a calibration; the one before it is in use again.",
            scope=Scope.ADMIN,
            returns=Nothing,
            status=204,
        ),
    )

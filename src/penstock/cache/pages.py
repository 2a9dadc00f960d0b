"""The cache in the console: what it answers, what that saves, what is kept, and how semantic hits are calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.cache.rules import Rules
from penstock.cache.service import Caching
from penstock.console import Console, toast
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PERIODS = {"1": "Today", "7": "Last 7 days", "30": "Last 30 days", "365": "Last year"}


def pages(ports: Ports, caching: Caching, rules: Rules) -> Sequence[Page]:
    """The page and its buttons."""

    async def cache(request: Request, principal: Principal) -> Response:
        days = request.query_params.get("days", "7")
        if days not in PERIODS:
            raise MalformedRequest("days is not one of the choices")
        directory = ports.find(Directory)
        views = await caching.calibrations(principal)
        latest = {(view.organisation, view.task): view for view in reversed(views)}
        named = [
            {"view": view, "organisation": directory.name(view.organisation) if directory is not None else view.organisation}
            for _, view in sorted(latest.items())
        ]
        return ports.get(Console).page(
            request,
            "cache/cache.html",
            title="Cache",
            stats=await caching.stats(principal, int(days)),
            pairs=await caching.pairs(principal),
            calibrations=named,
            rules=rules,
            days=days,
            periods=PERIODS,
            tenants=principal.reach is None,
            may_change=principal.may(Scope.ADMIN),
            can_compare=caching.embedder is not None,
        )

    async def clear(request: Request, principal: Principal) -> Response:
        form = await request.form()
        done = await caching.clear(principal, str(form.get("task", "")).strip(), str(form.get("model", "")).strip())
        return toast(_back(), f"{done.entries} replies forgotten")

    async def calibrate(request: Request, principal: Principal) -> Response:
        form = await request.form()
        task, source = str(form.get("task", "")), str(form.get("source", ""))
        if not task or not source:
            raise MalformedRequest("name a task and where its pairs come from")
        view = await caching.calibrate(principal, task, source)
        return toast(_back(), f"Threshold {view.threshold:g}" if view.threshold is not None else "The pairs support no threshold")

    admin = Scope.ADMIN
    return (
        Page(path="/console/cache", handler=cache),
        Page(path="/console/cache/clear", handler=clear, scope=admin, methods=("POST",)),
        Page(path="/console/cache/calibrate", handler=calibrate, scope=admin, methods=("POST",)),
    )


def _back() -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse("/console/cache", 303)

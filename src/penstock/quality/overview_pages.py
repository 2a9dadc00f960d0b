"""Quality in the console: how good live replies are by task, one task over time and by slices, and one reply with its highlights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from penstock.console import Console, toast
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.measures import Asked
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page, Panel
from penstock.quality import store
from penstock.quality.feedback import NewFeedback
from penstock.quality.life import QualityLife
from penstock.quality.measured import HUMAN, JUDGED, UNGROUNDED, Measured
from penstock.quality.overview import Slice, by_task, of_task
from penstock.quality.routes import results_of
from penstock.quality.treatment import BiasResult
from penstock.storage.records import Records

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PERIODS = (("1", "24 hours"), ("7", "7 days"), ("30", "30 days"), ("90", "90 days"))
STEPS = {"1": 3600.0, "7": 6 * 3600.0, "30": 86_400.0, "90": 3 * 86_400.0}
VERDICTS = {"grounded": "ok", "ungrounded": "bad", "unsure": "warn", "not_judged": "neutral"}
WORST = 10
PANELS = (
    Panel(label="Quality", href="/console/quality/tasks/{name}", told="how good its live replies are, by judges and by people", order=44),
)


def pages(ports: Ports, life: QualityLife) -> Sequence[Page]:
    """The tasks, one of them, one reply and its labels."""

    def console() -> Console:
        return ports.get(Console)

    def period(request: Request) -> tuple[str, float, float]:
        days = request.query_params.get("days") or "7"
        if days not in STEPS:
            raise MalformedRequest("there is no such period", param="days")
        until = time.time()
        return days, until - float(days) * 86_400, until

    async def listed(request: Request, principal: Principal) -> Response:
        days, since, until = period(request)
        found = await ports.get(Records).read(lambda c: by_task(c, principal.reach, since, until))
        return console().page(
            request,
            "quality/overview.html",
            title="Quality",
            rows=[{"one": one, "href": f"/console/quality/tasks/{quote(one.task, safe='')}?days={days}"} for one in found],
            periods=[(label, f"/console/quality?days={key}", key) for key, label in PERIODS],
            days=days,
        )

    async def one(request: Request, principal: Principal) -> Response:
        days, since, until = period(request)
        task = request.path_params["task"]
        records = ports.get(Records)
        found = await of_task(records, principal.reach, task, since, until)
        step = STEPS[days]
        asked = Asked(organisation=principal.reach, since=since, until=until, step=step, equal={"task": (task,)})
        source = Measured(records)
        readings = await source.readings([UNGROUNDED, JUDGED, HUMAN], asked)
        ungrounded = await source.examples(UNGROUNDED, asked, WORST)
        here = f"/console/quality/tasks/{quote(task, safe='')}"
        return console().page(
            request,
            "quality/task_quality.html",
            title=task,
            crumbs=(("Quality", f"/console/quality?days={days}"),),
            found=found.quality,
            charts={name: _chart(made) for name, made in readings.items()},
            slices=_kinds(found.slices),
            worst=ungrounded or await source.examples(JUDGED, asked, WORST),
            bias=await _bias(records, principal, task),
            periods=[(label, f"{here}?days={key}", key) for key, label in PERIODS],
            days=days,
            api=f"/v1/quality/{quote(task, safe='')}?days={days}",
        )

    async def reply(request: Request, principal: Principal) -> Response:
        found = await life.replies.get(principal, request.path_params["id"], "console")
        said = await life.told.list(principal.reach, task=None, call=found.id, evaluation=None, below=None, limit=20)
        return console().page(
            request,
            "quality/reply.html",
            title="Reply",
            crumbs=(("Quality", "/console/quality"), (found.task, f"/console/quality/tasks/{quote(found.task, safe='')}")),
            found=found,
            tone=VERDICTS.get(found.verdict, "neutral"),
            said=said,
            may_label=principal.may(Scope.CALL),
        )

    async def label(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        id, form = request.path_params["id"], await request.form()
        if form.get("score") not in ("0", "1"):
            raise MalformedRequest("a label is good or bad", param="score")
        await life.told.say(principal, NewFeedback(score=float(str(form["score"])), call=id))
        return toast(RedirectResponse(f"/console/quality/replies/{quote(id, safe='')}", 303), "Label kept")

    return (
        Page(path="/console/quality", handler=listed),
        Page(path="/console/quality/tasks/{task}", handler=one),
        Page(path="/console/quality/replies/{id}", handler=reply),
        Page(path="/console/quality/replies/{id}/label", handler=label, scope=Scope.CALL, methods=("POST",)),
    )


def _chart(readings: Sequence[Any]) -> dict[str, Any]:
    """A measure with its interval, as lines."""
    return {
        "x": [one.at for one in readings],
        "series": [
            {"label": "estimate", "values": [one.value for one in readings]},
            {"label": "at least", "values": [one.low for one in readings]},
            {"label": "at most", "values": [one.high for one in readings]},
        ],
        "notes": sorted({one.note for one in readings if one.note}),
    }


def _kinds(slices: Sequence[Slice]) -> list[tuple[str, list[Slice]]]:
    kinds = dict.fromkeys(one.kind for one in slices)
    return [(kind, [one for one in slices if one.kind == kind]) for kind in kinds]


async def _bias(records: Records, principal: Principal, task: str) -> tuple[str, list[BiasResult]] | None:
    """The last evaluation of a task that looked at twins: its id, and what it found."""
    for found in await records.read(lambda c: store.listed(c, principal.reach, task=task, limit=50)):
        results = results_of(found)
        if results is not None and results.bias:
            return found.id, list(results.bias)
    return None


__all__ = ["PANELS", "pages"]

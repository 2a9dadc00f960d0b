"""Drift in the console: which tasks are no longer as they were, since when, and what changed first; both windows side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from penstock.console import Console, toast
from penstock.kernel.measures import Asked
from penstock.kernel.opening import Opening
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page, Panel
from penstock.quality.drift.keeper import Keeper
from penstock.quality.drift.measured import ANY, PREFIX, DriftMeasured
from penstock.quality.drift.routes import TaskDrift, both_windows, shown_map, told
from penstock.storage.records import Records

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

TONES = {"learning": "neutral", "steady": "ok", "drifting": "warn"}
STEPS = 60
"""Steps of the chart of a task."""
LINES = 4
"""Features that its chart shows."""
PANELS = (Panel(label="Drift", href="/console/drift/{name}", told="what of its calls and replies has changed, and what first", order=45),)


def pages(ports: Ports, keeper: Keeper, calls: float, opening: Opening) -> Sequence[Page]:
    """The list of tasks, one of them, and the word that its change is how it is now."""
    source = DriftMeasured(keeper)

    def console() -> Console:
        return ports.get(Console)

    def name(id: str) -> str:
        directory = ports.find(Directory)
        return directory.name(id) if directory is not None else id

    async def listed(request: Request, principal: Principal) -> Response:
        rows = [_row(told(one), principal) for one in keeper.of(principal.reach)]
        return console().page(
            request,
            "quality/drift/tasks.html",
            title="Drift",
            rows=[{**row, "organisation": name(row["one"].organisation)} for row in rows],
            tenants=principal.reach is None,
            calls=calls,
            no_topics=keeper.unembedded,
            drifting=sum(row["one"].state == "drifting" for row in rows),
        )

    async def one(request: Request, principal: Principal) -> Response:
        task = request.path_params["task"]
        watched = keeper.find(principal.reach, task, request.query_params.get("organisation", ""))
        whose = _whose(principal, watched.organisation)
        found = both_windows(watched)
        features = [
            {"one": feature, "windows": windows, "tone": "warn" if feature.changed_at is not None else "accent"}
            for feature, windows in zip(found.drift.features, found.windows, strict=True)
        ]
        return console().page(
            request,
            "quality/drift/task.html",
            title=task,
            crumbs=(("Drift", "/console/drift"),),
            drift=found.drift,
            tone=TONES[found.drift.state],
            features=features,
            map=await shown_map(ports.get(Records), watched, principal, opening, "console"),
            chart=await _chart(found.drift),
            calls=calls,
            accept=f"/console/drift/{quote(task, safe='')}/accept{whose}",
            api=f"/v1/drift/{quote(task, safe='')}",
            whose=whose,
            may_accept=found.drift.state == "drifting" and principal.may(Scope.ADMIN),
        )

    async def _chart(drift: TaskDrift) -> dict[str, Any]:
        """The evidence of the features with the most, over the time since the reference."""
        if drift.reference_until is None or drift.state == "learning":
            return {"x": [], "series": []}
        seen = keeper.find(drift.organisation, drift.task).seen
        since, until = drift.reference_until, seen[-1].at + 1
        step = max(60.0, (until - since) / STEPS)
        wanted = drift.features[:LINES]
        names = [PREFIX + feature.name for feature in wanted] or [ANY]
        asked = Asked(organisation=drift.organisation, since=since, until=until, step=step, equal={"task": (drift.task,)})
        found = await source.readings(names, asked)
        x = sorted({one.at for readings in found.values() for one in readings})
        series: list[dict[str, Any]] = []
        for feature, named in zip(wanted, names, strict=True):
            values = {one.at: one.value for one in found[named]}
            series.append({"label": feature.title, "values": [values.get(at) for at in x]})
        return {"x": x, "series": series}

    async def accept(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        task = request.path_params["task"]
        organisation = request.query_params.get("organisation", "")
        await keeper.accept(principal, task, organisation)
        await keeper.look()
        back = f"/console/drift/{quote(task, safe='')}{_whose(principal, organisation)}"
        return toast(RedirectResponse(back, 303), "This is how it is now")

    return (
        Page(path="/console/drift", handler=listed),
        Page(path="/console/drift/{task}", handler=one),
        Page(path="/console/drift/{task}/accept", handler=accept, scope=Scope.ADMIN, methods=("POST",)),
    )


def _whose(principal: Principal, organisation: str) -> str:
    """What an address needs besides the task where organisations may name theirs alike."""
    return f"?{urlencode({'organisation': organisation})}" if principal.reach is None and organisation else ""


def _row(one: TaskDrift, principal: Principal) -> dict[str, Any]:
    changed = [feature for feature in one.features if feature.changed_at is not None]
    most = one.features[0] if one.features else None
    return {
        "one": one,
        "href": f"/console/drift/{quote(one.task, safe='')}{_whose(principal, one.organisation)}",
        "tone": TONES[one.state],
        "first": changed[0].title if changed else None,
        "others": len(changed) - 1,
        "most": most,
    }


__all__ = ["PANELS", "pages"]

"""Routing in the console: what a task is routed by, and what every way to do it costs and is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from penstock.console import Console, toast
from penstock.kernel.errors import Conflict, Unavailable
from penstock.kernel.journal import JOURNAL
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page, Panel
from penstock.routing.policy import Policy
from penstock.routing.service import RoutingOf
from penstock.routing.views import Frontier, Point

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

TONES = {"active": "ok", "suspended": "bad", "superseded": "neutral", "refused": "warn", "failed": "bad", "fitting": "info"}
WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 740, 24, 330
GLYPH, LINE, LONGEST_NAME = 7, 16, 30
"""About how wide a letter and how high a line of the picture is, and how much of a name stands in it."""

PANELS = (
    Panel(label="Routing", href="/console/tasks/{name}/policies", told="what the task is routed by, on what evidence", order=30),
    Panel(
        label="Cost against quality",
        href="/console/tasks/{name}/frontier",
        told="what each candidate, the router and the cascade cost and are worth",
        order=31,
    ),
)


def pages(ports: Ports, routing: RoutingOf) -> Sequence[Page]:
    """Policies and the frontier of a task."""

    async def policies(request: Request, principal: Principal) -> Response:
        name = request.path_params["name"]
        found = await routing.policies(principal, name)
        task, waiting = routing.outlook(principal, name)
        active = next((policy for policy in found if policy.state == "active"), None)
        here = f"/console/tasks/{quote(name, safe='')}"
        return ports.get(Console).page(
            request,
            "routing/policies.html",
            title="Routing",
            crumbs=(("Tasks", "/console/tasks"), (name, here)),
            name=name,
            rows=[_row(policy) for policy in found],
            last=next((policy for policy in found if policy.state not in ("fitting", "failed")), None),
            serving=_serving(found),
            again=task.recertify,
            left=await routing.left(active) if active is not None else None,
            waiting=waiting,
            tones=TONES,
            may_change=principal.may(Scope.ADMIN),
            here=f"{here}/policies",
            frontier=f"{here}/frontier",
        )

    async def certify(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        name = request.path_params["name"]
        policy = await routing.certify(principal, name)
        back = RedirectResponse(f"/console/tasks/{quote(name, safe='')}/policies", 303)
        return toast(back, f"Policy {policy.number} is being fitted; look again in a moment")

    async def frontier(request: Request, principal: Principal) -> Response:
        name, fault = request.path_params["name"], ""
        found: Frontier | None = None
        try:
            found = await routing.frontier(principal, name)
            if not found.points:
                fault = "no prompt was judged yet on which candidates could be compared"
        except (Conflict, Unavailable) as missing:
            fault = missing.message
        here = f"/console/tasks/{quote(name, safe='')}"
        return ports.get(Console).page(
            request,
            "routing/frontier.html",
            title="Cost against quality",
            crumbs=(("Tasks", "/console/tasks"), (name, here)),
            name=name,
            found=found,
            fault=fault,
            rows=sorted(found.points, key=lambda point: point.cost) if found is not None else [],
            picture=picture(found) if found is not None and found.points else None,
            policies=f"{here}/policies",
        )

    path = "/console/tasks/{name}"
    return (
        Page(path=f"{path}/policies", handler=policies),
        Page(path=f"{path}/policies/certify", handler=certify, scope=Scope.ADMIN, methods=("POST",), holding=JOURNAL),
        Page(path=f"{path}/frontier", handler=frontier),
    )


def picture(found: Frontier) -> dict[str, Any]:
    """The places of everything on the picture, in its own units."""
    dearest = max(point.cost_high for point in found.points) or 1.0
    lowest = math.floor(10 * min(found.line, *(point.low for point in found.points))) / 10
    highest = math.ceil(10 * max(found.line, *(point.high for point in found.points))) / 10
    span = max(0.1, highest - lowest)

    def x(cost: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * min(cost, dearest) / dearest, 1)

    def y(quality: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (quality - lowest) / span, 1)

    steps = max(1, round(span * 10))
    # A name that would lie on another is left out: who serves has the first word, then the candidates; all are in the table.
    taken: list[tuple[float, float, float]] = []
    points: list[dict[str, Any]] = []
    for point in sorted(found.points, key=lambda one: (not one.serving, one.kind != "candidate")):
        at = (x(point.cost), y(point.quality))
        name, right = _short(point), at[0] > (LEFT + RIGHT) / 2
        begin = at[0] - len(name) * GLYPH if right else at[0]
        if any(begin < end and start < begin + len(name) * GLYPH and abs(at[1] - height) < LINE for start, end, height in taken):
            name = ""
        if name:
            taken.append((begin, begin + len(name) * GLYPH, at[1]))
        points.append({**_place(point, at, x, y), "name": name})
    paths = [
        {"kind": kind, "points": " ".join(f"{x(p.cost)},{y(p.quality)}" for p in found.points if p.kind == kind and not p.serving)}
        for kind in ("router", "cascade")
    ]
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": RIGHT,
        "bottom": BOTTOM,
        "floor": y(found.line),
        "rows": [{"at": y(lowest + span * k / steps), "label": f"{lowest + span * k / steps:.0%}"} for k in range(steps + 1)],
        "columns": [{"at": x(dearest * k / 4), "label": f"{dearest * k / 4 / 1e3:.3g}"} for k in range(5)],
        "points": points,
        "paths": [path for path in paths if path["points"]],
    }


def _short(point: Point) -> str:
    """What stands beside a point: a model without its maker, or the kind of what serves."""
    if point.kind == "candidate":
        return point.name.rpartition("/")[2][:LONGEST_NAME]
    return f"the {point.kind}, serving" if point.serving else ""


def _place(point: Point, at: tuple[float, float], x: Any, y: Any) -> dict[str, Any]:
    return {
        "x": at[0],
        "y": at[1],
        "top": y(point.high),
        "bottom": y(point.low),
        "from": x(point.cost_low),
        "to": x(point.cost_high),
        "kind": point.kind,
        "serving": point.serving,
        "told": f"{point.name}: {point.quality:.1%} ({point.low:.1%} to {point.high:.1%}) at {point.cost / 1e6:.6f} USD a call",
        "anchor": "end" if at[0] > (LEFT + RIGHT) / 2 else "start",
        "text_x": at[0] + (6 if at[0] > (LEFT + RIGHT) / 2 else -6),
    }


def _row(policy: Policy) -> dict[str, Any]:
    what = {
        None: "nothing",
        "single": f"all to {policy.chosen}",
        "router": f"a router over {', '.join(policy.candidates)}",
        "cascade": f"{policy.chosen} before {policy.next}",
    }[policy.kind]
    return {
        "number": policy.number,
        "state": policy.state,
        "what": what,
        "by_itself": policy.automatic,
        "cost": policy.cost,
        "quality": policy.quality,
        "bound": policy.bound,
        "labels": policy.labels,
        "at": policy.created_at,
        "why": policy.changed_why if policy.state in ("suspended", "superseded") else policy.why,
    }


def _serving(found: Sequence[Policy]) -> tuple[str, str, str] | None:
    for policy in found:
        if policy.state == "active":
            return "ok", policy.why, f"Policy {policy.number} serves"
        if policy.state == "suspended":
            said = f"{policy.changed_why}. The task's default serves until something is certified anew."
            return "bad", said, f"The claim of policy {policy.number} is suspended"
    return ("warn", found[0].why, "The task's default serves") if found and found[0].state in ("refused", "failed") else None

"""Silences, deliveries and webhooks in the console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from penstock.alerts.announce import KINDS
from penstock.alerts.rule_pages import read
from penstock.alerts.service import Alerting
from penstock.alerts.subscribing import Subscribing
from penstock.alerts.targets import shown
from penstock.console import Console, toast
from penstock.kernel.errors import MalformedRequest, RequestError
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

HERE = "/console/alerts"
CRUMBS = (("Alerts", HERE),)
STATES = {"": "All", "waiting": "Waiting", "failed": "Given up", "delivered": "Delivered"}
HOURS = (("1", "an hour"), ("4", "4 hours"), ("24", "a day"), ("72", "3 days"), ("168", "a week"))
MATCHERS = ("rule", "group", "measure", "severity")


def sending_pages(ports: Ports, alerting: Alerting, subscribing: Subscribing) -> Sequence[Page]:
    """The pages, their forms and buttons."""

    async def silences(
        request: Request, principal: Principal, form: dict[str, str] | None = None, fault: RequestError | None = None
    ) -> Response:
        directory = ports.find(Directory)
        now = alerting.clock()
        rows = [
            {
                "silence": one,
                "holds": one.starts_at <= now < one.until,
                "match": ", ".join(f"{name} {pattern}" for name, pattern in one.match.items()),
                "organisation": "all" if not one.organisation else directory.name(one.organisation) if directory is not None else "",
            }
            for one in await alerting.silences(principal)
        ]
        return ports.get(Console).page(
            request,
            "alerts/silences.html",
            title="Silences",
            crumbs=CRUMBS,
            status=fault.status if fault is not None else 200,
            rows=rows,
            hours=HOURS,
            form=form or {name: request.query_params.get(name, "") for name in MATCHERS},
            fault=fault,
            tenants=principal.reach is None,
            may_change=principal.may(Scope.ADMIN),
        )

    async def silence(request: Request, principal: Principal) -> Response:
        form = await read(request)
        match = {name: form[name].strip() for name in MATCHERS if form.get(name, "").strip()}
        if form.get("hours") not in dict(HOURS):
            raise MalformedRequest("hours is not one of the choices")
        until = alerting.clock() + float(form["hours"]) * 3600
        try:
            await alerting.silence(principal, match, until, form.get("why", ""), everywhere="everywhere" in form)
        except RequestError as fault:
            return await silences(request, principal, form, fault)
        return toast(_to(f"{HERE}/silences"), "Silenced")

    async def unsilence(request: Request, principal: Principal) -> Response:
        await alerting.unsilence(principal, request.path_params["id"])
        return toast(_to(f"{HERE}/silences"), "The silence has ended")

    async def deliveries(request: Request, principal: Principal) -> Response:
        state = request.query_params.get("state", "")
        if state not in STATES:
            raise MalformedRequest("state is not one of the choices")
        found = await alerting.deliveries(principal, state=state, limit=200)
        rows = [{"one": one, "again": f"{HERE}/deliveries/{quote(one.id, safe='')}/again"} for one in found]
        targets = [one for one in alerting.targets.all() if principal.reach is None]
        return ports.get(Console).page(
            request,
            "alerts/deliveries.html",
            title="Deliveries",
            crumbs=CRUMBS,
            rows=rows,
            state=state,
            states=[(label, f"{HERE}/deliveries" + (f"?state={value}" if value else ""), value) for value, label in STATES.items()],
            targets=targets,
            standing=await alerting.standing() if principal.reach is None else {},
            may_change=principal.may(Scope.ADMIN),
        )

    async def again(request: Request, principal: Principal) -> Response:
        await alerting.again(principal, request.path_params["id"])
        return toast(_to(f"{HERE}/deliveries"), "Tried again within seconds")

    async def webhooks(
        request: Request,
        principal: Principal,
        form: dict[str, str] | None = None,
        fault: RequestError | None = None,
        secret: str = "",
    ) -> Response:
        directory = ports.find(Directory)
        rows = [
            {
                "hook": one,
                "shown": shown(one.url),
                "events": ", ".join(one.events),
                "organisation": directory.name(one.organisation) if directory is not None else one.organisation,
            }
            for one in await subscribing.listed(principal)
        ]
        return ports.get(Console).page(
            request,
            "alerts/webhooks.html",
            title="Webhooks",
            crumbs=CRUMBS,
            status=fault.status if fault is not None else 200,
            rows=rows,
            types=list(KINDS.items()),
            form=form or {},
            fault=fault,
            secret=secret,
            tenants=principal.reach is None,
            may_change=principal.may(Scope.ADMIN),
        )

    async def subscribe(request: Request, principal: Principal) -> Response:
        form = await read(request)
        try:
            events = form.get("events", "").replace(",", "\n").splitlines()
            _, secret = await subscribing.create(principal, form.get("url", ""), events, everywhere="everywhere" in form)
        except RequestError as fault:
            return await webhooks(request, principal, form, fault)
        return await webhooks(request, principal, secret=secret)

    async def hook(request: Request, principal: Principal) -> Response:
        id, what = request.path_params["id"], (await read(request)).get("what")
        place = _to(f"{HERE}/webhooks")
        match what:
            case "test":
                await subscribing.test(principal, id)
                return toast(place, "A test is on its way; look at Deliveries")
            case "rotate":
                return await webhooks(request, principal, secret=await subscribing.rotate(principal, id))
            case "on" | "off":
                await subscribing.change(principal, id, enabled=what == "on")
                return toast(place, f"Switched {what}")
            case "remove":
                await subscribing.delete(principal, id)
                return toast(place, "Removed")
            case _:
                raise MalformedRequest("what is not one of the choices")

    admin = Scope.ADMIN

    def post(path: str, handler: object) -> Page:
        return Page(path=f"{HERE}/{path}", handler=handler, scope=admin, methods=("POST",))  # type: ignore[arg-type]

    return (
        Page(path=f"{HERE}/silences", handler=silences),
        post("silences", silence),
        post("silences/{id}/end", unsilence),
        Page(path=f"{HERE}/deliveries", handler=deliveries),
        post("deliveries/{id}/again", again),
        Page(path=f"{HERE}/webhooks", handler=webhooks),
        post("webhooks", subscribe),
        post("webhooks/{id}", hook),
    )


def _to(place: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(place, 303)

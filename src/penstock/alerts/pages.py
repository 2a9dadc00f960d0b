"""The alerts in the console: what is open and was, each with its measure around it and the calls behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from penstock.alerts.evaluate import amount
from penstock.alerts.model import Alert
from penstock.alerts.rule_pages import rule_pages
from penstock.alerts.sending_pages import sending_pages
from penstock.alerts.service import Alerting
from penstock.alerts.subscribing import Subscribing
from penstock.console import Console, toast
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.measures import Reading
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

STATES = {"open": "Open", "resolved": "Ended", "": "All of the last week"}
SNOOZES = (("1", "an hour"), ("4", "4 hours"), ("24", "a day"), ("168", "a week"))
TONES = {"page": "bad", "ticket": "warn", "info": "info"}
CHART_UNITS = {"ms": "ms", "share": "fraction", "score": "fraction", "usd": "micros", "tokens": "tokens", "count": "count"}
HERE = "/console/alerts"


def pages(ports: Ports, alerting: Alerting, subscribing: Subscribing) -> Sequence[Page]:
    """All pages about alerts."""

    async def listed(request: Request, principal: Principal) -> Response:
        state = request.query_params.get("state", "open")
        if state not in STATES:
            raise MalformedRequest("state is not one of the choices")
        found = await alerting.alerts(principal, state, None if state != "open" else 0.0, 200)
        directory = ports.find(Directory)
        return ports.get(Console).page(
            request,
            "alerts/alerts.html",
            title="Alerts",
            rows=[_row(one, directory) for one in found],
            state=state,
            states=[(label, f"{HERE}?state={value}", value) for value, label in STATES.items()],
            rules=len(await alerting.rules(principal)),
            tenants=principal.reach is None,
            query=f"/v1/alerts?state={state}",
        )

    async def shown(request: Request, principal: Principal) -> Response:
        alert = await alerting.alert(principal, request.path_params["id"])
        readings = await alerting.history(alert)
        return ports.get(Console).page(
            request,
            "alerts/alert.html",
            title=alert.rule,
            crumbs=(("Alerts", HERE),),
            alert=alert,
            row=_row(alert, ports.find(Directory)),
            chart=chart(alert, readings),
            unit=CHART_UNITS.get(alert.unit, "count"),
            examples=[
                {"id": one.id, "href": one.href, "at": one.at, "why": one.why, "value": amount(one.value, alert.unit)}
                for one in alert.examples
            ],
            deliveries=await alerting.deliveries(principal, alert=alert.id),
            health=alerting.health(alert),
            snoozes=SNOOZES,
            may_change=principal.may(Scope.ADMIN),
            limit=_limit(alert),
            query=f"/v1/alerts/{alert.id}",
        )

    async def change(request: Request, principal: Principal) -> Response:
        id = request.path_params["id"]
        form = await request.form()
        what = form.get("what")
        if what == "acknowledge":
            await alerting.change(principal, id, "acknowledge")
            return toast(to(f"{HERE}/{id}"), "Acknowledged")
        if what == "wake":
            await alerting.change(principal, id, "wake")
            return toast(to(f"{HERE}/{id}"), "Awake")
        hours = {value: float(value) for value, _ in SNOOZES}.get(str(form.get("hours", "")))
        if what != "snooze" or hours is None:
            raise MalformedRequest("what is not one of the choices")
        await alerting.change(principal, id, "snooze", alerting.clock() + hours * 3600)
        return toast(to(f"{HERE}/{id}"), "Snoozed")

    admin = Scope.ADMIN
    return (
        Page(path=HERE, handler=listed),
        *rule_pages(ports, alerting),
        *sending_pages(ports, alerting, subscribing),
        # Last: whatever is not one of the pages above is an alert.
        Page(path=f"{HERE}/{{id}}", handler=shown),
        Page(path=f"{HERE}/{{id}}", handler=change, scope=admin, methods=("POST",)),
    )


def chart(alert: Alert, readings: Sequence[Reading]) -> dict[str, list[object]]:
    """The measure around an alert, with its bounds where it is an estimate, and the limit."""
    factor = 1e6 if alert.unit == "usd" else 1.0

    def scaled(value: float | None) -> float | None:
        return None if value is None else value * factor

    series: list[object] = [{"label": "Value", "values": [scaled(one.value) for one in readings]}]
    if any(one.low is not None for one in readings):
        series.append({"label": "At least", "values": [scaled(one.low) for one in readings]})
        series.append({"label": "At most", "values": [scaled(one.high) for one in readings]})
    limit = alert.verdict.limit
    if limit is not None and alert.verdict.budget_left is None and alert.verdict.severity is None:
        series.append({"label": "Limit", "values": [scaled(limit)] * len(readings)})
    return {"x": [one.at for one in readings], "series": series}


def to(place: str) -> Response:
    """Send the browser on after a form."""
    from starlette.responses import RedirectResponse

    return RedirectResponse(place, 303)


def _limit(alert: Alert) -> str:
    burns = alert.verdict.severity is not None
    return f"{alert.verdict.limit:g} times" if burns and alert.verdict.limit is not None else amount(alert.verdict.limit, alert.unit)


def _row(alert: Alert, directory: Directory | None) -> dict[str, object]:
    whose = "all" if not alert.organisation else directory.name(alert.organisation) if directory is not None else alert.organisation
    burns = alert.verdict.severity is not None
    value = alert.verdict.value
    return {
        "alert": alert,
        "href": f"{HERE}/{quote(alert.id)}",
        "tone": TONES[alert.severity],
        "value": f"{value:.3g} times" if burns and value is not None else amount(value, alert.unit),
        "organisation": whose,
    }

"""The JSON routes of the alerts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from penstock.alerts.model import Alert, Delivery, Name, Silence, Terms
from penstock.alerts.service import Alerting, RuleView, Trial
from penstock.kernel.measures import Reading
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Moment, Nothing, Route

Id = Annotated[str, Meta(max_length=200)]


class RuleBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule: its name and terms. ``everywhere`` watches all organisations together, which only operators may."""

    name: Name
    terms: Terms
    everywhere: bool = False


class TrialBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Terms to try out."""

    terms: Terms
    everywhere: bool = False


class SilenceBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Patterns by ``rule``, ``group``, ``measure`` or ``severity``, until when, and why; it begins now where not said."""

    match: dict[str, str]
    until: Moment
    why: Annotated[str, Meta(max_length=500)]
    starts_at: Moment | None = None
    everywhere: bool = False


class ChangeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``acknowledge``, ``snooze`` until a moment, or ``wake``."""

    what: Literal["acknowledge", "snooze", "wake"]
    until: Moment | None = None


class AlertsQuery(Struct, frozen=True, kw_only=True):
    """Of which state, open since when (the last week where not given), at most how many."""

    state: Literal["", "open", "resolved"] = ""
    since: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class DeliveriesQuery(Struct, frozen=True, kw_only=True):
    """Of which alert, to where, in which state."""

    alert: Id = ""
    route: Id = ""
    state: Literal["", "waiting", "sending", "delivered", "failed"] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class RuleList(Struct, frozen=True, kw_only=True):
    """Rules; those of the settings first."""

    data: list[RuleView]


class AlertList(Struct, frozen=True, kw_only=True):
    """Alerts, the latest first."""

    data: list[Alert]


class AlertView(Struct, frozen=True, kw_only=True):
    """An alert and the readings around it."""

    alert: Alert
    readings: list[Reading]
    health: str


class SilenceList(Struct, frozen=True, kw_only=True):
    """Silences, the one that lasts longest first."""

    data: list[Silence]


class DeliveryView(Struct, frozen=True, kw_only=True):
    """A delivery without its message."""

    id: str
    organisation: str
    route: str
    kind: str
    subject: str
    alert: str
    state: str
    created_at: float
    next_at: float
    attempts: int
    last_at: float | None
    delivered_at: float | None
    fault: str


class DeliveryList(Struct, frozen=True, kw_only=True):
    """Deliveries, the latest first."""

    data: list[DeliveryView]


class RouteView(Struct, frozen=True, kw_only=True):
    """A route: what it is, where it goes as far as that is no secret, and which variable is not set where one is missing."""

    name: str
    kind: str
    shown: str
    lacks: str


class RouteList(Struct, frozen=True, kw_only=True):
    """The routes that alerts of the key's organisation may go to."""

    data: list[RouteView]


def delivery_view(one: Delivery) -> DeliveryView:
    """A delivery as it is shown."""
    return DeliveryView(**{name: getattr(one, name) for name in DeliveryView.__struct_fields__})


def routes(alerting: Alerting) -> Sequence[Route]:
    """All routes about rules, alerts, silences and deliveries."""

    async def list_rules(ask: Ask) -> RuleList:
        return RuleList(data=await alerting.rules(ask.principal))

    async def create_rule(ask: Ask) -> RuleView:
        body = ask.body(RuleBody)
        return await alerting.create(ask.principal, body.name, body.terms, everywhere=body.everywhere)

    async def get_rule(ask: Ask) -> RuleView:
        return await alerting.rule(ask.principal, ask.path["id"])

    async def replace_rule(ask: Ask) -> RuleView:
        body = ask.body(RuleBody)
        return await alerting.replace(ask.principal, ask.path["id"], body.name, body.terms)

    async def delete_rule(ask: Ask) -> Nothing:
        await alerting.delete(ask.principal, ask.path["id"])
        return Nothing()

    async def try_rule(ask: Ask) -> Trial:
        body = ask.body(TrialBody)
        return await alerting.trial(ask.principal, body.terms, everywhere=body.everywhere)

    async def list_alerts(ask: Ask) -> AlertList:
        query = ask.query(AlertsQuery)
        return AlertList(data=await alerting.alerts(ask.principal, query.state, query.since, query.limit))

    async def get_alert(ask: Ask) -> AlertView:
        alert = await alerting.alert(ask.principal, ask.path["id"])
        readings = await alerting.history(alert)
        return AlertView(alert=alert, readings=readings, health=alerting.health(alert))

    async def change_alert(ask: Ask) -> Alert:
        body = ask.body(ChangeBody)
        return await alerting.change(ask.principal, ask.path["id"], body.what, body.until)

    async def list_silences(ask: Ask) -> SilenceList:
        return SilenceList(data=await alerting.silences(ask.principal))

    async def create_silence(ask: Ask) -> Silence:
        body = ask.body(SilenceBody)
        return await alerting.silence(ask.principal, body.match, body.until, body.why, starts_at=body.starts_at, everywhere=body.everywhere)

    async def end_silence(ask: Ask) -> Nothing:
        await alerting.unsilence(ask.principal, ask.path["id"])
        return Nothing()

    async def list_deliveries(ask: Ask) -> DeliveryList:
        query = ask.query(DeliveriesQuery)
        found = await alerting.deliveries(ask.principal, alert=query.alert, route=query.route, state=query.state, limit=query.limit)
        return DeliveryList(data=[delivery_view(one) for one in found])

    async def again(ask: Ask) -> Nothing:
        await alerting.again(ask.principal, ask.path["id"])
        return Nothing()

    async def list_routes(ask: Ask) -> RouteList:
        names = alerting.targets.routes("" if ask.principal.reach is None else ask.principal.organisation, alerting.home())
        found = [(name, alerting.targets.named(f"route:{name}")) for name in names]
        return RouteList(
            data=[RouteView(name=name, kind=one.kind, shown=one.shown, lacks=one.lacks) for name, one in found if one is not None]
        )

    read, admin = Scope.READ, Scope.ADMIN
    rules, rule = "/v1/alerts/rules", "/v1/alerts/rules/{id}"
    alerts, silences, deliveries = "/v1/alerts", "/v1/alerts/silences", "/v1/alerts/deliveries"

    def get(path: str, handler: object, summary: str, returns: object, query: object = Nothing) -> Route:
        return Route(method="GET", path=path, handler=handler, summary=summary, scope=read, returns=returns, query=query)  # type: ignore[arg-type]

    def post(path: str, handler: object, summary: str, body: object, returns: object, status: int = 201) -> Route:
        return Route(
            method="POST",
            path=path,
            handler=handler,  # type: ignore[arg-type]
            summary=summary,
            scope=admin,
            body=body,  # type: ignore[arg-type]
            returns=returns,
            status=status,
        )

    def drop(path: str, handler: object, summary: str) -> Route:
        return Route(method="DELETE", path=path, handler=handler, summary=summary, scope=admin, returns=Nothing, status=204)  # type: ignore[arg-type]

    return (
        get(rules, list_rules, "List rules.", RuleList),
        post(rules, create_rule, "Make a rule.", RuleBody, RuleView),
        post(f"{rules}/try", try_rule, "Say what a rule would find now.", TrialBody, Trial, 200),
        get(rule, get_rule, "One rule.", RuleView),
        Route(
            method="PUT",
            path=rule,
            handler=replace_rule,
            summary="Give a rule other terms.",
            scope=admin,
            body=RuleBody,
            returns=RuleView,
        ),
        drop(rule, delete_rule, "Remove a rule."),
        get("/v1/alerts/routes", list_routes, "List routes that alerts may go to.", RouteList),
        get(silences, list_silences, "List silences.", SilenceList),
        post(silences, create_silence, "Silence alerts that match.", SilenceBody, Silence),
        drop(f"{silences}/{{id}}", end_silence, "End a silence."),
        get(deliveries, list_deliveries, "List deliveries.", DeliveryList, DeliveriesQuery),
        Route(
            method="POST",
            path=f"{deliveries}/{{id}}/again",
            handler=again,
            summary="Try a delivery again that was given up.",
            scope=admin,
            returns=Nothing,
            status=204,
        ),
        get(alerts, list_alerts, "List alerts.", AlertList, AlertsQuery),
        get(f"{alerts}/{{id}}", get_alert, "One alert, with the readings around it.", AlertView),
        post(f"{alerts}/{{id}}", change_alert, "Acknowledge, snooze or wake an alert.", ChangeBody, Alert, 200),
    )

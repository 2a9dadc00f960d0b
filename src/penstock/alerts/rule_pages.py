"""Rules in the console: listed, made, changed, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from penstock.alerts.forms import FRESH, KINDS, at_field, filled, terms_of
from penstock.alerts.model import SEVERITIES, Rule
from penstock.alerts.service import Alerting
from penstock.console import Console, toast
from penstock.kernel.errors import Conflict, NotFound, RequestError
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

HERE = "/console/alerts/rules"
NEW = f"{HERE}/new"


def rule_pages(ports: Ports, alerting: Alerting) -> Sequence[Page]:
    """The list of rules and their form."""

    async def listed(request: Request, principal: Principal) -> Response:
        directory = ports.find(Directory)
        found = await alerting.rules(principal)
        rows = [
            {"view": one, "rule": one.rule, "href": _href(one.rule), "kind": kind_of(one.rule), "organisation": _whose(one.rule, directory)}
            for one in found
        ]
        return ports.get(Console).page(
            request,
            "alerts/rules.html",
            title="Rules",
            crumbs=(("Alerts", "/console/alerts"),),
            rows=rows,
            tenants=principal.reach is None,
            may_change=principal.may(Scope.ADMIN),
        )

    def show(
        request: Request, principal: Principal, form: Mapping[str, str], *, rule: Rule | None, fault: RequestError | None = None
    ) -> Response:
        kind = form.get("kind", "threshold")
        field = at_field(fault.param) if fault is not None else ""
        measures = alerting.sources().all()
        own = rule is None or rule.origin == "api"
        why_not = "" if principal.may(Scope.ADMIN) else "Your key may look at rules and not change them: that takes the scope admin."
        if rule is not None and not own:
            why_not = f'This rule stands in penstock.toml, [alerts.rules."{rule.name}"]. Change it there; it holds from the next start on.'
        base = NEW if rule is None else _href(rule)
        return ports.get(Console).page(
            request,
            "alerts/rule.html",
            title="Make a rule" if rule is None else rule.name,
            crumbs=(("Alerts", "/console/alerts"), ("Rules", HERE)),
            status=fault.status if fault is not None else 200,
            rule=rule,
            form=form,
            kind=kind if kind in KINDS else "threshold",
            kinds=[(label, f"{base}?{urlencode({'kind': value})}", value) for value, label in KINDS.items()],
            errors={field: fault.message.partition(": ")[2] or fault.message} if fault is not None else {},
            fault=fault,
            first=field,
            action=base,
            why_not=why_not,
            measures=[(one.name, f"{one.title} ({one.name})") for one in measures],
            dimensions=[[name, name] for name in sorted({name for one in measures for name in one.dimensions})],
            severities=list(reversed(SEVERITIES)),
            routes=alerting.targets.routes("" if principal.reach is None else principal.organisation, alerting.home()),
            may_everywhere=principal.reach is None,
        )

    async def fresh(request: Request, principal: Principal) -> Response:
        form = {**FRESH, **{name: value for name, value in request.query_params.items() if name in _PREFILLED}}
        return show(request, principal, form, rule=None)

    async def create(request: Request, principal: Principal) -> Response:
        form = await read(request)
        try:
            await alerting.create(principal, form.get("name", ""), terms_of(form), everywhere="everywhere" in form)
        except (RequestError, NotFound, Conflict) as fault:
            return show(request, principal, form, rule=None, fault=fault)
        return toast(_to(HERE), "Rule made")

    async def one(request: Request, principal: Principal) -> Response:
        rule = (await alerting.rule(principal, request.path_params["id"])).rule
        form = filled(rule.name, rule.terms)
        kind = request.query_params.get("kind", form["kind"])
        return show(request, principal, {**FRESH, **form, "kind": kind} if kind != form["kind"] else form, rule=rule)

    async def change(request: Request, principal: Principal) -> Response:
        form = await read(request)
        rule = (await alerting.rule(principal, request.path_params["id"])).rule
        try:
            await alerting.replace(principal, rule.id, form.get("name", ""), terms_of(form, rule.terms))
        except (RequestError, NotFound, Conflict) as fault:
            return show(request, principal, form, rule=rule, fault=fault)
        return toast(_to(HERE), "Rule changed")

    async def remove(request: Request, principal: Principal) -> Response:
        await alerting.delete(principal, request.path_params["id"])
        return toast(_to(HERE), "Rule removed")

    admin, path = Scope.ADMIN, f"{HERE}/{{id}}"
    return (
        Page(path=HERE, handler=listed),
        Page(path=NEW, handler=fresh, scope=admin),
        Page(path=NEW, handler=create, scope=admin, methods=("POST",)),
        Page(path=path, handler=one),
        Page(path=path, handler=change, scope=admin, methods=("POST",)),
        Page(path=f"{path}/remove", handler=remove, scope=admin, methods=("POST",)),
    )


_PREFILLED = frozenset({"kind", "measure", "by", "where", "limit", "name", "severity"})


def kind_of(rule: Rule) -> str:
    """A rule's condition in a few words."""
    terms = rule.terms
    if terms.threshold is not None:
        one = terms.threshold
        way, limit = ("above", one.above) if one.above is not None else ("below", one.below)
        return f"{way} {limit:g} for {one.for_seconds / 60:g} min"
    if terms.objective is not None:
        return f"objective {terms.objective.target:.6g}"
    assert terms.detector is not None
    return f"detector: {terms.detector.kind}, {terms.detector.sensitivity}"


async def read(request: Request) -> dict[str, str]:
    """The fields of a form that was sent."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


def _href(rule: Rule) -> str:
    return f"{HERE}/{quote(rule.id, safe='')}"


def _whose(rule: Rule, directory: Directory | None) -> str:
    if not rule.organisation:
        return "all"
    return directory.name(rule.organisation) if directory is not None else rule.organisation


def _to(place: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(place, 303)

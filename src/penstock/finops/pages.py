"""Finops in the console: where the money goes, and the limits it has. The ledger's own pages: `ledger_pages`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode

from penstock.console import Console, toast
from penstock.finops.declared import is_declared
from penstock.finops.forms import ALERTS, budget_change, filled
from penstock.finops.service import BudgetView, Filter, Group, Money, Others, SpendRow
from penstock.kernel.errors import MalformedRequest, RequestError
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PERIODS = {"1": "Last day", "7": "Last 7 days", "30": "Last 30 days", "365": "Last year"}
GROUPS: dict[str, str] = {"task": "Task", "model": "Model", "team": "Team", "project": "Project", "key": "Key", "provider": "Provider"}
DAYS = 400
"""More than the longest period has."""
KINDS = ("everything", "organisation", "team", "project", "person", "key", "task", "model")
FRESH: Mapping[str, str] = {
    "name": "",
    "limit": "",
    "period": "month",
    "subject_kind": "everything",
    "subject": "",
    "alerts": ALERTS,
    "hard": "on",
    "organisation": "own",
}
"""The budget form before anybody writes in it."""


def pages(ports: Ports, money: Money) -> Sequence[Page]:
    """Spend, Budgets and one budget."""

    def console() -> Console:
        return ports.get(Console)

    def name(kind: str, id: str | None) -> str:
        directory = ports.find(Directory)
        if id is None:
            return f"no {kind}"
        return directory.name(id) if directory is not None and kind in ("team", "project", "key", "person", "organisation") else id

    async def spend(request: Request, principal: Principal) -> Response:
        days = request.query_params.get("days", "7")
        group = request.query_params.get("group", "task")
        if days not in PERIODS or group not in GROUPS:
            raise MalformedRequest("days or group is not one of the choices")
        wanted = Filter(since=time.time() - int(days) * 86_400)
        found = await money.spend(principal, wanted, cast("Group", group))
        by_day = await money.spend(principal, wanted, "day", DAYS)
        page = await money.ledger(principal, wanted, None, 1)

        def line(called: str, row: SpendRow | Others, href: str = "") -> dict[str, object]:
            return {
                "name": called,
                "amount": row.amount,
                "calls": row.calls,
                "tokens": row.input_tokens + row.output_tokens,
                "share": row.amount / found.amount if found.amount else 0.0,
                "href": href,
            }

        listed = [
            line(name(group, row.group), row, f"/console/ledger?{urlencode({'days': days, group: row.group})}" if row.group else "")
            for row in found.data
        ]
        if found.others is not None:
            more = found.others.groups
            listed.append(line(f"Everything else ({more} {GROUPS[group].lower()}{'s' if more > 1 else ''})", found.others))
        return console().page(
            request,
            "finops/spend.html",
            title="Spend",
            rows=listed,
            by_day=by_day.data,
            total=page.amount,
            calls=page.rows,
            unpriced=page.unpriced,
            days=days,
            group=group,
            periods=PERIODS,
            groups=GROUPS,
        )

    async def budgets(request: Request, principal: Principal) -> Response:
        return _budgets(request, principal, FRESH, None)

    def _budgets(request: Request, principal: Principal, form: Mapping[str, str], fault: RequestError | None) -> Response:
        return console().page(
            request,
            "finops/budgets.html",
            title="Budgets",
            status=fault.status if fault is not None else 200,
            budgets=[_shown(view, principal) for view in money.budgets(principal)],
            kinds=KINDS,
            form=form,
            fault=fault,
            may_change=principal.may(Scope.ADMIN),
            everywhere=principal.reach is None,
        )

    async def budget(request: Request, principal: Principal) -> Response:
        view = money.budget(principal, request.path_params["id"])
        return _budget(request, principal, view, filled(view.budget), None)

    def _budget(request: Request, principal: Principal, view: BudgetView, form: Mapping[str, str], fault: RequestError | None) -> Response:
        return console().page(
            request,
            "finops/budget.html",
            title=view.budget.name,
            status=fault.status if fault is not None else 200,
            crumbs=(("Budgets", "/console/budgets"),),
            item=_shown(view, principal),
            kinds=KINDS,
            form=form,
            fault=fault,
            may_change=principal.may(Scope.ADMIN) and not is_declared(view.budget.id),
        )

    def _shown(view: BudgetView, reader: Principal) -> dict[str, object]:
        budget, spent = view.budget, view.standing.spent
        whom = "everything" if budget.subject_kind == "everything" else f"{budget.subject_kind} {name(budget.subject_kind, budget.subject)}"
        if reader.reach is None:
            whom += f" in {name('organisation', budget.organisation)}" if budget.organisation else " in the whole installation"
        return {
            "view": view,
            "subject": whom,
            "task": budget.subject if is_declared(budget.id) else "",
            # As `Budgets` counts them: a level is reached at that many per cent, rounded up to the micro-unit.
            "levels": [(level, spent * 100 >= budget.limit * level) for level in budget.alerts],
        }

    async def create(request: Request, principal: Principal) -> Response:
        form = await read(request)
        try:
            await money.create_budget(principal, budget_change(form))
        except RequestError as fault:
            return _budgets(request, principal, {**dict.fromkeys(FRESH, ""), **form}, fault)
        return toast(_back(), "Budget added")

    async def change(request: Request, principal: Principal) -> Response:
        view = money.budget(principal, request.path_params["id"])
        form = await read(request)
        try:
            await money.change_budget(principal, view.budget.id, budget_change(form))
        except RequestError as fault:
            return _budget(request, principal, view, {**dict.fromkeys(FRESH, ""), **form}, fault)
        return toast(_back(), "Budget changed")

    async def remove(request: Request, principal: Principal) -> Response:
        await money.remove_budget(principal, request.path_params["id"])
        return toast(_back(), "Budget deleted")

    admin = Scope.ADMIN
    return (
        Page(path="/console/spend", handler=spend),
        Page(path="/console/budgets", handler=budgets),
        Page(path="/console/budgets", handler=create, scope=admin, methods=("POST",)),
        Page(path="/console/budgets/{id}", handler=budget),
        Page(path="/console/budgets/{id}", handler=change, scope=admin, methods=("POST",)),
        Page(path="/console/budgets/{id}/delete", handler=remove, scope=admin, methods=("POST",)),
    )


async def read(request: Request) -> dict[str, str]:
    """The fields of a form that was sent; of a field that came twice the last one, files not at all."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


def _back() -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse("/console/budgets", 303)

"""Finops in the console: where the money goes, and the limits it has."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from penstock.console import Console, toast
from penstock.finops.money import micro
from penstock.finops.service import BudgetChange, Filter, Group, Money
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PERIODS = {"1": "Last day", "7": "Last 7 days", "30": "Last 30 days", "365": "Last year"}
GROUPS: dict[str, str] = {"task": "Task", "model": "Model", "team": "Team", "project": "Project", "key": "Key", "provider": "Provider"}
KINDS = ("everything", "organisation", "team", "project", "person", "key", "task", "model")


def pages(ports: Ports, money: Money) -> Sequence[Page]:
    """Spend and Budgets."""

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
        rows = await money.spend(principal, wanted, cast("Group", group))
        by_day = await money.spend(principal, wanted, "day", 400)
        page = await money.ledger(principal, wanted, None, 1)
        total = sum(row.amount for row in rows)
        listed = [
            {
                "name": name(group, row.group),
                "amount": row.amount,
                "calls": row.calls,
                "tokens": row.input_tokens + row.output_tokens,
                "share": row.amount / total if total else 0.0,
            }
            for row in rows
        ]
        return console().page(
            request,
            "finops/spend.html",
            title="Spend",
            rows=listed,
            by_day=by_day,
            total=page.amount,
            calls=page.rows,
            unpriced=page.unpriced,
            days=days,
            group=group,
            periods=PERIODS,
            groups=GROUPS,
        )

    async def budgets(request: Request, principal: Principal) -> Response:
        views = [{"view": v, "subject": _subject(v.budget.subject_kind, v.budget.subject)} for v in money.budgets(principal)]
        return console().page(
            request, "finops/budgets.html", title="Budgets", budgets=views, kinds=KINDS, may_change=principal.may(Scope.ADMIN)
        )

    def _subject(kind: str, subject: str) -> str:
        return "everything" if kind == "everything" else f"{kind} {name(kind, subject)}"

    async def create(request: Request, principal: Principal) -> Response:
        await money.create_budget(principal, _change(cast("dict[str, Any]", dict(await request.form()))))
        return toast(_back(), "Budget added")

    async def remove(request: Request, principal: Principal) -> Response:
        await money.remove_budget(principal, request.path_params["id"])
        return toast(_back(), "Budget deleted")

    admin = Scope.ADMIN
    return (
        Page(path="/console/spend", handler=spend),
        Page(path="/console/budgets", handler=budgets),
        Page(path="/console/budgets", handler=create, scope=admin, methods=("POST",)),
        Page(path="/console/budgets/{id}/delete", handler=remove, scope=admin, methods=("POST",)),
    )


def _back() -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse("/console/budgets", 303)


def _change(form: dict[str, Any]) -> BudgetChange:
    try:
        limit = micro(str(form.get("limit", "")).strip())
    except ValueError as fault:
        raise MalformedRequest(f"limit: {fault}; write dollars such as 25 or 0.50", param="limit") from fault
    values: dict[str, Any] = {
        "name": str(form.get("name", "")),
        "limit": limit,
        "period": form.get("period", "month"),
        "subject_kind": form.get("subject_kind", "everything"),
        "subject": str(form.get("subject", "")).strip(),
        "hard": form.get("hard") is not None,
    }
    try:
        return msgspec.convert(values, BudgetChange)
    except msgspec.ValidationError as fault:
        raise MalformedRequest(f"budget: {fault}") from fault

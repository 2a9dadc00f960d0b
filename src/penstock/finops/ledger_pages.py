"""The ledger in the console: its rows, one row with what corrects it, and the form that corrects it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from penstock.console import Console, toast
from penstock.finops.forms import correction
from penstock.finops.money import decimal
from penstock.finops.pages import PERIODS, read
from penstock.finops.service import Filter, LedgerEntry, LedgerView, Money
from penstock.kernel.errors import MalformedRequest, RequestError
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PER_PAGE = 50
STATUSES = (("", "Any"), ("ok", "Answered"), ("failed", "Failed"), ("cancelled", "Cancelled"), ("correction", "Corrections"))
TYPED = ("model", "task", "status")
"""Filters with a field of their own; the others come with an address and are shown so that they can be taken off."""
CHOSEN = ("team", "project", "key", "provider")


def ledger_pages(ports: Ports, money: Money) -> Sequence[Page]:
    """Ledger and one row of it."""

    def name(id: str | None) -> str | None:
        directory = ports.find(Directory)
        return id if id is None or directory is None else directory.name(id)

    async def ledger(request: Request, principal: Principal) -> Response:
        query = request.query_params
        days = query.get("days", "7")
        if days not in PERIODS:
            raise MalformedRequest(f"days: one of {', '.join(PERIODS)}", param="days")
        given: dict[str, Any] = {field: query[field] for field in (*TYPED, *CHOSEN) if query.get(field)}
        since = time.time() - int(days) * 86_400
        page = await money.ledger(principal, Filter(since=since, **given), query.get("cursor") or None, PER_PAGE)
        here = {"days": days, **given}
        return ports.get(Console).page(
            request,
            "finops/ledger.html",
            title="Ledger",
            rows=[_line(row, name) for row in page.data],
            page=page,
            days=days,
            periods=PERIODS,
            statuses=STATUSES,
            given=given,
            chips=[(f"{f} {name(given[f])}", _at({k: v for k, v in here.items() if k != f})) for f in CHOSEN if f in given],
            kept={f: given[f] for f in CHOSEN if f in given},
            older=_at({**here, "cursor": page.next_cursor}) if page.next_cursor else "",
            export="/v1/ledger/export?" + urlencode({"since": f"{since:.0f}", **given}),
        )

    async def row(request: Request, principal: Principal) -> Response:
        view = await money.row(principal, request.path_params["id"])
        if view.row.corrects is not None:
            return _redirect(view.row.corrects)
        return _row(request, principal, view, {"amount": decimal(view.amount), "reason": ""}, None)

    def _row(request: Request, principal: Principal, view: LedgerView, form: Mapping[str, str], fault: RequestError | None) -> Response:
        row = view.row
        owners = (("Organisation", row.organisation), ("Team", row.team), ("Project", row.project), ("Person", row.person))
        return ports.get(Console).page(
            request,
            "finops/ledger_row.html",
            title=row.id,
            status=fault.status if fault is not None else 200,
            crumbs=(("Ledger", "/console/ledger"),),
            row=row,
            amount=view.amount,
            corrections=[{"row": c, "by": name(c.by)} for c in view.corrections],
            owners=[(what, name(id)) for what, id in (*owners, ("Key", row.key_id))],
            prices=_prices(row),
            form=form,
            fault=fault,
            may_change=principal.may(Scope.ADMIN),
        )

    async def correct(request: Request, principal: Principal) -> Response:
        id: str = request.path_params["id"]
        form = await read(request)
        try:
            await money.correct(principal, id, correction(form))
        except RequestError as fault:
            # A row that is not there, or that is another's, is not found once more here.
            view = await money.row(principal, id)
            return _row(request, principal, view, {"amount": "", "reason": "", **form}, fault)
        return toast(_redirect(id), "Corrected")

    return (
        Page(path="/console/ledger", handler=ledger),
        Page(path="/console/ledger/{id}", handler=row),
        Page(path="/console/ledger/{id}/corrections", handler=correct, scope=Scope.ADMIN, methods=("POST",)),
    )


def _line(row: LedgerEntry, name: Any) -> dict[str, object]:
    return {"row": row, "key": name(row.key_id), "href": f"/console/ledger/{row.corrects or row.id}"}


def _prices(row: LedgerEntry) -> list[tuple[str, int]]:
    # A kind that has the price of what it is part of says nothing new.
    if row.prices is None:
        return []
    prices: dict[str, int] = msgspec.structs.asdict(row.prices)
    whole = {"cached": "input", "cache_written": "input", "audio_input": "input", "reasoning": "output", "audio_output": "output"}
    return [
        (kind.replace("_", " "), price)
        for kind, price in prices.items()
        if kind in ("input", "output") or (price != prices[whole[kind]] if kind in whole else price)
    ]


def _at(query: Mapping[str, str]) -> str:
    return f"/console/ledger?{urlencode(query)}"


def _redirect(id: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(f"/console/ledger/{id}", 303)

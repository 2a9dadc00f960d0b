"""The JSON routes of finops: budgets, ledger, spending, prices."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from penstock.finops.money import UnitPrices
from penstock.finops.pricing import PriceBook
from penstock.finops.service import (
    BudgetChange,
    BudgetView,
    Correction,
    Filter,
    Group,
    LedgerEntry,
    LedgerPage,
    LedgerView,
    Money,
    Spending,
)
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Nothing, Route

EXPORT_ROWS = 100_000
"""Rows in one CSV at most; narrow the period for more."""


class BudgetList(Struct, frozen=True, kw_only=True):
    """All budgets."""

    data: list[BudgetView]


class LedgerQuery(Filter, frozen=True, kw_only=True):
    """A filter, a page size, and where the last page ended."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class SpendQuery(Filter, frozen=True, kw_only=True):
    """A filter and what to group by."""

    group: Group = "task"


class SpendList(Spending, frozen=True, kw_only=True):
    """Spending by group: a hundred of them by themselves, the rest together."""

    group: Group


class PriceQuery(Struct, frozen=True, kw_only=True):
    """Whose price is asked for."""

    provider: str
    model: str
    input_tokens: Annotated[int, Meta(ge=0, description="For prices that depend on the length of the input.")] = 0


class PriceView(Struct, frozen=True, kw_only=True):
    """What a model costs now, in micro-units per million of each kind; ``prices`` is null when no price is known.

    ``measures`` are what there are prices for (``tokens``, ``images``, ``audio``, ``characters``, ``searches``), null where all is told.
    """

    provider: str
    model: str
    source: str
    prices: UnitPrices | None
    measures: list[str] | None


_CSV = (  # noqa: SIM905 - a list literal takes twenty lines
    "id at_ms organisation team project person key task model provider provider_model operation input_tokens output_tokens estimated "
    "amount_micros currency status corrects reason trace_id"
).split()


def as_csv(entries: Iterable[LedgerEntry]) -> str:
    """Rows as CSV (RFC 4180) with a heading. A cell that a spreadsheet would take for a formula is given an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_CSV)
    for e in entries:
        cells = (e.id, e.at, e.organisation, e.team, e.project, e.person, e.key_id, e.task, e.model, e.provider, e.provider_model)
        cells += (e.operation, e.usage.input, e.usage.output, e.usage.estimated, e.amount, e.currency, e.status, e.corrects, e.reason)
        writer.writerow(["'" + c if isinstance(c, str) and c[:1] in "=+-@\t\r" and c else c for c in (*cells, e.trace_id)])
    return out.getvalue()


def routes(money: Money, book: PriceBook) -> Sequence[Route]:
    """All routes of finops."""

    async def list_budgets(ask: Ask) -> BudgetList:
        return BudgetList(data=money.budgets(ask.principal))

    async def create_budget(ask: Ask) -> BudgetView:
        return await money.create_budget(ask.principal, ask.body(BudgetChange))

    async def get_budget(ask: Ask) -> BudgetView:
        return money.budget(ask.principal, ask.path["id"])

    async def change_budget(ask: Ask) -> BudgetView:
        return await money.change_budget(ask.principal, ask.path["id"], ask.body(BudgetChange))

    async def remove_budget(ask: Ask) -> None:
        await money.remove_budget(ask.principal, ask.path["id"])

    async def ledger(ask: Ask) -> LedgerPage:
        query = ask.query(LedgerQuery)
        return await money.ledger(ask.principal, query, query.cursor, query.limit)

    async def get_row(ask: Ask) -> LedgerView:
        return await money.row(ask.principal, ask.path["id"])

    async def correct(ask: Ask) -> LedgerEntry:
        return await money.correct(ask.principal, ask.path["id"], ask.body(Correction))

    async def export(ask: Ask) -> Any:
        # Starlette takes a tenth of a second to import; a command that only lists routes does not need it.
        from starlette.responses import Response

        page = await money.ledger(ask.principal, ask.query(Filter), None, EXPORT_ROWS)
        headers = {
            "content-disposition": 'attachment; filename="ledger.csv"',
            "x-penstock-rows": str(page.rows),
            "cache-control": "no-store",
        }
        # A hundred thousand rows take a second to write, in which no call should wait.
        text = await asyncio.to_thread(as_csv, page.data)
        return Response(text, headers=headers, media_type="text/csv")

    async def spend(ask: Ask) -> SpendList:
        query = ask.query(SpendQuery)
        found = await money.spend(ask.principal, query, query.group)
        return SpendList(group=query.group, data=found.data, others=found.others, amount=found.amount)

    async def price(ask: Ask) -> PriceView:
        query = ask.query(PriceQuery)
        quote = book.quote(query.provider, query.model)
        return PriceView(
            provider=query.provider,
            model=query.model,
            source=quote.source,
            prices=quote.prices(query.input_tokens),
            measures=sorted(quote.measures) if quote.measures is not None else None,
        )

    read, admin = Scope.READ, Scope.ADMIN
    return (
        Route(method="GET", path="/v1/budgets", handler=list_budgets, summary="List budgets.", scope=read, returns=BudgetList),
        Route(
            method="POST",
            path="/v1/budgets",
            handler=create_budget,
            summary="Add a budget.",
            scope=admin,
            body=BudgetChange,
            returns=BudgetView,
            status=201,
        ),
        Route(method="GET", path="/v1/budgets/{id}", handler=get_budget, summary="Show a budget.", scope=read, returns=BudgetView),
        Route(
            method="PUT",
            path="/v1/budgets/{id}",
            handler=change_budget,
            summary="Replace a budget's terms.",
            scope=admin,
            body=BudgetChange,
            returns=BudgetView,
        ),
        Route(method="DELETE", path="/v1/budgets/{id}", handler=remove_budget, summary="Delete a budget.", scope=admin, returns=Nothing),
        Route(
            method="GET", path="/v1/ledger", handler=ledger, summary="List ledger rows.", scope=read, query=LedgerQuery, returns=LedgerPage
        ),
        Route(
            method="GET",
            path="/v1/ledger/export",
            handler=export,
            summary="Ledger rows as CSV, newest first, at most 100,000; the header x-penstock-rows says how many there are.",
            scope=read,
            query=Filter,
            returns=str,
            media="text/csv",
        ),
        Route(
            method="GET",
            path="/v1/ledger/{id}",
            handler=get_row,
            summary="Show a ledger row with its corrections.",
            scope=read,
            returns=LedgerView,
        ),
        Route(
            method="POST",
            path="/v1/ledger/{id}/corrections",
            handler=correct,
            summary="Correct a row by adding another.",
            scope=admin,
            body=Correction,
            returns=LedgerEntry,
            status=201,
        ),
        Route(method="GET", path="/v1/spend", handler=spend, summary="Spending by group.", scope=read, query=SpendQuery, returns=SpendList),
        Route(
            method="GET", path="/v1/prices", handler=price, summary="What a model costs.", scope=read, query=PriceQuery, returns=PriceView
        ),
    )

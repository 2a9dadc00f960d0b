"""Views over JSON, and the part of a page that lists and keeps them.

A page has it by `{% include "observability/views/bar.html" %}`; the part asks for itself and learns from the browser where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from penstock.console import Console, toast
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Ask, Nothing, Page, Route
from penstock.observability.views.kept import NewView, View, Views, written

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class ViewsQuery(Struct, frozen=True, kw_only=True):
    """Of which page views are wanted; of all where nothing is said."""

    path: Annotated[str, Meta(max_length=200)] = ""


class ViewList(Struct, frozen=True, kw_only=True):
    """Views that the caller sees: their own, and the shared ones of their organisation."""

    data: list[View]


def view_routes(views: Views) -> Sequence[Route]:
    """The routes."""

    async def listed(ask: Ask) -> ViewList:
        return ViewList(data=await views.all(ask.principal, ask.query(ViewsQuery).path))

    async def keep(ask: Ask) -> View:
        return await views.keep(ask.principal, ask.body(NewView))

    async def remove(ask: Ask) -> None:
        await views.remove(ask.principal, ask.path["id"])

    read = Scope.READ
    return (
        Route(method="GET", path="/v1/views", handler=listed, summary="List saved views.", scope=read, query=ViewsQuery, returns=ViewList),
        Route(method="POST", path="/v1/views", handler=keep, summary="Save a view.", scope=read, body=NewView, returns=View, status=201),
        Route(method="DELETE", path="/v1/views/{id}", handler=remove, summary="Remove a saved view.", scope=read, returns=Nothing),
    )


def view_pages(ports: Ports, views: Views) -> Sequence[Page]:
    """The part that pages include, and where its forms lead."""

    async def part(request: Request, principal: Principal) -> Response:
        return await _part(request, principal)

    async def keep(request: Request, principal: Principal) -> Response:
        form = await request.form()
        path, query = _here(request)
        given = {"name": str(form.get("name") or ""), "path": path, "query": query, "shared": form.get("shared") is not None}
        try:
            new = msgspec.convert(given, NewView)
        except msgspec.ValidationError as fault:
            raise MalformedRequest(f"view: {fault}") from fault
        view = await views.keep(principal, new)
        return toast(await _part(request, principal), f"View “{view.name}” saved")

    async def remove(request: Request, principal: Principal) -> Response:
        await views.remove(principal, request.path_params["id"])
        return toast(await _part(request, principal), "View removed")

    async def _part(request: Request, principal: Principal) -> Response:
        path, query = _here(request)
        kept = await views.all(principal, path)
        return ports.get(Console).part("observability/views/part.html", views=kept, query=query)

    return (
        Page(path="/console/views", handler=part),
        Page(path="/console/views", handler=keep, methods=("POST",)),
        Page(path="/console/views/{id}/remove", handler=remove, methods=("POST",)),
    )


def _here(request: Request) -> tuple[str, str]:
    """The page that asks, as htmx says. Raises `MalformedRequest` where nothing does."""
    parts = urlsplit(request.headers.get("hx-current-url") or request.headers.get("referer") or "")
    if not parts.path.startswith("/console/"):
        raise MalformedRequest("this part is asked for by a page of the console")
    return parts.path, written(parts.query)

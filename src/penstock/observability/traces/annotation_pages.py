"""What people say of traces and spans: routes, and the forms of the pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from penstock.console import toast
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Ask, Nothing, Page, Route
from penstock.observability.traces.annotations import Annotation, AnnotationList, Annotations, NewAnnotation
from penstock.observability.traces.routes import OFF
from penstock.observability.traces.service import Traces

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def annotation_routes(traces: Traces, annotations: Annotations) -> Sequence[Route]:
    """Say something, read what was said, take it back."""

    async def add(ask: Ask) -> Annotation:
        new = ask.body(NewAnnotation)
        trace = ask.path["trace"]
        return await annotations.add(ask.principal, await traces.owner(ask.principal, trace, new.span), trace, new)

    async def listed(ask: Ask) -> AnnotationList:
        return AnnotationList(data=await annotations.of(ask.principal, ask.path["trace"]))

    async def remove(ask: Ask) -> None:
        await annotations.remove(ask.principal, ask.path["trace"], ask.path["id"])

    path = "/v1/traces/{trace}/annotations"
    return (
        Route(
            method="POST",
            path=path,
            handler=add,
            summary="Say something of a trace or span.",
            scope=Scope.READ,
            body=NewAnnotation,
            returns=Annotation,
            status=201,
            failures=OFF,
        ),
        Route(method="GET", path=path, handler=listed, summary="What was said of a trace.", scope=Scope.READ, returns=AnnotationList),
        Route(method="DELETE", path=f"{path}/{{id}}", handler=remove, summary="Take it back.", scope=Scope.READ, returns=Nothing),
    )


def annotation_pages(traces: Traces, annotations: Annotations) -> Sequence[Page]:
    """Targets of the forms on the pages of a trace and a span, which lead back there."""

    async def add(request: Request, principal: Principal) -> Response:
        form = await request.form()
        given = {name: str(form.get(name, "")) for name in ("span", "label", "comment")}
        try:
            score = float(str(form.get("score"))) / 100 if form.get("score") else None
            new = msgspec.convert({**given, "score": score}, NewAnnotation)
        except ValueError as fault:  # also what msgspec raises
            raise MalformedRequest(f"annotation: {fault}") from fault
        trace = request.path_params["trace"]
        await annotations.add(principal, await traces.owner(principal, trace, new.span), trace, new)
        return toast(_back(trace, new.span), "Kept")

    async def remove(request: Request, principal: Principal) -> Response:
        trace = request.path_params["trace"]
        await annotations.remove(principal, trace, request.path_params["id"])
        return toast(_back(trace, str((await request.form()).get("span", ""))), "Taken back")

    path = "/console/traces/{trace}/annotations"
    return (
        Page(path=path, handler=add, methods=("POST",)),
        Page(path=f"{path}/{{id}}/remove", handler=remove, methods=("POST",)),
    )


def _back(trace: str, span: str) -> Response:
    from starlette.responses import RedirectResponse

    known = len(span) == 16 and span.isalnum()
    return RedirectResponse(f"/console/traces/{trace}{f'/spans/{span}' if known else ''}#annotations", 303)

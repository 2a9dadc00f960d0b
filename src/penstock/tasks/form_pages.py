"""The form of a task in the console: declared, declared anew, deleted; and shown where it may not be changed, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from penstock.console import Console, toast
from penstock.kernel.errors import NotFound, RequestError
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page
from penstock.tasks.forms import FRESH, PLACES, at_field, declaration, filled
from penstock.tasks.model import TaskView
from penstock.tasks.service import TaskService
from penstock.tasks.validation import TAKES, Invalid

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

KINDS = {
    "": "nobody",
    "exact": "exact: is the target",
    "numeric": "numeric: is the number",
    "regex": "regex: fits a pattern",
    "json_schema": "json_schema: the shape",
    "code": "code: passes its tests",
    "pairwise": "pairwise: beats another",
    "rubric": "rubric: a model says so",
    "groundedness": "groundedness",
    "human": "human: people say so",
    "outcome": "outcome: what came of it",
}
TAKEN_BY = {field: " ".join(kind for kind, fields in TAKES.items() if field in fields) for field in {f for v in TAKES.values() for f in v}}
"""By field of the judge, the kinds that take it: the others' forms hide it."""
NEW = "/console/tasks/~new"
"""No task is called so: names hold no tilde."""


def pages(ports: Ports, service: TaskService) -> Sequence[Page]:
    """The form for a new task, and that of one that there is."""

    def show(
        request: Request,
        principal: Principal,
        form: Mapping[str, str],
        *,
        view: TaskView | None = None,
        fault: RequestError | None = None,
    ) -> Response:
        found = fault.faults if isinstance(fault, Invalid) else ()
        errors: dict[str, str] = {}
        for one in found:
            errors.setdefault(at_field(one.where), f"{one.what}; {one.mend}")
        if fault is not None and not found and fault.param == "name":
            errors["name"] = fault.message.removeprefix("name: ")
        fresh = view is None
        return ports.get(Console).page(
            request,
            "tasks/form.html",
            title="Declare a task" if view is None else f"Declaration of {view.name}",
            crumbs=(("Tasks", "/console/tasks"), *(() if view is None else ((view.name, _href(view, principal)),))),
            status=fault.status if fault is not None else 200,
            action=NEW if view is None else f"/console/tasks/{quote(view.name, safe='')}/declaration",
            view=view,
            fresh=fresh,
            why_not=_why_not(view, principal) if view is not None else "",
            back=_href(view, principal) if view is not None else "/console/tasks",
            form=form,
            fault=fault,
            said=[one.said() for one in found] or ([fault.message] if fault is not None else []),
            errors=errors,
            first=next(iter(errors), ""),
            kinds=list(KINDS.items()),
            taken_by=TAKEN_BY,
            places=PLACES,
        )

    def _why_not(view: TaskView, principal: Principal) -> str:
        if view.shared:
            section = f"[tasks.{msgspec.json.encode(view.name).decode()}]"
            return (
                f"This task stands in penstock.toml, {section}, for every organisation. Change it there; it holds from the next start on."
            )
        if view.organisation != principal.organisation:
            directory = ports.find(Directory)
            whose = directory.name(view.organisation) if directory is not None else view.organisation
            return f"This task belongs to {whose}, whose own administrators change it."
        return "" if principal.may(Scope.ADMIN) else "Your key may look at tasks and not change them: that takes the scope admin."

    async def fresh(request: Request, principal: Principal) -> Response:
        return show(request, principal, {**FRESH, "name": ""})

    async def create(request: Request, principal: Principal) -> Response:
        form = await _read(request)
        name = form.get("name", "").strip()
        try:
            view = await service.create(principal, name, declaration(form))
        except RequestError as fault:
            return show(request, principal, form, fault=fault)
        return toast(_to(_href(view, principal)), "Task declared")

    async def shown(request: Request, principal: Principal) -> Response:
        view = service.get(principal, request.path_params["name"], request.query_params.get("organisation"))
        return show(request, principal, {**filled(view.declaration), "digest": view.digest}, view=view)

    async def replace(request: Request, principal: Principal) -> Response:
        view = service.get(principal, request.path_params["name"])
        form = await _read(request)
        try:
            view = await service.replace(principal, view.name, declaration(form), form.get("digest", ""))
        except NotFound:
            raise
        except RequestError as fault:
            return show(request, principal, form, view=view, fault=fault)
        return toast(_to(_href(view, principal)), "Task declared anew")

    async def delete(request: Request, principal: Principal) -> Response:
        view = service.get(principal, request.path_params["name"])
        form = await _read(request)
        try:
            await service.delete(principal, view.name, form.get("digest", ""))
        except NotFound:
            raise
        except RequestError as fault:
            return show(request, principal, {**filled(view.declaration), "digest": view.digest}, view=view, fault=fault)
        return toast(_to("/console/tasks"), "Task deleted")

    admin, one = Scope.ADMIN, "/console/tasks/{name}/declaration"
    return (
        Page(path=NEW, handler=fresh, scope=admin),
        Page(path=NEW, handler=create, scope=admin, methods=("POST",)),
        Page(path=one, handler=shown),
        Page(path=one, handler=replace, scope=admin, methods=("POST",)),
        Page(path=f"{one}/delete", handler=delete, scope=admin, methods=("POST",)),
    )


def _href(view: TaskView, reader: Principal) -> str:
    others = not view.shared and view.organisation != reader.organisation
    return f"/console/tasks/{quote(view.name, safe='')}{f'?organisation={quote(view.organisation)}' if others else ''}"


async def _read(request: Request) -> dict[str, str]:
    """The fields of a form that was sent; of a field that came twice the last one, files not at all."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


def _to(place: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(place, 303)

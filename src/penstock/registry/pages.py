"""The registry in the console: which models may be used for what, and how one version came to stand where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from penstock.console import Console, toast
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page
from penstock.registry.model import Coverage, Version
from penstock.registry.service import Registry

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

KINDS = {"draft": "neutral", "scanned": "info", "signed": "info", "evaluated": "warn", "approved": "ok", "revoked": "bad"}
COVERAGES = {"all": "Everything", "task": "One task", "data_class": "One data class"}


def pages(ports: Ports, registry: Registry) -> Sequence[Page]:
    """The list, one version, and its two buttons."""

    def name(id: str | None) -> str:
        directory = ports.find(Directory)
        return id or "" if directory is None or id is None else directory.name(id)

    async def models(request: Request, principal: Principal) -> Response:
        state = request.query_params.get("state", "")
        if state and state not in KINDS:
            raise MalformedRequest("state is not one of the choices", param="state")
        found, _ = await registry.models(principal, None, 1000)
        names = {one.id: one.name for one in found}
        versions = [v for v in reversed(await registry.versions(principal)) if state in ("", v.state)]
        return ports.get(Console).page(
            request,
            "registry/models.html",
            title="Models",
            versions=versions,
            names=names,
            unversioned=[one for one in found if not any(v.model == one.id for v in versions)] if not state else [],
            kinds=KINDS,
            covered=_covered,
            state=state,
        )

    async def version(request: Request, principal: Principal) -> Response:
        found = await registry.version(principal, request.path_params["id"])
        model, _ = await registry.model(principal, found.model)
        return ports.get(Console).page(
            request,
            "registry/version.html",
            title=f"{model.name} {found.number}",
            model=model,
            found=found,
            kind=KINDS[found.state],
            covered=_covered(found),
            makers=", ".join(dict.fromkeys(name(one) for one in found.makers)),
            trail=[(line, name(line.person or line.by)) for line in await registry.trail(principal, found.id, 0, 1000)],
            may_change=principal.may(Scope.ADMIN) and found.state != "revoked",
            coverages=COVERAGES,
        )

    async def approve(request: Request, principal: Principal) -> Response:
        form = await request.form()
        coverage = str(form.get("coverage", ""))
        if coverage not in COVERAGES:
            raise MalformedRequest("coverage is not one of the choices", param="coverage")
        id = request.path_params["id"]
        named = "" if coverage == "all" else str(form.get("name", "")).strip()
        await registry.approve(principal, id, cast("Coverage", coverage), named, str(form.get("reason", "")))
        return toast(_back(id), "Approved")

    async def revoke(request: Request, principal: Principal) -> Response:
        id = request.path_params["id"]
        await registry.revoke(principal, id, str((await request.form()).get("reason", "")))
        return toast(_back(id), "Revoked: nobody can call it any more")

    one = "/console/models/{id}"
    return (
        Page(path="/console/models", handler=models),
        Page(path=one, handler=version),
        Page(path=f"{one}/approve", handler=approve, scope=Scope.ADMIN, methods=("POST",)),
        Page(path=f"{one}/revoke", handler=revoke, scope=Scope.ADMIN, methods=("POST",)),
    )


def _covered(version: Version) -> str:
    """What the version is approved for, in words."""
    if version.state != "approved":
        return "nothing"
    words = [
        "everything" if a.coverage == "all" else f"task {a.name}" if a.coverage == "task" else f"{a.name} data" for a in version.approvals
    ]
    return ", ".join(words)


def _back(id: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(f"/console/models/{id}", 303)

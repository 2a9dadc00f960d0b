"""Prompts in the console: what each version says, what changed between two, and which one is in production."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from penstock.console import Console, toast
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page
from penstock.registry.prompts.difference import difference
from penstock.registry.prompts.model import LATEST, PRODUCTION
from penstock.registry.prompts.service import Prompts

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def pages(ports: Ports, prompts: Prompts) -> Sequence[Page]:
    """The list, one prompt, and the move of a label."""

    def name(id: str | None) -> str:
        directory = ports.find(Directory)
        return id or "" if directory is None or id is None else directory.name(id)

    async def listed(request: Request, principal: Principal) -> Response:
        found, _ = await prompts.prompts(principal, None, 1000)
        return ports.get(Console).page(request, "registry/prompts.html", title="Prompts", prompts=found, production=PRODUCTION)

    async def one(request: Request, principal: Principal) -> Response:
        id, query = request.path_params["id"], request.query_params
        prompt, versions = await prompts.prompt(principal, id)
        _, shown = await prompts.version(principal, prompt.id, query.get("version") or LATEST)
        against = query.get("against") or str(max(1, shown.number - 1))
        _, before = await prompts.version(principal, prompt.id, against)
        return ports.get(Console).page(
            request,
            "registry/prompt.html",
            title=prompt.name,
            prompt=prompt,
            versions=versions,
            shown=shown,
            before=before,
            diff=await asyncio.to_thread(difference, before, shown),
            numbers=[(str(v.number), f"version {v.number}") for v in versions],
            labels_of={v.number: sorted(label for label, at in prompt.labels.items() if at == v.number) for v in versions},
            makers=", ".join(dict.fromkeys(name(maker) for maker in shown.makers)),
            trail=[(line, name(line.person or line.by)) for line in await prompts.trail(principal, prompt.id)],
            may_change=principal.may(Scope.ADMIN),
            production=PRODUCTION,
        )

    async def move(request: Request, principal: Principal) -> Response:
        form = await request.form()
        id, label, version = request.path_params["id"], str(form.get("label", "")).strip(), str(form.get("version", ""))
        await prompts.label(principal, id, label, version, str(form.get("reason", "")))
        from starlette.responses import RedirectResponse

        return toast(RedirectResponse(f"/console/prompts/{quote(id)}?version={quote(version)}", 303), f"{label} is version {version} now")

    return (
        Page(path="/console/prompts", handler=listed),
        Page(path="/console/prompts/{id}", handler=one),
        Page(path="/console/prompts/{id}/label", handler=move, scope=Scope.ADMIN, methods=("POST",)),
    )

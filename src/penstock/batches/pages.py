"""Batches in the console: what there is, and how far one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from penstock.batches.model import ANTHROPIC, ENDED, Batch, Status
from penstock.batches.service import Batching
from penstock.console import Console, toast
from penstock.console.formats import duration
from penstock.kernel.journal import JOURNAL
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PER_PAGE = 50
TONES = {
    Status.COMPLETED: "ok",
    Status.FAILED: "bad",
    Status.EXPIRED: "warn",
    Status.CANCELLED: "neutral",
    Status.CANCELLING: "warn",
}


def pages(ports: Ports, batching: Batching) -> Sequence[Page]:
    """The list, one batch, its cancelling and its downloads."""

    def console() -> Console:
        return ports.get(Console)

    def name(id: str) -> str:
        directory = ports.find(Directory)
        return directory.name(id) if directory is not None else id

    async def batches(request: Request, principal: Principal) -> Response:
        before = request.query_params.get("before") or None
        found = await batching.list(principal.reach, below=before, limit=PER_PAGE)
        older = f"/console/batches?{urlencode({'before': found[-1].id})}" if len(found) == PER_PAGE else ""
        rows = [
            {"batch": b, "href": f"/console/batches/{b.id}", "organisation": name(b.organisation), "word": _word(b), "tone": _tone(b)}
            for b in found
        ]
        return console().page(
            request,
            "batches/batches.html",
            title="Batches",
            rows=rows,
            tenants=principal.reach is None,
            live=before is None,
            older=older,
        )

    async def one(request: Request, principal: Principal) -> Response:
        batch = await batching.get(principal.reach, request.path_params["id"])
        left = batch.left_seconds
        codes = [{"label": code, "value": n, "text": f"{n:,}"} for code, n in sorted(batch.codes.items(), key=lambda pair: -pair[1])]
        return console().page(
            request,
            "batches/batch.html",
            title="Batch",
            crumbs=(("Batches", "/console/batches"),),
            batch=batch,
            word=_word(batch),
            tone=_tone(batch),
            left=f"in about {duration(left * 1e3)}" if left is not None else "",
            codes=codes,
            organisation=name(batch.organisation),
            key=name(batch.key_id),
            downloads=_downloads(batch),
            ended=batch.status in ENDED,
            may_cancel=batch.status in (Status.VALIDATING, Status.IN_PROGRESS) and principal.may(Scope.ADMIN),
        )

    async def cancel(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        id = request.path_params["id"]
        await batching.cancel(principal.reach, id)
        return toast(RedirectResponse(f"/console/batches/{id}", 303), "Batch is being cancelled")

    def download(errors: bool) -> Page:
        async def answer(request: Request, principal: Principal) -> Response:
            from starlette.responses import StreamingResponse

            id = request.path_params["id"]
            pieces = await batching.results(principal.reach, id, errors=errors)
            named = f"{id}_{'errors' if errors else 'results'}.jsonl"
            headers = {"content-disposition": f'attachment; filename="{named}"', "cache-control": "no-store"}
            return StreamingResponse(pieces, headers=headers, media_type="application/jsonl")

        return Page(path=f"/console/batches/{{id}}/{'errors' if errors else 'results'}", handler=answer)

    path = "/console/batches/{id}"
    return (
        Page(path="/console/batches", handler=batches),
        Page(path=path, handler=one, holding=JOURNAL),
        Page(path=f"{path}/cancel", handler=cancel, scope=Scope.ADMIN, methods=("POST",), holding=JOURNAL),
        download(errors=False),
        download(errors=True),
    )


def _downloads(batch: Batch) -> dict[str, str]:
    base = f"/console/batches/{batch.id}"
    whole = batch.shape == ANTHROPIC and batch.status in ENDED and batch.archived_at is None
    return {
        "output": f"{base}/results" if batch.output_file or whole else "",
        "errors": f"{base}/errors" if batch.error_file else "",
    }


def _word(batch: Batch) -> str:
    return batch.status.value.replace("_", " ")


def _tone(batch: Batch) -> str:
    return TONES.get(batch.status, "accent")

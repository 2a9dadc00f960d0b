"""The journal in the console: what runs, what waits, and one run step by step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from penstock.console import Console, toast
from penstock.journal.service import JournalService, installed
from penstock.kernel.errors import JournalUnavailable, MalformedRequest
from penstock.kernel.journal import ENDED, JOURNAL, RunFilter, RunInfo, RunState, StepInfo
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PER_PAGE = 50
STATES = (("", "Any state"), *((s.value, s.value.capitalize()) for s in RunState))
SHOWN_CHARACTERS = 20_000
MOST_BARS = 200


def pages(ports: Ports, journal: JournalService) -> Sequence[Page]:
    """Runs, one run, and the buttons on it."""

    def console() -> Console:
        return ports.get(Console)

    def name(organisation: str) -> str:
        directory = ports.find(Directory)
        return directory.name(organisation) if directory is not None else organisation

    async def runs(request: Request, principal: Principal) -> Response:
        query = request.query_params
        given = {k: v for k, v in query.items() if v and k in ("state", "name", "queue")}
        try:
            wanted = msgspec.convert({**given, "before": query.get("before") or None, "limit": PER_PAGE}, RunFilter)
        except msgspec.ValidationError as fault:
            raise MalformedRequest(f"filter: {fault}") from fault
        found: Sequence[RunInfo] = ()
        depths: Sequence[Any] = ()
        trouble = ""
        try:
            found = await journal.list(principal.reach, wanted)
            depths = await journal.depths(principal.reach)
        except JournalUnavailable as fault:
            trouble = fault.message
        older = f"/console/runs?{urlencode({**given, 'before': found[-1].id})}" if len(found) == PER_PAGE else ""
        return console().page(
            request,
            "journal/runs.html",
            title="Runs",
            rows=[{"run": r, "href": f"/console/runs/{r.id}", "organisation": name(r.organisation), "took": _took(r)} for r in found],
            depths=depths,
            given=given,
            states=STATES,
            trouble=trouble,
            installed=installed(),
            tenants=principal.reach is None,
            live=not query.get("before"),
            older=older,
        )

    async def run(request: Request, principal: Principal) -> Response:
        id = request.path_params["id"]
        found = await journal.get(principal.reach, id)
        steps = await journal.history(principal.reach, id)
        children = await journal.list(principal.reach, RunFilter(parent=id, limit=100))
        began = min([found.created_at, *(s.started_at for s in steps if s.started_at is not None)])
        last = max([found.updated_at, *(s.ended_at for s in steps if s.ended_at is not None)])
        return console().page(
            request,
            "journal/run.html",
            title=found.name,
            crumbs=(("Runs", "/console/runs"),),
            run=found,
            organisation=name(found.organisation),
            steps=[{"step": s, "took": _step_took(s), "text": _text(s)} for s in steps],
            children=[{"run": c, "href": f"/console/runs/{c.id}", "took": _took(c)} for c in children],
            bars=_bars(steps[:MOST_BARS], began),
            total=max(1.0, (last - began) * 1e3),
            took=_took(found),
            ended=found.state in ENDED,
            can_pause=found.state in (RunState.QUEUED, RunState.RUNNING),
            can_resume=found.state in (RunState.PAUSED, RunState.CANCELLED, RunState.ABANDONED),
            retries=sum(s.attempts - 1 for s in steps),
            may_change=principal.may(Scope.ADMIN),
        )

    def acting(act: Callable[[str | None, str], Awaitable[None]], said: str) -> Callable[[Request, Principal], Awaitable[Response]]:
        async def answer(request: Request, principal: Principal) -> Response:
            id = request.path_params["id"]
            await act(principal.reach, id)
            return toast(_to(id), said)

        return answer

    async def fork(request: Request, principal: Principal) -> Response:
        given = str((await request.form()).get("step", ""))
        if not given.isdecimal() or len(given) > 9:
            raise MalformedRequest("step is the number of a step", param="step")
        made = await journal.fork(principal.reach, request.path_params["id"], int(given))
        return toast(_to(made), "Forked")

    admin = Scope.ADMIN
    one = "/console/runs/{id}"
    made = (
        Page(path="/console/runs", handler=runs),
        Page(path=one, handler=run),
        Page(path=f"{one}/cancel", handler=acting(journal.cancel, "Run cancelled"), scope=admin, methods=("POST",)),
        Page(path=f"{one}/pause", handler=acting(journal.pause, "Run paused"), scope=admin, methods=("POST",)),
        Page(path=f"{one}/resume", handler=acting(journal.resume, "Run resumed"), scope=admin, methods=("POST",)),
        Page(path=f"{one}/fork", handler=fork, scope=admin, methods=("POST",)),
    )
    return tuple(msgspec.structs.replace(page, holding=JOURNAL) for page in made)


def _to(id: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(f"/console/runs/{id}", 303)


def _took(run: RunInfo) -> float | None:
    """Milliseconds from its creation to its end."""
    return None if run.ended_at is None else max(0.0, (run.ended_at - run.created_at) * 1e3)


def _step_took(step: StepInfo) -> float | None:
    if step.started_at is None or step.ended_at is None:
        return None
    return max(0.0, (step.ended_at - step.started_at) * 1e3)


def _text(step: StepInfo) -> str:
    if step.output is None:
        return ""
    text = msgspec.json.format(msgspec.json.encode(step.output)).decode()
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}\n... {len(text) - SHOWN_CHARACTERS:,} characters more"


def _bars(steps: Sequence[StepInfo], began: float) -> list[dict[str, Any]]:
    return [
        {"label": f"{s.number} {s.name}", "start": max(0.0, (s.started_at - began) * 1e3), "duration": _step_took(s) or 0.0}
        for s in steps
        if s.started_at is not None
    ]

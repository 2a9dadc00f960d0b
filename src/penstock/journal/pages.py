"""The journal in the console: what runs and waits, and what can be done to a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from penstock.console import Console, toast
from penstock.journal.run_pages import took
from penstock.journal.service import JournalService
from penstock.journal.waiting import Waits, Wanted
from penstock.kernel.errors import JournalUnavailable, MalformedRequest
from penstock.kernel.journal import JOURNAL, RunFilter, RunInfo, RunState, installed
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PER_PAGE = 50
WAITS = (
    ("", "All"),
    *(("any", "Any that wait"), ("people", "For people"), ("event", "For an event"), ("signal", "For a signal"), ("time", "For a time")),
)
STATES = (("", "Any state"), *((s.value, s.value.capitalize()) for s in RunState))


def pages(ports: Ports, journal: JournalService, waits: Waits) -> Sequence[Page]:
    """The list of runs, and the buttons on one."""

    def console() -> Console:
        return ports.get(Console)

    def name(organisation: str) -> str:
        directory = ports.find(Directory)
        return directory.name(organisation) if directory is not None else organisation

    async def runs(request: Request, principal: Principal) -> Response:
        query = request.query_params
        given = {k: v for k, v in query.items() if v and k in ("state", "name", "queue", "label")}
        agent = query.get("agent", "")
        if agent and "label" not in given:
            given["label"] = f"agent={agent}"
        try:
            waiting = msgspec.convert(query.get("waiting") or None, Wanted | None)  # type: ignore[arg-type]
            wanted = msgspec.convert({**given, "before": query.get("before") or None, "limit": PER_PAGE}, RunFilter)
        except msgspec.ValidationError as fault:
            raise MalformedRequest(f"filter: {fault}") from fault
        given |= {"waiting": waiting} if waiting else {}
        found: Sequence[RunInfo] = ()
        depths: Sequence[Any] = ()
        trouble = ""
        try:
            found = await waits.list(principal.reach, wanted, waiting)
            depths = await journal.depths(principal.reach)
        except JournalUnavailable as fault:
            trouble = fault.message
        older = f"/console/runs?{urlencode({**given, 'before': found[-1].id})}" if len(found) == PER_PAGE else ""
        return console().page(
            request,
            "journal/runs.html",
            title="Runs",
            rows=[{"run": r, "href": f"/console/runs/{r.id}", "organisation": name(r.organisation), "took": took(r)} for r in found],
            depths=depths,
            given=given,
            states=STATES,
            waits=WAITS,
            trouble=trouble,
            unreadable=journal.unreadable if principal.reach is None else 0,
            installed=installed(),
            tenants=principal.reach is None,
            live=not query.get("before"),
            older=older,
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
        made = await journal.fork(principal.reach, request.path_params["id"], int(given), by=principal.ids)
        return toast(_to(made), "Forked")

    admin = Scope.ADMIN
    one = "/console/runs/{id}"
    made = (
        Page(path="/console/runs", handler=runs),
        Page(path=f"{one}/cancel", handler=acting(journal.cancel, "Run cancelled"), scope=admin, methods=("POST",)),
        Page(path=f"{one}/pause", handler=acting(journal.pause, "Run paused"), scope=admin, methods=("POST",)),
        Page(path=f"{one}/resume", handler=acting(journal.resume, "Run resumed"), scope=admin, methods=("POST",)),
        Page(path=f"{one}/fork", handler=fork, scope=admin, methods=("POST",)),
    )
    return tuple(msgspec.structs.replace(page, holding=JOURNAL) for page in made)


def _to(id: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(f"/console/runs/{id}", 303)

"""One run in the console: its steps on a timeline, those of its children where they are asked for, live while it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from penstock.console import Console
from penstock.journal.arrivals import Arrivals
from penstock.journal.returned import returned
from penstock.journal.timeline import Told, covered, rows, text
from penstock.journal.waiting import Waits
from penstock.kernel.journal import ENDED, JOURNAL, Journal, RunFilter, RunInfo, RunState
from penstock.kernel.opening import Opening
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.steps import StepTeller, StepWords
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_STEPS = 300
"""Of the run itself, on one page."""
MOST_OPEN = 20
"""Children whose steps are shown at once."""
MOST_CHILDREN = 500


def run_pages(ports: Ports, journal: Journal, opening: Opening, arrivals: Arrivals, waits: Waits) -> Sequence[Page]:
    """The page of a run, and the stream that tells it when to look again."""

    async def told(reach: str | None, id: str, *, run: RunInfo | None = None) -> Told:
        run = run or await journal.get(reach, id)
        steps = await journal.history(reach, id)
        began = {step.child for step in steps if step.kind == "child"}
        known = await journal.list(reach, RunFilter(parent=id, limit=MOST_CHILDREN)) if began else ()
        teller = ports.find(StepTeller)
        words: Mapping[int, StepWords] = teller.tell(run, steps) if teller is not None and teller.knows(run) else {}
        return Told(run=run, steps=steps, words=words, children={child.id: child for child in known})

    async def opened(reach: str | None, root: Told, wanted: Sequence[str]) -> Mapping[str, Told]:
        """The children among ``wanted``, and theirs: only what hangs below the run."""
        found: dict[str, Told] = {}
        waiting = [root]
        while waiting and len(found) < MOST_OPEN:
            for child in waiting.pop().children.values():
                if child.id in wanted and child.id not in found and len(found) < MOST_OPEN:
                    found[child.id] = await told(reach, child.id, run=child)
                    waiting.append(found[child.id])
        return found

    async def page(request: Request, principal: Principal) -> Response:
        id, reach = request.path_params["id"], principal.reach
        root = await told(reach, id)
        (run,) = await waits.of([root.run])
        wanted = request.query_params.getlist("open")[:MOST_OPEN]
        within = await opened(reach, root, wanted)
        first, more = _window(request.query_params.get("from", ""), len(root.steps))
        shown = Told(run=run, steps=root.steps[first : first + MOST_STEPS], words=root.words, children=root.children)
        span = covered(root, time.time())
        drawn = rows(shown, within, span)
        may = opening.may(principal)
        at = request.query_params.get("step", "")
        picked = next((row for row in drawn if at in (row.name, str(row.step.number) if row.depth == 0 else row.name)), None)
        given = gave = ""
        if may:
            await opening.opened_run(principal, run, "console")
            given = text(await journal.given(reach, id))
            gave = text(await returned(journal, reach, run))
        teller = ports.find(StepTeller)
        costs = [words.cost for words in root.words.values() if words.cost is not None]
        return ports.get(Console).page(
            request,
            "journal/run.html",
            title=run.name,
            crumbs=(("Runs", "/console/runs"),),
            run=run,
            organisation=_name(ports, run.organisation),
            rows=drawn,
            total=(span.until - span.began) * 1e3,
            address=_addresses(id, wanted, at, request.query_params.get("from", "")),
            picked=picked,
            picked_given=text(picked.words.given) if picked is not None and may else "",
            picked_gave=text(picked.words.gave) if picked is not None and may else "",
            given=given,
            gave=gave,
            may_open=may,
            earlier=first,
            later=more,
            most=MOST_STEPS,
            last=max((s.number for s in root.steps if s.ended_at is not None), default=0),
            steps=len(root.steps),
            retries=sum(s.attempts - 1 for s in root.steps),
            questions=len(costs),
            cost=sum(costs) if costs else None,
            tokens=sum(words.tokens or 0 for words in root.words.values()),
            children=len(root.children),
            doubts=sum(words.state == "in_doubt" for words in root.words.values()),
            beside=teller.beside(run) if teller is not None and teller.knows(run) else "",
            took=took(run),
            ended=run.state in ENDED,
            can_pause=run.state in (RunState.QUEUED, RunState.RUNNING),
            can_resume=run.state in (RunState.PAUSED, RunState.CANCELLED, RunState.ABANDONED),
            may_change=principal.may(Scope.ADMIN),
        )

    async def stream(request: Request, principal: Principal) -> Response:
        from starlette.responses import StreamingResponse

        id = request.path_params["id"]
        await journal.get(principal.reach, id)  # refused as a page is, and not in the middle of a stream
        after = request.query_params.get("after", "")
        events = arrivals.watch(principal.reach, id, int(after) if after.isdecimal() and len(after) <= 9 else 0)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(events, headers=headers, media_type="text/event-stream")

    return (
        Page(path="/console/runs/{id}", handler=page, holding=JOURNAL),
        Page(path="/console/runs/{id}/arrivals", handler=stream, holding=JOURNAL),
    )


def took(run: RunInfo) -> float | None:
    """Milliseconds from its creation to its end."""
    return None if run.ended_at is None else max(0.0, (run.ended_at - run.created_at) * 1e3)


def _window(asked: str, steps: int) -> tuple[int, int]:
    """Where the page's steps begin, and how many come after them; the latest, where nothing is said."""
    latest = max(0, steps - MOST_STEPS)
    first = min(int(asked), latest) if asked.isdecimal() and len(asked) <= 9 else latest
    return first, max(0, steps - first - MOST_STEPS)


def _addresses(id: str, wanted: Sequence[str], step: str, begin: str) -> Any:
    """Makes the page's address with something of it changed: everything that the page shows follows from it."""

    def address(*, picked: str | None = None, toggled: str = "", begins: int | None = None) -> str:
        shown = [one for one in wanted if one != toggled]
        if toggled and toggled not in wanted:
            shown.append(toggled)
        at = step if picked is None else picked
        start = begin if begins is None else str(begins)
        query = urlencode([*(("open", one) for one in shown), *([("step", at)] if at else []), *([("from", start)] if start else [])])
        return f"/console/runs/{id}?{query}" if query else f"/console/runs/{id}"

    return address


def _name(ports: Ports, organisation: str) -> str:
    directory = ports.find(Directory)
    return directory.name(organisation) if directory is not None else organisation

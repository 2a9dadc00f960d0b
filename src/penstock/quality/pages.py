"""Quality in the console: evaluations, one of them, its answers side by side, and the judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from penstock.console import Console, toast
from penstock.kernel.errors import MalformedRequest, NotFound
from penstock.kernel.journal import JOURNAL
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page
from penstock.quality.agreement import TRUSTED_KAPPA
from penstock.quality.evidence import BY_MODEL, name_of
from penstock.quality.feedback import NewFeedback
from penstock.quality.judges import digest_of
from penstock.quality.life import QualityLife
from penstock.quality.model import ENDED, Evaluation, Score, Status
from penstock.quality.results import Results, SliceResult
from penstock.quality.routes import results_of
from penstock.quality.samples import Feedback

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PER_PAGE = 50
ITEMS_PER_PAGE = 10
TONES = {Status.DONE: "ok", Status.FAILED: "bad", Status.STOPPED: "warn", Status.CANCELLING: "warn"}
STATES = (("", "All"), ("judged", "Judged"), ("waiting", "Waiting"), ("unjudged", "Not judged"), ("failed", "Failed"))
WHY = {
    "cap": "The next question might have gone past the cap.",
    "budget": "A budget of the key is spent.",
    "key": "The key was revoked or has expired.",
    "cancelled": "Somebody stopped it.",
}


def pages(ports: Ports, life: QualityLife) -> Sequence[Page]:
    """The list, one evaluation, its answers and their labels, its end; the judges."""
    evaluations = life.evaluations

    def console() -> Console:
        return ports.get(Console)

    def name(id: str) -> str:
        directory = ports.find(Directory)
        return directory.name(id) if directory is not None else id

    async def listed(request: Request, principal: Principal) -> Response:
        before = request.query_params.get("before") or None
        found = await evaluations.list(principal.reach, below=before, limit=PER_PAGE)
        older = f"/console/evaluations?{urlencode({'before': found[-1].id})}" if len(found) == PER_PAGE else ""
        rows = [
            {
                "one": one,
                "href": f"/console/evaluations/{one.id}",
                "organisation": name(one.organisation),
                "word": one.status.value,
                "tone": TONES.get(one.status, "accent"),
                "judge": name_of(one.terms.judge),
            }
            for one in found
        ]
        return console().page(
            request,
            "quality/evaluations.html",
            title="Evaluations",
            rows=rows,
            older=older,
            tenants=principal.reach is None,
            live=before is None,
        )

    async def one(request: Request, principal: Principal) -> Response:
        found = await evaluations.get(principal.reach, request.path_params["id"])
        results = results_of(found)
        floor = found.terms.floor
        return console().page(
            request,
            "quality/evaluation.html",
            title=found.name,
            crumbs=(("Evaluations", "/console/evaluations"),),
            one=found,
            results=results,
            slices=_by_kind(results),
            floor=floor.level if floor is not None and floor.kind == "absolute" else None,
            judge=name_of(found.terms.judge),
            untrusted=await _doubts(found, principal),
            why=WHY.get(found.why, found.why),
            word=found.status.value,
            tone=TONES.get(found.status, "accent"),
            dataset=await _dataset(found, principal),
            organisation=name(found.organisation),
            ended=found.status in ENDED,
            may_cancel=found.status in (Status.QUEUED, Status.RUNNING) and principal.may(Scope.ADMIN),
        )

    async def _dataset(found: Evaluation, principal: Principal) -> str:
        try:
            dataset = await life.datasets.get(principal.reach, found.dataset)
        except NotFound:
            return f"{found.dataset} (deleted)"
        return f"{dataset.name} v{dataset.version}"

    async def _doubts(found: Evaluation, principal: Principal) -> str:
        judge = found.terms.judge
        if judge.kind not in BY_MODEL or life.judges.trusted(found.organisation, judge):
            return ""
        measured = [each for each in await life.judges.list(principal.reach) if each.digest == digest_of(judge)]
        return f"{measured[0].findings.faults[0]}.".capitalize() if measured and measured[0].findings.faults else "It is not measured yet."

    async def answers(request: Request, principal: Principal) -> Response:
        id, query = request.path_params["id"], request.query_params
        state, after = query.get("state") or "", query.get("after") or "-1"
        if state not in dict(STATES) or not after.removeprefix("-").isdecimal() or len(after) > 9:
            raise MalformedRequest("there is no such page of answers", param="after")
        found = await evaluations.get(principal.reach, id)
        scores = await evaluations.answers(principal.reach, id, after=int(after), limit=ITEMS_PER_PAGE, state=state or None)
        labels = await life.told.list(principal.reach, task=None, call=None, evaluation=id, below=None, limit=2000)
        base = f"/console/evaluations/{id}/answers"
        kept = {"state": state} if state else {}
        rows = await _side_by_side(found, scores, labels, principal)
        older = f"{base}?{urlencode({**kept, 'after': scores[-1].position})}" if len(rows) == ITEMS_PER_PAGE else ""
        return console().page(
            request,
            "quality/answers.html",
            title="Answers",
            crumbs=(("Evaluations", "/console/evaluations"), (found.name, f"/console/evaluations/{id}")),
            one=found,
            rows=rows,
            older=older,
            filters=[(label, f"{base}?{urlencode({'state': key})}" if key else base, key) for key, label in STATES],
            state=state,
            here=f"{base}?{urlencode({**kept, 'after': after})}",
            may_label=principal.may(Scope.CALL),
        )

    async def _side_by_side(
        found: Evaluation, scores: Sequence[Score], labels: Sequence[Feedback], principal: Principal
    ) -> list[dict[str, Any]]:
        places = sorted({score.position for score in scores})
        items: dict[int, Any] = {}
        try:
            for place in places:
                items.update(await life.datasets.items(principal.reach, found.dataset, after=place - 1, limit=1))
        except NotFound:
            items = {}
        return [
            {
                "id": mine[0].item,
                "question": items[place].text if place in items else "(the dataset is deleted)",
                "target": ", ".join(items[place].targets) if place in items else "",
                "scores": mine,
                "labels": {
                    score.candidate: [each for each in labels if (each.item, each.candidate) == (score.item, score.candidate)]
                    for score in mine
                },
            }
            for place in places
            if (mine := [score for score in scores if score.position == place])
        ]

    async def label(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        id, form = request.path_params["id"], await request.form()
        said = {key: value for key, value in form.items() if isinstance(value, str)}
        if said.get("score") not in ("0", "1"):
            raise MalformedRequest("a label is good or bad", param="score")
        new = NewFeedback(score=float(said["score"]), evaluation=id, item=said.get("item"), candidate=said.get("candidate"))
        await life.told.say(principal, new)
        back = said.get("back", "")
        base = f"/console/evaluations/{id}/answers"
        return toast(RedirectResponse(back if back.startswith(base) else base, 303), "Label kept")

    async def cancel(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        id = request.path_params["id"]
        await evaluations.cancel(principal.reach, id)
        return toast(RedirectResponse(f"/console/evaluations/{id}", 303), "Evaluation is being stopped")

    async def judges(request: Request, principal: Principal) -> Response:
        await life.runs.retell(principal.reach)
        rows = [
            {
                "one": each,
                "organisation": name(each.organisation) if principal.reach is None else "",
                "href": f"/console/evaluations/{each.evaluation}" if each.evaluation else "",
            }
            for each in await life.judges.list(principal.reach)
        ]
        return console().page(
            request,
            "quality/judges.html",
            title="Judges",
            crumbs=(("Evaluations", "/console/evaluations"),),
            rows=rows,
            needed=TRUSTED_KAPPA,
        )

    path = "/console/evaluations/{id}"
    return (
        Page(path="/console/evaluations", handler=listed),
        Page(path="/console/evaluations/judges", handler=judges),
        Page(path=path, handler=one, holding=JOURNAL),
        Page(path=f"{path}/answers", handler=answers, holding=JOURNAL),
        Page(path=f"{path}/label", handler=label, scope=Scope.CALL, methods=("POST",), holding=JOURNAL),
        Page(path=f"{path}/cancel", handler=cancel, scope=Scope.ADMIN, methods=("POST",), holding=JOURNAL),
    )


def _by_kind(results: Results | None) -> list[tuple[str, list[SliceResult]]]:
    if results is None:
        return []
    kinds = dict.fromkeys(one.by for one in results.slices)
    return [(kind, [one for one in results.slices if one.by == kind]) for kind in kinds]

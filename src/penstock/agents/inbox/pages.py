"""The inbox in the console: what waits for people, one request with where its values come from, and the buttons that answer it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.agents.inbox.model import Leaf
from penstock.agents.inbox.model import Request as Asked
from penstock.agents.inbox.service import Inbox, RequestView
from penstock.console import Console, toast
from penstock.kernel.errors import MalformedRequest, PenstockError
from penstock.kernel.journal import JOURNAL
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

HERE = "/console/inbox"
STATES = {"open": "Open", "": "All"}
TONES = {"open": "warn", "approved": "ok", "answered": "ok", "rejected": "bad", "revoked": "bad", "void": "bad"}


def pages(ports: Ports, inbox: Inbox) -> Sequence[Page]:
    """The list, one request, and its forms."""

    def name(id: str) -> str:
        directory = ports.find(Directory)
        return directory.name(id) if directory is not None and id else id

    async def listed(request: Request, principal: Principal) -> Response:
        state = request.query_params.get("state", "open")
        if state not in STATES:
            raise MalformedRequest("state is not one of the choices")
        found = await inbox.list(principal, state="open" if state else None)
        found.sort(key=lambda view: not view.may)  # what waits for the reader comes first
        return ports.get(Console).page(
            request,
            "agents/inbox.html",
            title="Inbox",
            rows=[_row(view, name) for view in found],
            mine=sum(view.may for view in found),
            states=[(label, f"{HERE}?state={value}", value) for value, label in STATES.items()],
            state=state,
            loans=len(await inbox.loans(principal)),
        )

    async def shown(request: Request, principal: Principal) -> Response:
        return await _one(request, principal, await inbox.view(principal, request.path_params["id"]), None)

    async def _one(request: Request, principal: Principal, view: RequestView, fault: PenstockError | None) -> Response:
        one = view.request
        lines, _ = await inbox.trail(principal, one.id)
        return ports.get(Console).page(
            request,
            "agents/request.html",
            title=one.text if one.proposal else "A question",
            crumbs=(("Inbox", HERE),),
            row=_row(view, name),
            one=one,
            call=one.proposal,
            leaves=[_leaf(one, leaf) for leaf in one.proposal.leaves] if one.proposal else [],
            arguments=_json(one.proposal.arguments) if one.proposal else "",
            votes=[{"vote": vote, "who": vote.validator or name(vote.voter), "behalf": name(vote.behalf)} for vote in one.votes],
            lines=[{"line": line, "who": name(line.person or line.by), "what": _told(line.details)} for line in reversed(lines)],
            began=name(one.person or one.key),
            plain=one.schema is None or one.schema.get("type") == "string",
            schema=_json(one.schema) if one.schema else "",
            answer=_json(one.answer) if one.state == "answered" else "",
            may_revoke=one.state == "approved" and (principal.may(Scope.ADMIN) or any(v.voter == principal.person for v in one.votes)),
            fault=fault,
            status=fault.status if fault is not None else 200,
        )

    async def answered(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        id, form = request.path_params["id"], await request.form()
        what, note = str(form.get("what", "")), str(form.get("note", ""))
        try:
            if what in ("approve", "reject"):
                said = {"approve": what == "approve", "note": note, "digest": str(form.get("digest", ""))}
                await inbox.requests.answer(principal, id, said)
            elif what == "revoke":
                await inbox.requests.revoke(principal, id, note)
            elif what == "answer":
                view = await inbox.view(principal, id)
                await inbox.requests.answer(principal, id, _value(view.request, str(form.get("value", ""))))
            else:
                raise MalformedRequest("what is not one of the choices")
        except PenstockError as fault:
            return await _one(request, principal, await inbox.view(principal, id), fault)
        words = {"approve": "Approved", "reject": "Rejected", "revoke": "Taken back", "answer": "Answered"}
        return toast(RedirectResponse(f"{HERE}/{id}", 303), words[what])

    return (
        Page(path=HERE, handler=listed),
        Page(path=f"{HERE}/{{id}}", handler=shown),
        Page(path=f"{HERE}/{{id}}", handler=answered, scope=Scope.CALL, methods=("POST",), holding=JOURNAL),
    )


def _row(view: RequestView, name: Any) -> dict[str, Any]:
    one = view.request
    return {
        "one": one,
        "href": f"{HERE}/{one.id}",
        "tone": TONES.get(one.state, "neutral"),
        "what": one.proposal.tool if one.proposal else "a question",
        "amount": _amount(one),
        "organisation": name(one.organisation),
        "may": view.may,
        "why": view.why,
        "needs": one.need.told() if one.proposal else "an answer",
    }


def _amount(one: Asked) -> str:
    amount = one.proposal.amount if one.proposal is not None else None
    if amount is None:
        return ""
    return f"{amount.value:,.2f} {amount.unit}" if amount.value is not None else f"unreadable {amount.unit}"


def _leaf(one: Asked, leaf: Leaf) -> dict[str, Any]:
    """A value of the arguments and where it stands; free text is shown to people whole, in the arguments below."""
    sources = one.proposal.sources if one.proposal is not None else ()
    found = [sources[n] for n in leaf.sources if n < len(sources)]
    return {
        "path": leaf.path,
        "value": _json(leaf.shown) if leaf.characters is None else f"text of {leaf.characters} characters",
        "sources": ", ".join(source.name or source.kind for source in found) or "written by the model",
        "labels": sorted({label for source in found for label in source.labels}),
    }


def _value(one: Asked, given: str) -> Any:
    if one.schema is None or one.schema.get("type") == "string":
        return given
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError as fault:
        raise MalformedRequest(f"the answer is no JSON: {fault}", param="value") from fault


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode()


def _told(details: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}: {value}" for name, value in details.items() if value not in ("", None) and name not in ("digest", "note_sha256")
    )

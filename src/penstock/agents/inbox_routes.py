"""The JSON routes of the inbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from penstock.agents.definition import Agent
from penstock.agents.inbox.model import Delegation, Proposal, RequestState, Sum, TrailLine
from penstock.agents.inbox.policy import Asked, Policy, PolicyVersion
from penstock.agents.inbox.service import Inbox, RequestView
from penstock.agents.startable import Startable
from penstock.kernel.errors import NotFound, RequestError
from penstock.kernel.journal import JOURNAL
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Ask, Moment, Nothing, Route

Note = Annotated[str, Meta(max_length=4096)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class InboxQuery(Struct, frozen=True, kw_only=True):
    """Which requests: of a state, of a run, opened before a moment; the latest first."""

    state: RequestState | None = None
    run: str = ""
    before: Moment | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class RequestList(Struct, frozen=True, kw_only=True):
    """Requests, the latest first."""

    data: list[RequestView]


class ApproveBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``digest`` is that of the call that was looked at."""

    digest: Annotated[str, Meta(min_length=64, max_length=64)]
    note: Note = ""


class NoteBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; the model is told."""

    note: Note = ""


class AnswerBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer to a question, of its schema."""

    value: Any


class PolicyBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new version of the policy, behind the version ``after``; ``note`` says why."""

    policy: Policy
    after: Annotated[int, Meta(ge=0)]
    note: Note = ""


class PolicyView(Struct, frozen=True, kw_only=True):
    """What is in force: the rules of the settings, and the organisation's own."""

    settings: Policy
    own: PolicyVersion


class PolicyList(Struct, frozen=True, kw_only=True):
    """Versions of the policy, the latest first."""

    data: list[PolicyVersion]


class NeedsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call that is only thought of: nothing is called, and nobody asked. Of an agent's tool its effect, owner and amount are known; of
    another one they are said here. ``draft`` stands in for the organisation's policy."""

    tool: Name
    agent: str = ""
    arguments: dict[str, Any] = {}
    effect: str = ""
    owner: str = ""
    amount: Sum | None = None
    labels: tuple[str, ...] = ()
    argument_labels: tuple[str, ...] = ()
    draft: Policy | None = None


class LendBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may agree in one's own place, and for how long."""

    taker: Name
    seconds: Annotated[float, Meta(gt=0)]


class LoanList(Struct, frozen=True, kw_only=True):
    """Who stands in for whom."""

    data: list[Delegation]


class TrailQuery(Struct, frozen=True, kw_only=True):
    """Lines of the trail: of one subject (a request, a delegation, ``policy``) or of all, from below the line ``before``. ``check`` follows
    the whole of it from its beginning."""

    subject: str = ""
    before: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    check: bool = False


class Trail(Struct, frozen=True, kw_only=True):
    """Lines, the newest first; ``next`` goes into ``before`` for the page after this one, null when this is the last. ``broken_at`` is the
    first line of the whole trail that was changed or stands behind one that was taken out; null when all is whole, or nobody asked
    (``checked``)."""

    data: list[TrailLine]
    next: int | None
    checked: bool
    broken_at: int | None


def thought(principal: Principal, body: NeedsBody, agents: Mapping[str, Startable]) -> Proposal:
    """The call that a dry run is about. Raises `NotFound` and `RequestError`."""
    tool = None
    found = agents.get(body.agent)
    if isinstance(found, Agent):
        tool = found.tools.get(body.tool)
    elif body.agent and found is None:
        raise NotFound(f"there is no agent {body.agent[:100]!r}", param="agent")
    effect = tool.effect if tool is not None else body.effect
    if effect not in ("read", "write", "irreversible"):
        raise RequestError("effect: say read, write or irreversible for a tool that the agent does not have", param="effect")
    return Proposal(
        run="run_dry",
        organisation=principal.organisation,
        call="run_dry/call/1",
        agent=body.agent,
        tool=body.tool,
        effect=effect,
        arguments=body.arguments,
        owner=body.owner or (tool.owner if tool is not None else "") or (found.owner if isinstance(found, Agent) else ""),
        amount=body.amount or (tool.amount.read(body.arguments) if tool is not None and tool.amount is not None else None),
        labels=body.labels,
        argument_labels=body.argument_labels,
    )


def routes(inbox: Inbox, agents: Callable[[], Mapping[str, Startable]]) -> Sequence[Route]:
    """All routes of the inbox."""

    async def listed(ask: Ask) -> RequestList:
        query = ask.query(InboxQuery)
        found = await inbox.list(ask.principal, state=query.state, run=query.run, before=query.before, limit=query.limit)
        return RequestList(data=found)

    async def shown(ask: Ask) -> RequestView:
        return await inbox.view(ask.principal, ask.path["id"])

    async def approve(ask: Ask) -> RequestView:
        body = ask.body(ApproveBody)
        await inbox.requests.answer(ask.principal, ask.path["id"], {"approve": True, "digest": body.digest, "note": body.note})
        return await inbox.view(ask.principal, ask.path["id"])

    async def reject(ask: Ask) -> RequestView:
        await inbox.requests.answer(ask.principal, ask.path["id"], {"approve": False, "note": ask.body(NoteBody).note})
        return await inbox.view(ask.principal, ask.path["id"])

    async def answer(ask: Ask) -> RequestView:
        await inbox.requests.answer(ask.principal, ask.path["id"], ask.body(AnswerBody).value)
        return await inbox.view(ask.principal, ask.path["id"])

    async def revoke(ask: Ask) -> RequestView:
        await inbox.requests.revoke(ask.principal, ask.path["id"], ask.body(NoteBody).note)
        return await inbox.view(ask.principal, ask.path["id"])

    async def policy(ask: Ask) -> PolicyView:
        return PolicyView(settings=inbox.policies.floor, own=await inbox.policy(ask.principal))

    async def versions(ask: Ask) -> PolicyList:
        return PolicyList(data=await inbox.versions(ask.principal))

    async def put(ask: Ask) -> PolicyVersion:
        body = ask.body(PolicyBody)
        return await inbox.put(ask.principal, body.policy, body.note, body.after)

    async def needs(ask: Ask) -> Asked:
        body = ask.body(NeedsBody)
        return await inbox.needs(thought(ask.principal, body, agents()), body.draft)

    async def loans(ask: Ask) -> LoanList:
        return LoanList(data=await inbox.loans(ask.principal))

    async def lend(ask: Ask) -> Delegation:
        body = ask.body(LendBody)
        return await inbox.lend(ask.principal, body.taker, body.seconds)

    async def take_back(ask: Ask) -> Nothing:
        await inbox.take_back(ask.principal, ask.path["id"])
        return Nothing()

    async def trail(ask: Ask) -> Trail:
        query = ask.query(TrailQuery)
        found, older = await inbox.trail(ask.principal, query.subject, before=query.before, limit=query.limit)
        broken = await inbox.broken(ask.principal) if query.check else None
        return Trail(data=found, next=older, checked=query.check, broken_at=broken)

    read, call, admin, one = Scope.READ, Scope.CALL, Scope.ADMIN, "/v1/inbox/requests/{id}"

    def post(path: str, handler: Any, summary: str, body: type[Struct]) -> Route:
        """What changes a request also tells its run, so whoever works on the journal answers it."""
        terms: dict[str, Any] = {"scope": call, "returns": RequestView, "holding": JOURNAL}
        return Route(method="POST", path=f"{one}/{path}", handler=handler, summary=summary, body=body, **terms)

    rules = "/v1/inbox/policy"
    found = Route(method="GET", path=rules, handler=policy, summary="Show the policy in force.", scope=read, returns=PolicyView)
    return (
        Route(
            method="GET",
            path="/v1/inbox/requests",
            handler=listed,
            summary="List requests to people.",
            scope=read,
            query=InboxQuery,
            returns=RequestList,
        ),
        Route(method="GET", path=one, handler=shown, summary="Show a request to people.", scope=read, returns=RequestView),
        post("approve", approve, "Approve a proposed call.", ApproveBody),
        post("reject", reject, "Reject a proposed call.", NoteBody),
        post("answer", answer, "Answer a question of a run.", AnswerBody),
        post("revoke", revoke, "Take an approval back.", NoteBody),
        found,
        structs.replace(
            found, method="PUT", handler=put, summary="Put a policy in force.", scope=admin, body=PolicyBody, returns=PolicyVersion
        ),
        structs.replace(found, path=f"{rules}/versions", handler=versions, summary="List the policy's versions.", returns=PolicyList),
        Route(
            method="POST",
            path=f"{rules}/needs",
            handler=needs,
            summary="Say what a call would need.",
            scope=read,
            body=NeedsBody,
            returns=Asked,
        ),
        Route(
            method="GET",
            path="/v1/inbox/delegations",
            handler=loans,
            summary="List who stands in for whom.",
            scope=read,
            returns=LoanList,
        ),
        Route(
            method="POST",
            path="/v1/inbox/delegations",
            handler=lend,
            summary="Let somebody stand in.",
            scope=call,
            body=LendBody,
            returns=Delegation,
            status=201,
        ),
        Route(
            method="DELETE",
            path="/v1/inbox/delegations/{id}",
            handler=take_back,
            summary="End a delegation.",
            scope=call,
            returns=Nothing,
            status=204,
        ),
        Route(
            method="GET",
            path="/v1/inbox/trail",
            handler=trail,
            summary="Show who decided what.",
            scope=read,
            query=TrailQuery,
            returns=Trail,
        ),
    )

"""Policies and delegations in the console: what a call of a tool needs and by which rule, and who stands in for whom."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from penstock.agents import forms
from penstock.agents.definition import Agent
from penstock.agents.inbox.model import Delegation, Sum
from penstock.agents.inbox.policy import DEFAULT, Policy, Rule
from penstock.agents.inbox.service import Inbox
from penstock.agents.inbox_routes import NeedsBody, thought
from penstock.agents.startable import Startable
from penstock.console import Console, toast
from penstock.kernel.errors import MalformedRequest, PenstockError
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

POLICIES, DELEGATIONS = "/console/inbox/policies", "/console/inbox/delegations"
DAYS = (1, 3, 7, 14, 30, 90)
EFFECTS = ("write", "irreversible")
FIELDS = ("agent", "tool", "effect", "owner", "amount", "unit", "labels", "argument_labels")
VERSIONS = 20
_BEGIN = Policy(rules=(Rule(name="refunds", tools=("refund",), unit="EUR", above=50, people=1),))
"""What stands in the form of an organisation that has no rules yet; nothing of it is in force."""
_NAMED = re.compile(r"\b(person|team):([\w.:-]+)")

Known = Callable[[Principal], Mapping[str, Startable]]
"""The agents that somebody may start, by name."""


def policy_pages(ports: Ports, inbox: Inbox, known: Known) -> Sequence[Page]:
    """Both pages and their forms."""

    def name(id: str) -> str:
        directory = ports.find(Directory)
        return directory.name(id) if directory is not None and id else id

    def told(need: str) -> str:
        """A need in words, with the names of people and teams in place of their ids."""
        return _NAMED.sub(lambda found: name(found[2]), need)

    async def policies(
        request: Request, principal: Principal, text: str = "", note: str = "", refused: PenstockError | None = None
    ) -> Response:
        own = await inbox.policy(principal)
        agents = known(principal)
        given = {field: request.query_params.get(field, "").strip()[:500] for field in FIELDS}
        fault, answer = None, None
        if given["tool"]:
            try:
                answer = await inbox.needs(_thought(principal, given, agents))
            except PenstockError as wrong:
                fault = wrong
        sets = [
            ("Rules of the installation", inbox.policies.floor, "agents.inbox.rules"),
            (_of(own.version), own.policy, "PUT /v1/inbox/policy"),
        ]
        return ports.get(Console).page(
            request,
            "agents/policies.html",
            title="Policies",
            crumbs=(("Inbox", "/console/inbox"),),
            sets=[
                {"title": title, "match": policy.match, "rows": [_rule(rule, told) for rule in policy.rules], "how": how}
                for title, policy, how in sets
            ],
            default=_rule(DEFAULT, told),
            tools=await _tools(principal, agents),
            versions=[
                {"one": one, "by": name(one.by), "rules": len(one.policy.rules)} for one in (await inbox.versions(principal))[:VERSIONS]
            ],
            effects=[("", "the agent's tool says"), *((effect, effect) for effect in EFFECTS)],
            names=sorted(agents),
            given=given,
            answer=answer,
            needs=told(answer.told) if answer is not None else "",
            fault=fault,
            may_change=principal.may(Scope.ADMIN),
            version=own.version,
            text=text or msgspec.json.format(msgspec.json.encode(own.policy if own.version else _BEGIN)).decode(),
            note=note,
            refused=refused,
            status=next((wrong.status for wrong in (refused, fault) if wrong is not None), 200),
        )

    async def put(request: Request, principal: Principal) -> Response:
        given = {field: str(value).strip() for field, value in (await request.form()).items() if isinstance(value, str)}
        text, note = given.get("policy", ""), given.get("note", "")
        try:
            after = given.get("after", "")
            if not after.isdecimal():
                raise MalformedRequest("after is the version that the page showed", param="after")
            await inbox.put(principal, _read(text), forms.note(note), int(after))
        except PenstockError as fault:
            return await policies(request, principal, text, note, fault)
        return _back("In force from now on", POLICIES)

    async def _tools(principal: Principal, agents: Mapping[str, Startable]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for agent, one in sorted(agents.items()):
            if not isinstance(one, Agent):
                continue
            for tool in one.tools.values():
                if tool.effect == "read":  # is never asked about
                    continue
                least = Sum(0.0, tool.amount.unit) if tool.amount is not None else None
                found = await inbox.needs(thought(principal, NeedsBody(tool=tool.name, agent=agent, amount=least), agents))
                row = {
                    "agent": agent,
                    "tool": tool,
                    "owner": tool.owner or one.owner,
                    "unit": tool.amount.unit or tool.amount.unit_argument if tool.amount is not None else "",
                    "needs": told(found.told),
                    "rules": ", ".join(found.need.rules),
                }
                rows.append(row)
        return rows

    async def delegations(request: Request, principal: Principal) -> Response:
        return await _delegations(request, principal, {}, None)

    async def _delegations(request: Request, principal: Principal, given: Mapping[str, str], fault: PenstockError | None) -> Response:
        loans = await inbox.loans(principal)
        mine = principal.person or ""
        return ports.get(Console).page(
            request,
            "agents/delegations.html",
            title="Standing in",
            crumbs=(("Inbox", "/console/inbox"),),
            groups=[
                ("Who stands in for you", [_loan(one, principal) for one in loans if one.giver == mine]),
                ("For whom you stand in", [_loan(one, principal) for one in loans if one.taker == mine]),
                ("Others of the organisation", [_loan(one, principal) for one in loans if mine not in (one.giver, one.taker)]),
            ],
            person=mine,
            may_give=bool(mine) and principal.may(Scope.CALL),
            days=[(str(days), f"{days} days" if days > 1 else "a day") for days in DAYS],
            given=given,
            fault=fault,
            status=fault.status if fault is not None else 200,
        )

    def _loan(one: Delegation, principal: Principal) -> dict[str, Any]:
        return {
            "one": one,
            "giver": name(one.giver),
            "taker": name(one.taker),
            "worth": inbox.worth(one),
            "may_end": principal.may(Scope.CALL) and (one.giver == principal.person or principal.may(Scope.ADMIN)),
        }

    async def give(request: Request, principal: Principal) -> Response:
        given = {field: str(value).strip() for field, value in (await request.form()).items() if isinstance(value, str)}
        try:
            if given.get("days", "") not in map(str, DAYS):
                raise MalformedRequest("days is not one of the choices", param="days")
            await inbox.lend(principal, given.get("taker", "")[:200], int(given["days"]) * 86_400.0)
        except PenstockError as fault:
            return await _delegations(request, principal, given, fault)
        return _back("Given")

    async def end(request: Request, principal: Principal) -> Response:
        try:
            await inbox.take_back(principal, request.path_params["id"])
        except PenstockError as fault:
            return await _delegations(request, principal, {}, fault)
        return _back("Taken back")

    return (
        Page(path=POLICIES, handler=policies),
        Page(path=POLICIES, handler=put, scope=Scope.ADMIN, methods=("POST",)),
        Page(path=DELEGATIONS, handler=delegations),
        Page(path=DELEGATIONS, handler=give, scope=Scope.CALL, methods=("POST",)),
        Page(path=f"{DELEGATIONS}/{{id}}/end", handler=end, scope=Scope.CALL, methods=("POST",)),
    )


def _back(said: str, place: str = DELEGATIONS) -> Response:
    from starlette.responses import RedirectResponse

    return toast(RedirectResponse(place, 303), said)


def _read(text: str) -> Policy:
    """The policy that somebody wrote. Raises `MalformedRequest`, which says where it is none."""
    try:
        return msgspec.json.decode(text, type=Policy)
    except (msgspec.DecodeError, RecursionError) as fault:  # no JSON, not of these fields, or too deep
        raise MalformedRequest(f"the rules: {fault}", param="policy") from fault


def _of(version: int) -> str:
    return f"Rules of the organisation, version {version}" if version else "Rules of the organisation"


def _thought(principal: Principal, given: Mapping[str, str], agents: Mapping[str, Startable]) -> Any:
    """The call that the form asks about. Raises `RequestError` and `NotFound`."""
    amount = None
    if given["amount"]:
        try:
            amount = Sum(abs(float(given["amount"])), given["unit"])
        except ValueError as fault:
            raise MalformedRequest("amount is no number", param="amount") from fault
    body = NeedsBody(
        tool=given["tool"],
        agent=given["agent"],
        effect=given["effect"],
        owner=given["owner"],
        amount=amount,
        labels=tuple(given["labels"].replace(",", " ").split()),
        argument_labels=tuple(given["argument_labels"].replace(",", " ").split()),
    )
    call = thought(principal, body, agents)
    return structs.replace(call, amount=amount) if amount is not None else call


def _rule(rule: Rule, told: Callable[[str], str]) -> dict[str, Any]:
    need = rule.need()
    late = ""
    if rule.escalate_seconds is not None:
        late = f"after {_long(rule.escalate_seconds)} also {told(' or '.join(rule.escalate_to))}"
    return {
        "name": rule.name,
        "about": "; ".join(_about(rule)) or "every call",
        "needs": told(need.told()),
        "tone": "bad" if need.refused else "ok" if need.nothing else "warn",
        "late": late,
        "times": ""
        if need.nothing or need.refused
        else f"{_long(rule.expires_seconds)} to answer, then {_long(rule.valid_seconds)} to begin",
    }


def _about(rule: Rule) -> Iterator[str]:
    """What of a call the rule names."""
    for label, names in (("tool", rule.tools), ("agent", rule.agents), ("owned by", rule.owners), ("effect", rule.effects)):
        if names:
            yield f"{label} {' or '.join(names)}"
    if rule.above is not None:
        yield f"above {rule.above:,g} {rule.unit}"
    if rule.at_most is not None:
        yield f"at most {rule.at_most:,g} {rule.unit}"
    if rule.labels:
        yield f"has read {' or '.join(rule.labels)}"
    if rule.argument_labels:
        yield f"arguments from {' or '.join(rule.argument_labels)}"


def _long(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            many = seconds / size
            return f"{many:g} {unit}{'s' if many != 1 else ''}" if many == int(many) else f"{many:.1f} {unit}s"
    return f"{seconds:g} s"

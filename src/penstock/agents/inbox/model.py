"""A call that is proposed, what it needs before it may be made, the request that asks for it, and what was said to it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from penstock.kernel.agents import AgentRequest

ADMINS, ANYONE = "admins", "anyone"
"""Who may agree: whoever holds a key with the scope ``admin``, or any person of the organisation. Others are ``person:ID``, ``team:ID``."""

RequestState = Literal["open", "approved", "answered", "rejected", "expired", "revoked", "void", "closed"]
"""``approved`` and ``answered`` are what was asked for. ``revoked``: an approval that was taken back before the call began. ``void``: the
call or the policy is another one by now. ``closed``: its run ended before anybody said something."""

Kind = Literal["approval", "question"]


class Quorum(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """So many distinct people, of those in ``by``; after ``escalate`` seconds those in ``escalate_to`` may agree as well."""

    people: int = 1
    by: tuple[str, ...] = (ADMINS,)
    escalate: float | None = None
    escalate_to: tuple[str, ...] = ()


class Need(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a call needs: every validator and every quorum, or nothing. ``refused``: nobody can allow it.

    People have ``expires`` seconds to answer; what they allowed must begin within ``valid`` seconds. ``rules`` say which rules asked.
    """

    refused: bool = False
    validators: tuple[str, ...] = ()
    quorums: tuple[Quorum, ...] = ()
    expires: float = 259_200.0
    valid: float = 3_600.0
    rules: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        return not (self.refused or self.validators or self.quorums)

    def covers(self, other: Need) -> bool:
        """Whether who has satisfied this one has satisfied ``other`` too."""
        if other.refused or not set(other.validators) <= set(self.validators):
            return False
        return all(any(_covers(mine, theirs) for mine in self.quorums) for theirs in other.quorums)

    def told(self) -> str:
        """In words, for people and models."""
        if self.refused:
            return "nobody may allow it"
        said = [f"the validator {name}" for name in self.validators]
        for one in self.quorums:
            who = " or ".join(one.by)
            said.append(f"a person ({who})" if one.people == 1 else f"{one.people} people ({who})")
        return " and ".join(said) or "nothing"


def _covers(mine: Quorum, theirs: Quorum) -> bool:
    allowed = {*theirs.by, *theirs.escalate_to}
    return mine.people >= theirs.people and (ANYONE in allowed or {*mine.by, *mine.escalate_to} <= allowed)


def both(one: Need, other: Need) -> Need:
    """What satisfies both: the strictest of everything."""
    if one.nothing or other.nothing:
        return one if other.nothing else other
    return Need(
        refused=one.refused or other.refused,
        validators=tuple(dict.fromkeys((*one.validators, *other.validators))),
        quorums=tuple(dict.fromkeys((*one.quorums, *other.quorums))),
        expires=min(one.expires, other.expires),
        valid=min(one.valid, other.valid),
        rules=tuple(dict.fromkeys((*one.rules, *other.rules))),
    )


class Sum(Struct, frozen=True):
    """An amount in a unit: money, items, rows. ``value`` is None where the argument cannot be read as a number."""

    value: float | None
    unit: str


class Source(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a run has text from: the ``input`` it began with, a ``call`` of a tool (``key``), an ``agent`` that it asked, the ``thread``
    that it goes on with, an ``event`` that it heard, the ``answer`` of people."""

    kind: Literal["input", "call", "agent", "thread", "event", "answer"]
    name: str
    key: str = ""
    labels: tuple[str, ...] = ()
    digest: str = ""


class Leaf(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One value in the arguments and where it stands word for word in what the run has read. ``sources`` are numbers of sources, from 0;
    none: the model wrote it. ``shown`` is the value where it can be shown to a machine: a number, or one short word; never free text."""

    path: str
    shown: Any = None
    characters: int | None = None
    digest: str = ""
    sources: tuple[int, ...] = ()


class Proposal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of a tool that a run wants to make; ``call`` is its key, as its effect is written down under. ``key`` and ``person`` are who
    began the run and who it works for. ``labels`` are the run's own (``name=value``) and those of everything that it has read;
    ``argument_labels`` those of what stands in the arguments."""

    run: str
    organisation: str
    call: str
    agent: str
    tool: str
    effect: str
    arguments: dict[str, Any]
    owner: str = ""
    key: str = ""
    person: str = ""
    amount: Sum | None = None
    labels: tuple[str, ...] = ()
    argument_labels: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    leaves: tuple[Leaf, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.run, self.tool, self.arguments)


def digest_of(run: str, tool: str, arguments: Mapping[str, Any]) -> str:
    """SHA-256 over what an approval is bound to: the run, the tool and the exact arguments, as JSON with sorted keys."""
    told = {"arguments": msgspec.to_builtins(arguments), "run": run, "tool": tool}
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()


def request_id(run: str, kind: Kind, ordinal: int | str) -> str:
    """Follows from what asks, so that a step that is done again opens the request once."""
    return "request_" + hashlib.sha256(f"{run}/{kind}/{ordinal}".encode()).hexdigest()[:32]


class Vote(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody said: a person, or a validator (``validator`` is the agent's name). ``counts`` are the quorums, by number, among whose
    people they are; ``behalf`` is the person who lets them, ``behalf_key`` the key with which that one does."""

    voter: str
    key: str
    approve: bool
    note: str = ""
    validator: str = ""
    behalf: str = ""
    behalf_key: str = ""
    counts: tuple[int, ...] = ()
    at: float = 0.0


class Request(Struct, frozen=True, kw_only=True):
    """A request as it is kept. Times are Unix seconds. ``answer`` is what was said to a question; ``note`` goes with a refusal."""

    id: str
    organisation: str
    run: str
    kind: Kind
    ordinal: str
    agent: str
    text: str
    state: RequestState
    key: str
    person: str
    opened_at: float
    expires_at: float
    proposal: Proposal | None = None
    digest: str = ""
    need: Need = Need()
    policy: str = ""
    schema: dict[str, Any] | None = None
    to: tuple[str, ...] = ()
    answer: Any = None
    by: str = ""
    note: str = ""
    ended_at: float | None = None
    valid_until: float | None = None
    votes: tuple[Vote, ...] = ()

    def told(self) -> AgentRequest:
        """As other rooms see it."""
        proposal = self.proposal
        return AgentRequest(
            id=self.id,
            run=self.run,
            kind=self.kind,
            text=self.text,
            tool=proposal.tool if proposal else "",
            arguments=proposal.arguments if proposal else None,
            digest=self.digest,
            schema=self.schema,
            opened_at=self.opened_at,
            expires_at=self.expires_at,
        )


class Delegation(Struct, frozen=True, kw_only=True):
    """For a time one person may agree in another's place, as far as that one may: with the ``key`` that they gave it with, as it was then
    (``team`` and ``admin``), and as it is when it counts."""

    id: str
    organisation: str
    giver: str
    taker: str
    key: str
    team: str
    admin: bool
    created_at: float
    until: float
    ended_at: float | None = None


class TrailLine(Struct, frozen=True, kw_only=True):
    """One line of the trail: who did what to which request, policy or delegation. ``digest`` chains it to the organisation's last line."""

    id: int
    organisation: str
    subject: str
    action: str
    details: dict[str, Any]
    by: str
    person: str
    at: float
    digest: str

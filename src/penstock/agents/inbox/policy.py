"""What a call of a tool needs before it is made: readable rules over its effect, its amount, its labels, its tool and who owns it.

The settings hold the rules of the installation. An organisation may add a policy of its own, which is kept version by version. A call needs
what both ask for, so nobody gets below the settings; where neither has a rule that fits, an irreversible call needs a person and any
other nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from penstock.agents.inbox import who
from penstock.agents.inbox.model import ADMINS, Need, Proposal, Quorum, both
from penstock.kernel.errors import RequestError
from penstock.kernel.principal import allows

Names = tuple[str, ...]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One rule. It fits a call where everything that it names does; what is empty fits everything. It asks for people, for validators, for
    both, or for nothing."""

    name: Annotated[str, Meta(min_length=1, max_length=100, description="What it is called, in the inbox and on the trail.")]
    tools: Annotated[Names, Meta(description="Names of tools; `*` at the end stands for any rest.")] = ()
    agents: Annotated[Names, Meta(description="Names of agents; `*` at the end stands for any rest.")] = ()
    owners: Annotated[Names, Meta(description="Who owns the tool, or else the agent, as these declare it.")] = ()
    effects: Annotated[
        tuple[Literal["write", "irreversible"], ...], Meta(description="Declared effects. What only reads is not asked about.")
    ] = ()
    labels: Annotated[Names, Meta(description="One of these is on the run (`name=value`), or on something that it has read.")] = ()
    argument_labels: Annotated[Names, Meta(description="One of these is on something that stands word for word in the arguments.")] = ()
    unit: Annotated[str, Meta(description="Unit of the amounts below: a currency, or whatever the tool declares.")] = ""
    above: Annotated[float | None, Meta(description="The amount is greater than this, or cannot be read, or is in another unit.")] = None
    at_most: Annotated[float | None, Meta(description="The amount is this or less, in this unit.")] = None
    refuse: Annotated[bool, Meta(description="The call is not made, whoever may agree.")] = False
    validators: Annotated[Names, Meta(description="Agents that must agree (`agents.inbox.validators`).")] = ()
    people: Annotated[int, Meta(ge=0, le=20, description="How many distinct people must agree.")] = 0
    by: Annotated[Names, Meta(description="Who they may be: `admins`, `anyone` of the organisation, `person:ID`, `team:ID`.")] = (ADMINS,)
    expires_seconds: Annotated[float, Meta(gt=0, le=31_536_000, description="How long they have to answer.")] = 259_200.0
    valid_seconds: Annotated[float, Meta(gt=0, le=31_536_000, description="How long after the approval the call may begin.")] = 3_600.0
    escalate_seconds: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="After how long others may agree as well.")] = None
    escalate_to: Annotated[Names, Meta(description="The others; named as in `by`.")] = ()

    def fits(self, call: Proposal) -> bool:
        """Whether the rule is about the call."""
        return (
            _named(self.tools, call.tool)
            and _named(self.agents, call.agent)
            and (not self.owners or call.owner in self.owners)
            and (not self.effects or call.effect in self.effects)
            and (not self.labels or not set(self.labels).isdisjoint(call.labels))
            and (not self.argument_labels or not set(self.argument_labels).isdisjoint(call.argument_labels))
            and self._amounts(call)
        )

    def _amounts(self, call: Proposal) -> bool:
        """What cannot be compared is above every bound and within none. A tool that declares no amount has none, and fits neither."""
        if self.above is None and self.at_most is None:
            return True
        if call.amount is None:
            return False
        value = call.amount.value if call.amount.unit == self.unit else None
        return (self.above is None or value is None or value > self.above) and (
            self.at_most is None or (value is not None and value <= self.at_most)
        )

    def need(self) -> Need:
        """What it asks for."""
        quorum = Quorum(people=self.people, by=self.by, escalate=self.escalate_seconds, escalate_to=self.escalate_to)
        return Need(
            refused=self.refuse,
            validators=self.validators,
            quorums=(quorum,) if self.people else (),
            expires=self.expires_seconds,
            valid=self.valid_seconds,
            rules=(self.name,),
        )


DEFAULT = Rule(name="irreversible calls need a person", effects=("irreversible",), people=1)
"""Where no rule fits."""


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rules in their order. ``first``: the first that fits says what a call needs; ``strictest``: all that fit do."""

    rules: tuple[Rule, ...] = ()
    match: Literal["first", "strictest"] = "first"

    def need(self, call: Proposal) -> Need | None:
        """What the call needs; None where no rule is about it."""
        fitting = [rule for rule in self.rules if rule.fits(call)]
        if not fitting:
            return None
        found = fitting[0].need()
        for rule in fitting[1:] if self.match == "strictest" else ():
            found = both(found, rule.need())
        return found


class PolicyVersion(Struct, frozen=True, kw_only=True):
    """A policy as an organisation keeps it. Version 0 is none."""

    organisation: str
    version: int
    policy: Policy
    note: str = ""
    by: str = ""
    at: float = 0.0


class Asked(Struct, frozen=True, kw_only=True):
    """What a call needs, and by which policy: ``policy`` names the version. ``told`` is the need in words."""

    need: Need
    policy: str
    told: str = field(default="")


def check(policy: Policy, validators: Collection[str], where: str = "policy") -> None:
    """Raise `RequestError` for a policy that cannot mean what it says."""
    for number, rule in enumerate(policy.rules):
        at = f"{where}.rules.{number}"
        who.check(rule.by, f"{at}.by")
        who.check(rule.escalate_to, f"{at}.escalate_to")
        if (rule.above is not None or rule.at_most is not None) and not rule.unit:
            raise RequestError(f"{at}.unit: amounts are compared in a unit; name it", param=f"{at}.unit")
        if lost := sorted(set(rule.validators) - set(validators)):
            raise RequestError(f"{at}.validators: agents.inbox.validators has no {', '.join(lost)}", param=f"{at}.validators")
        if rule.people and not rule.by:
            raise RequestError(f"{at}.by: name somebody who may agree", param=f"{at}.by")
        if (rule.escalate_seconds is None) is bool(rule.escalate_to):
            raise RequestError(f"{at}: escalate_seconds and escalate_to go together", param=f"{at}.escalate_to")
        if rule.refuse and (rule.people or rule.validators):
            raise RequestError(f"{at}: what is refused needs nobody's agreement", param=f"{at}.refuse")
    names = [rule.name for rule in policy.rules]
    if len(set(names)) < len(names):
        raise RequestError(f"{where}.rules: two rules have one name", param=f"{where}.rules")


def _named(patterns: Names, name: str) -> bool:
    return not patterns or allows(patterns, name)

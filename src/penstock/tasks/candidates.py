"""The candidates of a task as they are shown: whether each may serve, where it stands, what it costs."""

from __future__ import annotations

import msgspec

from penstock.kernel.approvals import Approvals
from penstock.kernel.call import Usage
from penstock.kernel.candidates import Candidates, Traits, misplaced
from penstock.kernel.errors import UnknownModel
from penstock.kernel.ports import Ports
from penstock.kernel.recall import Prices
from penstock.kernel.tasks import Task

_SAMPLE = 1000
"""Tokens whose price is asked: no vendor's tier for long inputs begins so low."""


class CandidateView(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate: ``allowed`` says whether it may serve as things stand, ``why`` why not. ``traits`` is null where nobody serves the name.

    Prices are in micro-dollars a million tokens, null where none is known.
    """

    name: str
    default: bool
    allowed: bool
    why: str = ""
    traits: Traits | None = None
    input_price: int | None = None
    output_price: int | None = None


def candidates_of(task: Task, ports: Ports) -> list[CandidateView]:
    """Every candidate, in the order of the task."""
    return [_view(task, name, ports) for name in task.candidates]


def _view(task: Task, name: str, ports: Ports) -> CandidateView:
    candidates, approvals, prices = ports.get(Candidates), ports.find(Approvals), ports.find(Prices)
    default = name == task.default
    try:
        target = candidates.resolve(name)
    except UnknownModel as fault:
        return CandidateView(name=name, default=default, allowed=False, why=fault.message)
    traits = candidates.traits(target, task.organisation)
    refusal = approvals.refusal(target.provider, target.model, organisation=task.organisation, task=task.name) if approvals else None
    why = misplaced(task, traits) or (refusal.message if refusal is not None else "")

    def price(usage: Usage) -> int | None:
        amount = prices.estimate(target.provider, target.model, usage) if prices is not None else None
        return amount * (1_000_000 // _SAMPLE) if amount is not None else None

    return CandidateView(
        name=name,
        default=default,
        allowed=not why,
        why=why,
        traits=traits,
        input_price=price(Usage(input=_SAMPLE)),
        output_price=price(Usage(output=_SAMPLE)),
    )

"""Hard constraints, which come before any evidence: each candidate of a task as it stands before a call."""

from __future__ import annotations

import msgspec

from penstock.kernel.approvals import Approvals
from penstock.kernel.call import Call, Target, Usage
from penstock.kernel.candidates import Candidates, Traits, in_order, misplaced
from penstock.kernel.choice import Considered, Constraint
from penstock.kernel.circumstances import Purse, Wellbeing
from penstock.kernel.errors import PenstockError
from penstock.kernel.recall import Prices
from penstock.kernel.tasks import Task
from penstock.routing.demands import OUTPUT_GUESS, demands_of, missing
from penstock.routing.policy import Policy, Standing, claim_of, floor_in_words

_REMEMBERED = 2_000


class Ports(msgspec.Struct, kw_only=True):
    """The rooms that are asked; None where nobody answers, and nothing is ruled out then."""

    candidates: Candidates
    approvals: Approvals | None = None
    wellbeing: Wellbeing | None = None
    purse: Purse | None = None
    prices: Prices | None = None


class Seat:
    """A candidate of a task, resolved. ``ruled_out`` and ``why`` are what no call can change."""

    __slots__ = ("name", "ruled_out", "target", "traits", "why")

    def __init__(self, name: str, target: Target | None, traits: Traits | None, ruled_out: Constraint | None, why: str | None) -> None:
        self.name = name
        self.target = target
        self.traits = traits
        self.ruled_out: Constraint | None = ruled_out
        self.why = why


class Field:
    """A task's candidates, resolved once for as long as nothing changes."""

    __slots__ = ("chain", "claim", "floor", "seats", "standings", "standings_of", "task", "version")

    def __init__(self, task: Task, version: int, seats: list[Seat], chain: list[str]) -> None:
        self.task = task
        self.version = version
        self.seats = seats
        self.chain = chain
        """Who serves without evidence, and who stands in for whom: the default first."""
        self.claim = claim_of(task)
        self.floor = floor_in_words(task.floor, task.default) if task.floor is not None else None
        self.standings_of: Policy | None = None
        self.standings: dict[str, Standing] = {}


class Constraints:
    """Says of each candidate whether it may do a call, and what it would cost."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._fields: dict[tuple[str, str], Field] = {}

    def field(self, task: Task) -> Field:
        """The task's candidates; the same object until the task or what is known of its candidates changes."""
        version = self._ports.candidates.version
        found = self._fields.get((task.organisation, task.name))
        if found is None or found.task is not task or found.version != version:
            if len(self._fields) >= _REMEMBERED:
                self._fields.clear()
            chain, _ = in_order(task, self._ports.candidates, task.organisation)
            seats = [self._seat(task, name) for name in task.candidates]
            found = self._fields[task.organisation, task.name] = Field(task, version, seats, [target.name for target in chain])
        return found

    def considered(self, call: Call, field: Field, policy: Policy | None) -> list[Considered]:
        """Every candidate in the task's order, each with the first constraint that rules it out."""
        ports, task = self._ports, field.task
        if field.standings_of is not policy:
            field.standings_of = policy
            field.standings = {one.candidate: one for one in policy.standings} if policy is not None else {}
        demands, seconds = demands_of(call), call.remaining()
        organisation = call.principal.organisation if call.principal is not None else ""
        approvals, wellbeing, prices = ports.approvals, ports.wellbeing, ports.prices
        if approvals is not None and approvals.idle:
            approvals = None
        left = ports.purse.left(call) if ports.purse is not None else None
        found: list[Considered] = []
        for seat in field.seats:
            target, standing = seat.target, field.standings.get(seat.name)
            ruled_out, why, cost = seat.ruled_out, seat.why, None
            if target is not None and seat.traits is not None:
                if prices is not None:
                    guess = standing.output_tokens if standing is not None and standing.output_tokens else OUTPUT_GUESS
                    output = int(guess) if call.max_output is None else min(int(guess), call.max_output)
                    cost = prices.estimate(target.provider, target.model, Usage(input=call.input_estimate, output=output))
                if ruled_out is None and approvals is not None:
                    refused = approvals.refusal(
                        target.provider, target.model, organisation=organisation, task=task.name, data_class=task.data_class
                    )
                    if refused is not None:
                        ruled_out, why = "not_approved", refused.message
                if ruled_out is None and (lack := missing(demands, seat.traits)) is not None:
                    ruled_out, why = lack
                if ruled_out is None and standing is not None and standing.latency_ms is not None and standing.latency_ms > seconds * 1e3:
                    ruled_out, why = "deadline", f"takes {standing.latency_ms:.0f} ms, and {max(0, seconds * 1e3):.0f} ms are left"
                if ruled_out is None and left is not None and cost is not None and cost > left:
                    ruled_out, why = "budget", f"would cost about {cost / 1e6:.6f} USD, and {left / 1e6:.6f} USD are left"
                if ruled_out is None and wellbeing is not None and (trouble := wellbeing.trouble(target)) is not None:
                    ruled_out, why = "unhealthy", trouble
            found.append(
                Considered(
                    candidate=seat.name,
                    provider=target.provider if target is not None else "",
                    model=target.model if target is not None else "",
                    ruled_out=ruled_out,
                    why=why,
                    quality=standing.quality if standing is not None else None,
                    bound=standing.bound if standing is not None else None,
                    cost=cost,
                )
            )
        return found

    def _seat(self, task: Task, name: str) -> Seat:
        try:
            target = self._ports.candidates.resolve(name)
            traits = self._ports.candidates.traits(target, task.organisation)
        except PenstockError as fault:
            return Seat(name, None, None, "unknown", fault.message)
        away = misplaced(task, traits)
        return Seat(name, target, traits, "place" if away is not None else None, away)

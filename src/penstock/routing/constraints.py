"""Hard constraints, which come before any evidence: each candidate of a task as it stands before a call."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

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
PRICED_SECONDS = 60.0
"""How long an expected cost is taken for what it is; prices change at midnight, if at all."""


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
    """A task's candidates, resolved once for as long as nothing changes.

    What a call is expected to cost is reckoned once for all calls of about its size (within three per cent), every minute anew.
    """

    __slots__ = ("_known", "_of", "_slowest", "_standings", "_until", "chain", "claim", "floor", "left", "seats", "task", "version")

    def __init__(self, task: Task, version: int, seats: list[Seat], chain: list[str], left: dict[str, str]) -> None:
        self.task = task
        self.version = version
        self.seats = seats
        self.chain = chain
        """Who serves without evidence, and who stands in for whom: the default first."""
        self.left = left
        """Why the others are not among them."""
        self.claim = claim_of(task)
        self.floor = floor_in_words(task.floor, task.default) if task.floor is not None else None
        self._known: dict[tuple[int, int], list[Considered]] = {}
        self._of: Policy | None = None
        self._standings: dict[str, Standing] = {}
        self._slowest = 0.0
        self._until = 0.0

    def of_size(
        self, tokens: int, most: int | None, policy: Policy | None, price: Callable[[Seat, Usage], int | None]
    ) -> tuple[list[Considered], float]:
        """The candidates before a call of about so many tokens of input, and at most so many of output; and the longest time, in ms, that
        one of them is known to take."""
        now = time.monotonic()
        if self._of is not policy or now > self._until:
            self._of, self._until, self._known = policy, now + PRICED_SECONDS, {}
            self._standings = {one.candidate: one for one in policy.standings} if policy is not None else {}
            self._slowest = max((one.latency_ms or 0.0 for one in self._standings.values()), default=0.0)
        size = _step(tokens), -1 if most is None else _step(most)
        found = self._known.get(size)
        if found is None:
            found = self._known[size] = [self._priced(seat, tokens, most, price) for seat in self.seats]
        return found.copy(), self._slowest

    def late(self, name: str, seconds: float) -> str | None:
        """Why a candidate is too slow for what time there is; None when it is not, as far as anybody knows."""
        standing = self._standings.get(name)
        if standing is None or standing.latency_ms is None or standing.latency_ms <= seconds * 1e3:
            return None
        return f"takes {standing.latency_ms:.0f} ms, and {max(0, seconds * 1e3):.0f} ms are left"

    def _priced(self, seat: Seat, tokens: int, most: int | None, price: Callable[[Seat, Usage], int | None]) -> Considered:
        target, standing = seat.target, self._standings.get(seat.name)
        output = int(standing.output_tokens if standing is not None and standing.output_tokens else OUTPUT_GUESS)
        return Considered(
            candidate=seat.name,
            provider=target.provider if target is not None else "",
            model=target.model if target is not None else "",
            ruled_out=seat.ruled_out,
            why=seat.why,
            quality=standing.quality if standing is not None else None,
            bound=standing.bound if standing is not None else None,
            cost=price(seat, Usage(input=tokens, output=output if most is None else min(output, most))),
        )


def _step(tokens: int) -> int:
    """Sizes that differ by three per cent at most are one."""
    return tokens if tokens < 32 else int(24 * math.log2(tokens))


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
            chain, left = in_order(task, self._ports.candidates, task.organisation)
            seats = [self._seat(task, name) for name in task.candidates]
            found = self._fields[task.organisation, task.name] = Field(task, version, seats, [target.name for target in chain], left)
        return found

    def considered(self, call: Call, field: Field, policy: Policy | None) -> list[Considered]:
        """Every candidate in the task's order, each with the first constraint that rules it out."""
        ports, task = self._ports, field.task
        found, slowest = field.of_size(call.input_estimate, call.max_output, policy, self._prices_at)
        demands, seconds = demands_of(call), call.remaining()
        organisation = call.principal.organisation if call.principal is not None else ""
        approvals, wellbeing = ports.approvals, ports.wellbeing
        if approvals is not None and approvals.idle:
            approvals = None
        left = ports.purse.left(call) if ports.purse is not None else None
        hurried = slowest > seconds * 1e3
        for at, seat in enumerate(field.seats):
            target = seat.target
            if seat.ruled_out is not None or target is None or seat.traits is None:
                continue
            ruled_out: Constraint | None = None
            why: str | None = None
            if approvals is not None:
                refused = approvals.refusal(
                    target.provider, target.model, organisation=organisation, task=task.name, data_class=task.data_class
                )
                if refused is not None:
                    ruled_out, why = "not_approved", refused.message
            if ruled_out is None and (lack := missing(demands, seat.traits)) is not None:
                ruled_out, why = lack
            if ruled_out is None and hurried and (late := field.late(seat.name, seconds)) is not None:
                ruled_out, why = "deadline", late
            if ruled_out is None and left is not None and (cost := found[at].cost) is not None and cost > left:
                ruled_out, why = "budget", f"would cost about {cost / 1e6:.6f} USD, and {left / 1e6:.6f} USD are left"
            if ruled_out is None and wellbeing is not None and (trouble := wellbeing.trouble(target)) is not None:
                ruled_out, why = "unhealthy", trouble
            if ruled_out is not None:
                found[at] = msgspec.structs.replace(found[at], ruled_out=ruled_out, why=why)
        return found

    def _prices_at(self, seat: Seat, usage: Usage) -> int | None:
        prices, target = self._ports.prices, seat.target
        return prices.estimate(target.provider, target.model, usage) if prices is not None and target is not None else None

    def _seat(self, task: Task, name: str) -> Seat:
        try:
            target = self._ports.candidates.resolve(name)
            traits = self._ports.candidates.traits(target, task.organisation)
        except PenstockError as fault:
            return Seat(name, None, None, "unknown", fault.message)
        away = misplaced(task, traits)
        return Seat(name, target, traits, "place" if away is not None else None, away)

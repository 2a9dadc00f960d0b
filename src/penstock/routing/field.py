"""A task's candidates, resolved, and what is known of them before any call: kept for as long as nothing changes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from penstock.kernel.approvals import Approvals
from penstock.kernel.call import Target, Usage
from penstock.kernel.candidates import Kind, Traits
from penstock.kernel.choice import Considered, Constraint
from penstock.kernel.tasks import Task
from penstock.routing.demands import OUTPUT_GUESS, Demands
from penstock.routing.policy import Policy, Standing, claim_of, floor_in_words

_ORGANISATIONS = 1_000
PRICED_SECONDS = 60.0
"""How long an expected cost is taken for what it is; prices change at midnight, if at all."""


class Seat:
    """A candidate of a task, resolved. ``ruled_out`` and ``why`` are what no call can change."""

    __slots__ = ("name", "ruled_out", "target", "traits", "why")

    def __init__(self, name: str, target: Target | None, traits: Traits | None, ruled_out: Constraint | None, why: str | None) -> None:
        self.name = name
        self.target = target
        self.traits = traits
        self.ruled_out: Constraint | None = ruled_out
        self.why = why


class Board:
    """The candidates as they stand before a call, in the task's order, and who of them may do it.

    ``able`` keeps to all hard constraints, ``allowed`` does well besides; where nobody does, it is as many as are able: then a probe is
    better than a refusal. ``dearest`` is the highest expected cost of whoever may do the call.
    """

    __slots__ = ("able", "allowed", "considered", "dearest", "default", "names", "untouched")

    def __init__(self, considered: Sequence[Considered], default: str, *, untouched: bool = False) -> None:
        self.considered = tuple(considered)
        self.able = {one.candidate: one for one in considered if one.ruled_out is None or one.ruled_out == "unhealthy"}
        self.allowed = {name: one for name, one in self.able.items() if one.ruled_out is None} or self.able
        self.names = tuple(self.allowed)
        self.default = next((one for one in considered if one.candidate == default), None)
        self.dearest = max((one.cost for one in self.allowed.values() if one.cost is not None), default=0)
        self.untouched = untouched
        """Whether nothing about the call or the moment rules anybody out, as is the rule."""


class Field:
    """A task's candidates, resolved once for as long as nothing changes.

    What a call is expected to cost is reckoned once for all calls of about its size (within three per cent), every minute anew.
    """

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
        self.models = {
            seat.name: (f"{seat.target.provider}/{seat.target.model}", seat.traits.version)
            for seat in seats
            if seat.target is not None and seat.traits is not None
        }
        """Where the candidates' names lead, see `penstock.routing.binding`."""
        self.usable = [seat.target for seat in seats if seat.ruled_out is None and seat.target is not None]
        traits = [seat.traits for seat in seats if seat.ruled_out is None and seat.traits is not None]
        # What every one of them takes: a call that asks for no more need not be held against each.
        self._context = min((one.context for one in traits if one.context is not None), default=math.inf)
        self._inputs: frozenset[Kind] | None = None
        for one in traits:
            if one.inputs is not None:
                self._inputs = one.inputs if self._inputs is None else self._inputs & one.inputs
        self._tools = all(one.tools is not False for one in traits)
        self._json = all(one.json is not False for one in traits)
        self._free: dict[str, object] = {}
        self._known: dict[tuple[int, int], Board] = {}
        self._targets: dict[tuple[str, str | None], list[Target]] = {}
        self._of: Policy | None = None
        self._standings: dict[str, Standing] = {}
        self.slowest = 0.0
        """The longest time, in ms, that one of them is known to take."""
        self._until = 0.0

    def of_size(self, tokens: int, most: int | None, policy: Policy | None, price: Callable[[Seat, Usage], int | None]) -> Board:
        """The candidates before a call of about so many tokens of input, and at most so many of output, that rules nobody out."""
        now = time.monotonic()
        if self._of is not policy or now > self._until:
            self._of, self._until, self._known = policy, now + PRICED_SECONDS, {}
            self._standings = {one.candidate: one for one in policy.standings} if policy is not None else {}
            self.slowest = max((one.latency_ms or 0.0 for one in self._standings.values()), default=0.0)
        size = _step(tokens), -1 if most is None else _step(most)
        found = self._known.get(size)
        if found is None:
            priced = [self._priced(seat, tokens, most, price) for seat in self.seats]
            found = self._known[size] = Board(priced, self.task.default, untouched=True)
        return found

    def suits(self, demands: Demands) -> bool:
        """Whether none of them lacks anything for such a call, see `missing`."""
        return (
            demands.tokens <= self._context
            and (self._inputs is None or demands.kinds <= self._inputs)
            and (self._tools or not demands.tools)
            and (self._json or not demands.json)
        )

    def approved(self, approvals: Approvals, organisation: str) -> bool:
        """Whether none of them is refused to the organisation; asked again when anything is approved, refused or declared."""
        version = approvals.version
        if self._free.get(organisation) == version:
            return True
        task = self.task
        for target in self.usable:
            if approvals.refusal(target.provider, target.model, organisation=organisation, task=task.name, data_class=task.data_class):
                return False
        if len(self._free) >= _ORGANISATIONS:
            self._free.clear()
        self._free[organisation] = version
        return True

    def targets(self, board: Board, chosen: str, second: str | None) -> list[Target]:
        """Whom to try: ``chosen``, then the ``second`` of a cascade, or else whoever stands in for who fails, the default first."""
        if not board.untouched:
            return self._in_turn(board, chosen, second)
        found = self._targets.get((chosen, second))
        if found is None:
            found = self._targets[chosen, second] = self._in_turn(board, chosen, second)
        return found.copy()

    def _in_turn(self, board: Board, chosen: str, second: str | None) -> list[Target]:
        targets = [_target(board.able[chosen], 0)]
        if second is not None:
            return [*targets, _target(board.allowed[second], 1)]
        stand_ins = [name for name in self.chain if name in board.allowed and name != chosen]
        return targets + [_target(board.allowed[name], rank) for rank, name in enumerate(stand_ins, 1)]

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


def _target(one: Considered, rank: int) -> Target:
    return Target(one.provider, one.model, one.candidate, rank)

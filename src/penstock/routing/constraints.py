"""Hard constraints, which come before any evidence: each candidate of a task as it stands before a call."""

from __future__ import annotations

import msgspec

from penstock.kernel.approvals import Approvals
from penstock.kernel.call import Call, Usage
from penstock.kernel.candidates import Candidates, in_order, misplaced
from penstock.kernel.choice import Constraint
from penstock.kernel.circumstances import Purse, Wellbeing
from penstock.kernel.errors import PenstockError
from penstock.kernel.recall import Prices
from penstock.kernel.tasks import Task
from penstock.routing.demands import Demands, demands_of, missing
from penstock.routing.field import Board, Field, Seat
from penstock.routing.policy import Policy

_REMEMBERED = 2_000


class Ports(msgspec.Struct, kw_only=True):
    """The rooms that are asked; None where nobody answers, and nothing is ruled out then."""

    candidates: Candidates
    approvals: Approvals | None = None
    wellbeing: Wellbeing | None = None
    purse: Purse | None = None
    prices: Prices | None = None


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

    def board(self, call: Call, field: Field, policy: Policy | None) -> Board:
        """Every candidate in the task's order, each with the first constraint that rules it out."""
        ports = self._ports
        board = field.of_size(call.input_estimate, call.max_output, policy, self._prices_at)
        demands, seconds = demands_of(call), call.remaining()
        organisation = call.principal.organisation if call.principal is not None else ""
        approvals, wellbeing = ports.approvals, ports.wellbeing
        if approvals is not None and approvals.idle:
            approvals = None
        left = ports.purse.left(call) if ports.purse is not None else None
        if (
            field.suits(demands)
            and field.slowest <= seconds * 1e3
            and (left is None or board.dearest <= left)
            and (approvals is None or field.approved(approvals, organisation))
            and (wellbeing is None or wellbeing.all_well(field.usable))
        ):
            return board
        return self._ruled_out(board, field, demands, seconds, left, approvals, organisation)

    def _ruled_out(
        self,
        board: Board,
        field: Field,
        demands: Demands,
        seconds: float,
        left: int | None,
        approvals: Approvals | None,
        organisation: str,
    ) -> Board:
        task, wellbeing, found = field.task, self._ports.wellbeing, list(board.considered)
        hurried = field.slowest > seconds * 1e3
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
        return Board(found, task.default) if found != list(board.considered) else board

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

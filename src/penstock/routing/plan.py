"""Which candidate does a call: hard constraints first, then the cheapest whose evidence meets the floor, or else the task's default.

Nothing is routed on a proof that is about something else: where the certified pick is ruled out, the policy's average is no longer what
was certified, and the default does the call (or, where single candidates are certified too, the cheapest of these).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NoReturn

import msgspec

from penstock.kernel.call import Call, Target
from penstock.kernel.choice import Choice, Considered, Mode
from penstock.kernel.errors import BudgetExceeded, NotApproved, RequestError
from penstock.kernel.tasks import Task
from penstock.routing.constraints import Constraints
from penstock.routing.field import Board, Field
from penstock.routing.memory import Live

NOT_ALLOWED, NONE_FITS = "no_candidate_allowed", "no_candidate_fits"
_OF_THE_REQUEST = frozenset(("context", "modality", "tools", "json", "deadline"))


class Plan(msgspec.Struct, kw_only=True):
    """What to do: the call's ``targets`` in the order to try, why, and whether ``live``'s cascade asks the first and checks the answer."""

    choice: Choice
    targets: list[Target]
    live: Live | None = None
    cascade: bool = False
    allowed: tuple[str, ...] = ()


class Planner:
    """Puts constraints and evidence together. ``costs`` of policies are those of their certificates: what serves is what was tested."""

    def __init__(self, constraints: Constraints) -> None:
        self._constraints = constraints

    def field(self, task: Task) -> Field:
        """See `Constraints.field`."""
        return self._constraints.field(task)

    def plan(
        self,
        call: Call,
        field: Field,
        live: Live | None,
        chances: Sequence[float] | None = None,
        *,
        checkable: bool = False,
        unguessed: str = "",
    ) -> Plan:
        """The plan for a call. ``chances`` of `Policy.candidates` for this prompt, None where there is no estimate; ``checkable`` says that
        a cascade can check an answer to it. ``unguessed`` says why there is neither.

        Raises an error that names every candidate and what rules it out when none is left.
        """
        task, policy = field.task, live.policy if live is not None else None
        board = self._constraints.board(call, field, policy)
        if not board.able:
            refuse(task, board.considered, field.left)
        guessed: dict[str, float] = {}
        if policy is not None and chances is not None:
            guessed = dict(zip(policy.candidates, chances, strict=True))
        default = board.default
        if default is not None and default.ruled_out == "budget" and not _affordable(live, board, field):
            # A cheaper one could be paid, and of none is it proven that it is good enough: money must not lower quality unsaid.
            raise BudgetExceeded(f"the task's default, {task.default}, {default.why}, and no candidate that is certified costs less")
        mode, chosen, why, kept = _pick(field, live, chances, board, checkable, unguessed)
        if not chosen:
            refuse(task, board.considered, field.left)
        choice = Choice(
            task=task.name,
            mode=mode,
            chosen=chosen,
            why=why,
            candidates=board.considered,
            policy=kept.policy.id if kept is not None else None,
            floor=field.floor,
            quality=kept.policy.quality if kept is not None else None,
            bound=kept.policy.bound if kept is not None else None,
            estimates=guessed,
        )
        second: str | None = None
        if mode == "cascade" and policy is not None:
            second = choice.next = policy.next
            choice.threshold = policy.threshold
        targets = field.targets(board, chosen, second)
        return Plan(choice=choice, targets=targets, live=kept, cascade=mode == "cascade", allowed=board.names)


def _pick(
    field: Field,
    live: Live | None,
    chances: Sequence[float] | None,
    board: Board,
    checkable: bool,
    unguessed: str,
) -> tuple[Mode, str, str, Live | None]:
    task, allowed = field.task, board.allowed
    missing = _unproven(field, live)
    if live is None or missing is not None:
        return _fallback(field, board, missing or "nothing is certified")
    policy = live.policy
    proven = f"policy {policy.number} holds {field.floor} on {policy.labels} labels"
    if policy.kind == "router":
        if chances is not None:
            pick = worthiest(policy.candidates, chances, policy.costs, policy.worth)
            if pick in allowed:
                return "router", pick, f"the router's pick for this prompt; {proven}", live
            unguessed = f"the router's pick for this prompt, {pick}, is ruled out"
    elif policy.kind == "cascade" and policy.chosen is not None and policy.next is not None:
        if task.mode != "cascade":
            unguessed = f"policy {policy.number} is a cascade, and the task's mode is {task.mode}"
        elif checkable and policy.chosen in allowed and policy.next in allowed:
            return "cascade", policy.chosen, f"answers first and is checked, {policy.next} answers where that fails; {proven}", live
        elif checkable:
            unguessed = f"{policy.chosen if policy.chosen not in allowed else policy.next} of the cascade is ruled out"
    for name in policy.singles:
        if name in allowed:
            said = f"the cheapest candidate whose own evidence meets the floor; {proven}"
            return "proof", name, f"{unguessed}; {said}" if unguessed else said, live
    return _fallback(field, board, unguessed or f"every candidate that is certified by itself is ruled out (policy {policy.number})")


def worthiest(candidates: Sequence[str], chances: Sequence[float], costs: Sequence[float], worth: float) -> str:
    """The candidate with the best ``worth * chance - cost``; on a tie, the cheaper; empty where no chance is a number.

    As `penstock.routing.choice.pick`, for one call.
    """
    values = [worth * chance - cost for chance, cost in zip(chances, costs, strict=True)]
    best = max(values)
    if values.count(best) == 1 and not math.isnan(best):
        return candidates[values.index(best)]
    known = [(-value, cost, at) for at, (value, cost) in enumerate(zip(values, costs, strict=True)) if not math.isnan(value)]
    return candidates[min(known)[2]] if known else ""


def _affordable(live: Live | None, board: Board, field: Field) -> bool:
    """Whether a candidate that is certified by itself may do the call."""
    return live is not None and _unproven(field, live) is None and any(name in board.allowed for name in live.policy.singles)


def _unproven(field: Field, live: Live | None) -> str | None:
    task = field.task
    if task.mode == "default":
        return "the task's mode is default"
    if task.floor is None:
        return "the task states no floor, so nothing can be proven"
    if live is None:
        return f"nothing is certified for this task yet; POST /v1/tasks/{task.name}/policies does"
    return live.unusable(task, field.claim, field.models)


def _unproven_order(field: Field, board: Board) -> list[str]:
    """Who may do the call without evidence, in order: those at least as trusted as the default, so that no failure and no refusal sends
    data further away; of these one that does badly rather than nobody. What the default cannot do at all, any other candidate may."""
    allowed, default = board.allowed, board.default
    near = [name for name in field.chain if name in allowed] or [name for name in field.chain if name in board.able]
    if default is not None and default.ruled_out in _OF_THE_REQUEST:
        near += [name for name in allowed if name not in near]
    return near


def _fallback(field: Field, board: Board, why: str) -> tuple[Mode, str, str, Live | None]:
    task, instead = field.task, _unproven_order(field, board)
    if task.default in instead:
        return "default", task.default, f"the task's default: {why}", None
    name = next(iter(instead), "")
    return "instead", name, f"the default, {task.default}, is ruled out, and this is the next of the task's candidates: {why}", None


def refuse(task: Task, considered: Sequence[Considered], left: Mapping[str, str]) -> NoReturn:
    """Raise what fits: no candidate may do the call. ``left`` says why some do not stand in for the default."""
    reasons = {one.ruled_out for one in considered if one.ruled_out is not None}
    each = "; ".join(f"{one.candidate}: {one.why or left.get(one.candidate, '')}" for one in considered[:8]) + (
        f"; and {len(considered) - 8} more" if considered[8:] else ""
    )
    said = f"no candidate of the task {task.name!r} may do this call: {each}"
    if reasons == {"budget"}:
        raise BudgetExceeded(said)
    if reasons <= _OF_THE_REQUEST:
        raise RequestError(said, code=NONE_FITS, param="model")
    raise NotApproved(said, code=NOT_ALLOWED, param="model")

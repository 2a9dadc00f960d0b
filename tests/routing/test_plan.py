"""Who does a call: the certified pick where it may, else what is certified by itself, else the default; no proof of something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.routing.simulated import CHEAP, DEAR, policy, task
from tests.routing.test_constraints import Rooms, asked

from penstock.kernel.errors import BudgetExceeded, NotApproved
from penstock.kernel.tasks import Floor
from penstock.routing.choice import pick
from penstock.routing.memory import Live
from penstock.routing.plan import Plan, Planner, worthiest
from penstock.routing.policy import claim_of

TASK = task(mode="cascade")
CLAIM = claim_of(TASK)
ROUTER: dict[str, Any] = {"kind": "router", "chosen": None, "worth": 1e4, "singles": (DEAR,)}
CASCADE: dict[str, Any] = {"kind": "cascade", "chosen": CHEAP, "next": DEAR, "threshold": 0.1, "singles": (DEAR,)}


def planned(
    rooms: Rooms | None = None, *, of: Any = TASK, chances: Any = None, checkable: bool = False, live: Any = ..., **more: Any
) -> Plan:
    planner = Planner((rooms or Rooms()).constraints())
    found = Live(policy(**{"claim": claim_of(of), **more}), None) if live is ... else live
    return planner.plan(asked(), planner.field(of), found, chances, checkable=checkable)


def names(plan: Plan) -> list[str]:
    return [target.name for target in plan.targets]


def test_a_certified_single_serves_and_the_default_stands_in() -> None:
    plan = planned()
    assert (plan.choice.mode, names(plan), [t.rank for t in plan.targets]) == ("proof", [CHEAP, DEAR], [0, 1])
    assert (plan.choice.policy, plan.cascade) == ("policy_1", False)


@pytest.mark.parametrize(
    ("more", "of", "said"),
    [
        ({"live": None}, TASK, "nothing is certified for this task yet"),
        ({}, task(mode="default"), "the task's mode is default"),
        ({}, task(floor=None), "states no floor"),
        ({"claim": "other"}, TASK, "another floor, judge or slices"),
        ({"state": "suspended", "changed_why": "drift"}, TASK, "suspended: drift"),
        ({"state": "refused", "kind": None, "why": "too few"}, TASK, "too few"),
        ({"candidates": (CHEAP, DEAR, "gone/model")}, TASK, "gone/model, which the task has left"),
        ({"live": Live(policy(claim=CLAIM), None, "its arrays are not those")}, TASK, "cannot be used: its arrays"),
    ],
)
def test_what_is_not_proven_for_this_task_as_it_is_leaves_the_default(more: dict[str, Any], of: Any, said: str) -> None:
    plan = planned(of=of, **more)
    assert (plan.choice.mode, names(plan)[0], plan.choice.policy) == ("default", DEAR, None)
    assert said in plan.choice.why


@pytest.mark.parametrize(("chances", "pick"), [((0.9, 0.9), CHEAP), ((0.2, 0.9), DEAR), ((0.9, 0.91), CHEAP), ((0.5, 0.5), CHEAP)])
def test_a_router_picks_the_best_of_worth_and_cost(chances: Any, pick: str) -> None:
    plan = planned(chances=chances, **ROUTER)
    assert (plan.choice.mode, plan.choice.chosen) == ("router", pick)
    assert plan.choice.estimates == pytest.approx(dict(zip((CHEAP, DEAR), chances, strict=True)))


def test_a_router_whose_pick_is_ruled_out_or_unknown_claims_only_singles() -> None:
    rooms = Rooms()
    rooms.troubles[CHEAP] = "ill"
    plan = planned(rooms, chances=(0.9, 0.9), **ROUTER)
    assert (plan.choice.mode, plan.choice.chosen) == ("proof", DEAR)
    assert "pick for this prompt, cheap/small, is ruled out" in plan.choice.why
    assert planned(rooms, chances=(0.9, 0.9), **dict[str, Any](ROUTER, singles=())).choice.mode == "default"
    assert planned(**ROUTER).choice.mode == "proof"  # no estimate
    assert planned(chances=(float("nan"), float("nan")), **ROUTER).choice.mode == "proof"


def test_a_cascade_asks_the_small_one_first_where_its_answer_can_be_checked() -> None:
    plan = planned(checkable=True, **CASCADE)
    assert (plan.choice.mode, plan.cascade, names(plan), plan.choice.threshold) == ("cascade", True, [CHEAP, DEAR], 0.1)
    assert planned(checkable=False, **CASCADE).choice.mode == "proof"
    routed = planned(of=task(mode="route"), checkable=True, **CASCADE)
    assert (routed.choice.mode, routed.choice.chosen) == ("proof", DEAR)
    assert "the task's mode is route" in routed.choice.why


@pytest.mark.parametrize("ill", [CHEAP, DEAR])
def test_a_cascade_with_one_of_its_two_ruled_out_is_none(ill: str) -> None:
    rooms = Rooms()
    rooms.refused[ill] = "revoked"
    plan = planned(rooms, checkable=True, **CASCADE)
    assert plan.choice.mode == ("proof" if ill == CHEAP else "instead")
    assert (plan.cascade, names(plan)) == (False, [DEAR if ill == CHEAP else CHEAP])
    assert f"{ill} of the cascade is ruled out" in plan.choice.why


def test_a_certified_one_that_is_ruled_out_leaves_the_next_and_then_the_default() -> None:
    rooms = Rooms()
    rooms.refused[CHEAP] = "revoked"
    assert planned(rooms).choice.chosen == DEAR
    plan = planned(rooms, singles=(CHEAP,))
    assert (plan.choice.mode, names(plan)) == ("default", [DEAR])
    assert "every candidate that is certified by itself is ruled out" in plan.choice.why


def test_who_is_ill_is_asked_only_where_nobody_else_is_left() -> None:
    rooms = Rooms()
    rooms.troubles[CHEAP] = "ill"
    assert names(planned(rooms)) == [DEAR]
    rooms.troubles[DEAR] = "ill"
    assert names(planned(rooms)) == [CHEAP, DEAR]  # a probe is better than a refusal


def test_nobody_left_is_refused() -> None:
    rooms = Rooms()
    rooms.refused[CHEAP], rooms.refused[DEAR] = "revoked", "revoked"
    with pytest.raises(NotApproved, match="no candidate of the task 'sums' may do this call"):
        planned(rooms)


def test_money_lowers_no_quality_unsaid() -> None:
    rooms = Rooms()
    rooms.money = 1000  # the cheap one costs 20, the default 2000
    assert planned(rooms).choice.chosen == CHEAP
    with pytest.raises(BudgetExceeded, match="no candidate that is certified costs less"):
        planned(rooms, live=None)
    with pytest.raises(BudgetExceeded):
        planned(rooms, singles=(DEAR,))


def test_the_floor_is_told_in_words() -> None:
    of = task(floor=Floor(level=0.95), mode="route")
    assert planned(of=of).choice.floor == f"at least 95.0% as good as {DEAR}, at 95% confidence"


_few = st.sampled_from((0.0, 0.25, 0.5, 0.75, 1.0))


@given(st.lists(st.tuples(_few, st.sampled_from((1.0, 2.0, 3.0))), min_size=1, max_size=20), st.sampled_from((0.0, 1.0, 4.0, 50.0)))
def test_the_line_picks_as_the_certificate_did(rows: list[tuple[float, float]], worth: float) -> None:
    chances, costs = zip(*rows, strict=True)
    picked = worthiest([f"m{k}" for k in range(len(rows))], chances, costs, worth)
    assert picked == f"m{int(pick(np.array(chances), np.array(costs), worth))}"

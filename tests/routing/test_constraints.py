"""Every reason that rules a candidate out, one by one, and in order; all of them before any evidence."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from tests.routing.simulated import CHEAP, DEAR, policy, task

from penstock.kernel.approvals import Refusal
from penstock.kernel.call import Call, Target, Trace, Usage
from penstock.kernel.candidates import Traits
from penstock.kernel.choice import Considered
from penstock.kernel.errors import BudgetExceeded, NotApproved, RequestError, UnknownModel
from penstock.routing.constraints import Constraints, Ports
from penstock.routing.plan import refuse
from penstock.routing.policy import Standing

PRICES = {CHEAP: 1, DEAR: 100}
"""Micro-dollars a token."""


class Rooms:
    """Every room that is asked, at once; what a test sets is what it says."""

    def __init__(self) -> None:
        self.version = 0
        self.of: dict[str, Traits] = {CHEAP: Traits(place="vendor"), DEAR: Traits(place="vendor")}
        self.refused: dict[str, str] = {}
        self.troubles: dict[str, str] = {}
        self.money: int | None = None
        self.idle = False
        self.priced = 0

    def resolve(self, name: str) -> Target:
        if name not in self.of:
            raise UnknownModel(f"no model named {name}")
        provider, model = name.split("/")
        return Target(provider, model, name)

    def traits(self, target: Target, organisation: str = "") -> Traits:
        return self.of[target.name]

    def refusal(self, provider: str, model: str, **_: Any) -> Refusal | None:
        said = self.refused.get(f"{provider}/{model}")
        return Refusal("model_revoked", said) if said is not None else None

    def trouble(self, target: Target) -> str | None:
        return self.troubles.get(target.name)

    def all_well(self, targets: Iterable[Target]) -> bool:
        return not any(target.name in self.troubles for target in targets)

    def left(self, call: Call) -> int | None:
        return self.money

    def estimate(self, provider: str, model: str, usage: Usage) -> int | None:
        self.priced += 1
        price = PRICES.get(f"{provider}/{model}")
        return None if price is None else price * usage.total

    def constraints(self) -> Constraints:
        return Constraints(Ports(candidates=self, approvals=self, wellbeing=self, purse=self, prices=self))  # type: ignore[arg-type]


def asked(*, tokens: int = 10, most: int | None = 10, seconds: float = 60.0, body: bytes = b"{}") -> Call:
    call = Call(operation="chat", shape="openai.chat", credential=None, deadline=time.monotonic() + seconds, trace=Trace.begin(), body=body)
    call.fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    call.input_estimate, call.max_output = tokens, most
    return call


def considered(rooms: Rooms, call: Call | None = None, of: Any = None, known: Any = None) -> dict[str, Considered]:
    constraints = rooms.constraints()
    return {one.candidate: one for one in constraints.board(call or asked(), constraints.field(of or task()), known).considered}


def test_with_nothing_in_the_way_everybody_is_allowed_and_priced() -> None:
    found = considered(Rooms())
    assert [(one.ruled_out, one.cost) for one in found.values()] == [(None, 20), (None, 2000)]


TOOLS = b'{"tools": [{"type": "function"}]}'
SCHEMA = b'{"response_format": {"type": "json_schema"}}'
IMAGE = b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}'


def unknown(rooms: Rooms) -> Call:
    del rooms.of[CHEAP]
    return asked()


def place(rooms: Rooms) -> Call:
    rooms.of[DEAR] = Traits(place="own")
    return asked()


def not_approved(rooms: Rooms) -> Call:
    rooms.refused[CHEAP] = "revoked"
    return asked()


def unhealthy(rooms: Rooms) -> Call:
    rooms.troubles[CHEAP] = "its circuit is open"
    return asked()


def traits(**more: Any) -> Any:
    def change(rooms: Rooms) -> Call:
        body = more.pop("body", b"{}")
        rooms.of[CHEAP] = Traits(place="vendor", **more)
        return asked(body=body)

    return change


@pytest.mark.parametrize(
    ("reason", "change", "said"),
    [
        ("unknown", unknown, "no model named"),
        ("not_approved", not_approved, "revoked"),
        ("unhealthy", unhealthy, "circuit"),
        ("context", traits(context=19), "takes 19 tokens, and the call may need about 20"),
        ("modality", traits(inputs=frozenset({"text"}), body=IMAGE), "takes no image"),
        ("tools", traits(tools=False, body=TOOLS), "calls no tools"),
        ("json", traits(json=False, body=SCHEMA), "JSON schema"),
    ],
)
def test_each_reason_rules_out_whom_it_concerns_and_says_why(reason: str, change: Any, said: str) -> None:
    rooms = Rooms()
    found = considered(rooms, change(rooms))
    assert (found[CHEAP].ruled_out, found[DEAR].ruled_out) == (reason, None)
    assert said in (found[CHEAP].why or "")


def test_data_that_may_not_leave_rules_a_vendor_out() -> None:
    rooms = Rooms()
    found = considered(rooms, place(rooms), of=task(data_class="confidential"))
    assert (found[CHEAP].ruled_out, found[DEAR].ruled_out) == ("place", None)


def test_what_cannot_be_paid_is_ruled_out_and_an_unknown_price_is_not() -> None:
    rooms = Rooms()
    rooms.of["free/unknown"] = Traits(place="vendor")
    rooms.money = 1999
    found = considered(rooms, of=task(candidates=(CHEAP, DEAR, "free/unknown")))
    assert {name: one.ruled_out for name, one in found.items()} == {CHEAP: None, DEAR: "budget", "free/unknown": None}
    assert "0.002000 USD, and 0.001999 USD are left" in (found[DEAR].why or "")
    rooms.money = 2000
    assert considered(rooms)[DEAR].ruled_out is None


def test_who_takes_longer_than_there_is_time_is_ruled_out() -> None:
    def standing(name: str, ms: float | None) -> Standing:
        return Standing(candidate=name, labels=9, quality=0.9, low=0.8, high=1.0, bound=0.7, certified=True, latency_ms=ms, output_tokens=4)

    known = policy(standings=(standing(CHEAP, 100.0), standing(DEAR, 5000.0)))
    found = considered(Rooms(), asked(seconds=2.0), known=known)
    assert (found[CHEAP].ruled_out, found[DEAR].ruled_out) == (None, "deadline")
    assert "takes 5000 ms" in (found[DEAR].why or "")
    assert (found[CHEAP].quality, found[CHEAP].bound) == (0.9, 0.7)
    assert considered(Rooms(), asked(seconds=-1.0), known=known)[CHEAP].ruled_out == "deadline"
    nobody = policy(standings=(standing(CHEAP, None), standing(DEAR, None)))
    assert {one.ruled_out for one in considered(Rooms(), asked(seconds=0.001), known=nobody).values()} == {None}


ORDER = ("not_approved", "context", "budget", "unhealthy")


@pytest.mark.parametrize("reasons", [c for n in (1, 2, 3, 4) for c in itertools.combinations(ORDER, n)])
def test_of_several_reasons_the_first_is_told(reasons: tuple[str, ...]) -> None:
    rooms = Rooms()
    if "not_approved" in reasons:
        rooms.refused[CHEAP] = "revoked"
    if "context" in reasons:
        rooms.of[CHEAP] = Traits(place="vendor", context=1)
    if "budget" in reasons:
        rooms.money = 0
    if "unhealthy" in reasons:
        rooms.troubles[CHEAP] = "ill"
    assert considered(rooms)[CHEAP].ruled_out == reasons[0]


def test_an_idle_registry_is_not_asked() -> None:
    rooms = Rooms()
    rooms.refused[CHEAP], rooms.idle = "revoked", True
    assert considered(rooms)[CHEAP].ruled_out is None


def test_rooms_that_nobody_provides_rule_nobody_out() -> None:
    bare = Constraints(Ports(candidates=Rooms()))  # type: ignore[arg-type]
    assert [(one.ruled_out, one.cost) for one in bare.board(asked(), bare.field(task()), None).considered] == [(None, None)] * 2


def test_a_field_is_kept_until_its_task_or_its_candidates_change() -> None:
    rooms, of = Rooms(), task()
    constraints = rooms.constraints()
    field = constraints.field(of)
    assert constraints.field(of) is field
    assert constraints.field(task()) is not field  # declared anew
    field = constraints.field(of)
    rooms.of[CHEAP] = Traits(place="vendor", context=1)
    assert constraints.board(asked(), constraints.field(of), None).considered[0].ruled_out is None
    rooms.version += 1
    assert constraints.board(asked(), constraints.field(of), None).considered[0].ruled_out == "context"


def test_what_one_call_is_told_is_not_written_into_the_next_ones() -> None:
    rooms, of = Rooms(), task()
    constraints = rooms.constraints()
    rooms.troubles[CHEAP] = "ill"
    first = constraints.board(asked(), constraints.field(of), None).considered
    rooms.troubles.clear()
    second = constraints.board(asked(), constraints.field(of), None).considered
    assert (first[0].ruled_out, second[0].ruled_out) == ("unhealthy", None)
    assert rooms.priced == 2  # once for each candidate, not for each call


@examples(max_examples=60, deadline=None)
@given(st.integers(0, 2_000_000), st.one_of(st.none(), st.integers(0, 200_000)))
def test_a_cost_that_is_reckoned_once_for_calls_of_about_a_size_is_near(tokens: int, most: int | None) -> None:
    rooms, of = Rooms(), task()
    constraints = rooms.constraints()
    field = constraints.field(of)
    near = constraints.board(asked(tokens=tokens, most=most), field, None).considered[0].cost
    told = constraints.board(asked(tokens=int(tokens * 1.02), most=most), field, None).considered[0].cost
    assert near is not None
    assert told is not None
    assert abs(told - near) <= 0.031 * max(near, told) + 1


def one(name: str, reason: Any) -> Considered:
    return Considered(candidate=name, ruled_out=reason, why=f"because of {reason}")


@pytest.mark.parametrize(
    ("reasons", "kind", "code"),
    [
        (("budget", "budget"), BudgetExceeded, "insufficient_quota"),
        (("context", "tools"), RequestError, "no_candidate_fits"),
        (("deadline", "json", "modality"), RequestError, "no_candidate_fits"),
        (("context", "budget"), NotApproved, "no_candidate_allowed"),
        (("place", "not_approved", "unknown"), NotApproved, "no_candidate_allowed"),
    ],
)
def test_nobody_left_is_refused_with_every_reason(reasons: tuple[str, ...], kind: Any, code: str) -> None:
    with pytest.raises(kind) as fault:
        refuse(task(), [one(f"p/{n}", reason) for n, reason in enumerate(reasons)], {})
    assert fault.value.code == code
    assert all(f"p/{n}: because of {reason}" in fault.value.message for n, reason in enumerate(reasons))


def test_a_long_refusal_is_cut_and_says_how_many_more() -> None:
    with pytest.raises(NotApproved, match="and 12 more"):
        refuse(task(), [one(f"p/{n}", "place") for n in range(20)], {})

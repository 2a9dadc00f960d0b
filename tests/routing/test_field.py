"""What is kept of a task's candidates between calls gives the same answers as asking each."""

from __future__ import annotations

import itertools

import pytest

from penstock.kernel.approvals import Refusal
from penstock.kernel.call import Target
from penstock.kernel.candidates import Kind, Traits
from penstock.kernel.choice import Considered
from penstock.kernel.tasks import Task
from penstock.routing.demands import Demands, missing
from penstock.routing.field import Board, Field, Seat

TASK = Task(organisation="o", name="t", owner="x", default="b", candidates=("a", "b", "c"))
TEXT: frozenset[Kind] = frozenset(("text",))
IMAGE: frozenset[Kind] = frozenset(("text", "image"))


def field(*traits: Traits) -> Field:
    seats = [Seat(name, Target("p", name, name), one, None, None) for name, one in zip("abc", traits, strict=False)]
    return Field(TASK, 1, seats, ["b", "a", "c"], {})


def board(made: Field) -> Board:
    return made.of_size(100, None, None, lambda seat, usage: {"a": 1, "b": 9, "c": 3}[seat.name])


@pytest.mark.parametrize(
    "traits",
    [
        Traits(place="vendor"),
        Traits(place="vendor", context=50),
        Traits(place="vendor", inputs=TEXT),
        Traits(place="vendor", inputs=IMAGE),
        Traits(place="vendor", tools=False),
        Traits(place="vendor", json=False),
    ],
)
def test_nobody_lacks_anything_exactly_where_each_lacks_nothing(traits: Traits) -> None:
    made = field(Traits(place="vendor", context=1000, inputs=IMAGE, tools=True, json=True), traits)
    for kinds, tools, json, tokens in itertools.product((TEXT, IMAGE), (False, True), (False, True), (50, 51, 1001)):
        demands = Demands(kinds, tools, json, tokens)
        each = all(seat.traits is not None and missing(demands, seat.traits) is None for seat in made.seats)
        assert made.suits(demands) is each


def test_targets_are_the_callers_own_and_the_default_stands_in_first() -> None:
    made = field(Traits(place="vendor"), Traits(place="vendor"), Traits(place="vendor"))
    first = made.targets(board(made), "c", None)
    assert [(one.name, one.rank) for one in first] == [("c", 0), ("b", 1), ("a", 2)]
    first.clear()
    assert [one.name for one in made.targets(board(made), "c", None)] == ["c", "b", "a"]
    assert [one.name for one in made.targets(board(made), "a", "b")] == ["a", "b"]
    told = [Considered(candidate=one.candidate, ruled_out="budget" if one.candidate == "b" else None) for one in board(made).considered]
    assert [one.name for one in made.targets(Board(told, "b"), "c", None)] == ["c", "a"]
    assert board(made).dearest == 9


class Registry:
    def __init__(self) -> None:
        self.version, self.refused, self.asked, self.idle = 1, "", 0, False

    def refusal(
        self, provider: str, model: str, *, organisation: str, task: str | None = None, data_class: str | None = None
    ) -> Refusal | None:
        self.asked += 1
        return Refusal("model_revoked", model) if model == self.refused else None


def test_approvals_are_asked_again_once_anything_changes() -> None:
    made, registry = field(Traits(place="vendor"), Traits(place="vendor"), Traits(place="vendor")), Registry()
    assert made.approved(registry, "o")
    assert made.approved(registry, "o")
    assert registry.asked == 3
    assert made.approved(registry, "another")
    assert registry.asked == 6
    registry.refused, registry.version = "b", 2
    assert not made.approved(registry, "o")
    assert not made.approved(registry, "o")

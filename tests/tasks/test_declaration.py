"""What a declaration comes to."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.people import declared

from penstock.kernel.tasks import Floor, Recertify
from penstock.tasks.declaration import (
    BudgetDeclaration,
    Declaration,
    FloorDeclaration,
    JudgeDeclaration,
    RecertifyDeclaration,
    micro,
    task_of,
)


def test_what_is_left_out_is_what_one_would_expect() -> None:
    task = task_of("org", "t", declared(floor=FloorDeclaration(level=0.9)))
    assert (task.default, task.candidates, task.mode, task.data_class) == ("up/a", ("up/a", "up/b"), "route", "internal")
    assert task.floor == Floor(level=0.9, kind="absolute")
    alone = task_of("org", "t", Declaration(owner="a", default="up/b"))
    assert (alone.candidates, alone.default) == (("up/b",), "up/b")


def test_a_relative_floor_refers_to_the_default_unless_it_says_whom() -> None:
    relative = task_of("org", "t", declared(floor=FloorDeclaration(level=0.95, kind="relative"))).floor
    assert relative == Floor(level=0.95, kind="relative", reference="up/a")
    named = task_of("org", "t", declared(floor=FloorDeclaration(level=0.95, reference="up/b"))).floor
    assert named == Floor(level=0.95, kind="relative", reference="up/b")


def test_when_it_is_certified_again_is_taken_over() -> None:
    assert task_of("org", "t", declared(recertify=RecertifyDeclaration(labels=200))).recertify == Recertify(labels=200, hours=24.0)
    assert task_of("org", "t", declared()).recertify is None


def test_money_is_counted_in_micro_dollars() -> None:
    task = task_of("org", "t", declared(budget=BudgetDeclaration(amount=0.1, period="week"), explore_budget=3.0))
    assert task.budget is not None
    assert (task.budget.amount, task.budget.period, task.explore_budget) == (100_000, "week", 3_000_000)
    assert micro(0.29) == 290_000


def test_the_digest_changes_with_anything_and_only_then() -> None:
    one = task_of("org", "t", declared())
    assert one.digest == task_of("org", "t", declared()).digest
    others = [
        declared(owner="b"),
        declared(sample=0.1),
        declared(judge=JudgeDeclaration(kind="exact")),
        declared(judge=JudgeDeclaration(kind="json_schema", schema={"type": "object"})),
        declared(judge=JudgeDeclaration(kind="json_schema", schema={"type": "array"})),
    ]
    digests = {task_of("org", "t", other).digest for other in others} | {task_of("other", "t", declared()).digest, one.digest}
    assert len(digests) == len(others) + 2


def test_a_schema_arrives_as_it_was_declared() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    judge = task_of("org", "t", declared(judge=JudgeDeclaration(kind="json_schema", schema=schema))).judge
    assert judge is not None
    assert judge.schema is not None
    assert judge.schema == schema


@given(
    st.dictionaries(
        st.sampled_from(Declaration.__struct_fields__), st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.lists(st.text()))
    )
)
def test_whatever_is_sent_is_a_declaration_or_is_refused(given_fields: dict[str, object]) -> None:
    try:
        told = msgspec.convert(given_fields, Declaration)
    except msgspec.ValidationError:
        return
    assert msgspec.convert(msgspec.to_builtins(told), Declaration) == told


def test_names_that_nobody_knows_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"owner": "a", "candidats": ["up/a"]}, Declaration)

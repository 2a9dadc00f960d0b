"""What the form of a task says is read exactly, and what is wrong with it is told at its fields, all of it at once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from penstock.kernel.errors import RequestError
from penstock.tasks.declaration import (
    BudgetDeclaration,
    Declaration,
    FloorDeclaration,
    JudgeDeclaration,
    RecertifyDeclaration,
    SliceDeclaration,
)
from penstock.tasks.forms import FRESH, at_field, declaration, filled
from penstock.tasks.validation import Invalid, faults

WHOLE = Declaration(
    owner="support",
    candidates=("up/a", "up/b"),
    default="up/b",
    mode="cascade",
    description="Which intent\na message has.",
    kpi="resolution",
    initiative="2027",
    metric="share right",
    floor=FloorDeclaration(level=0.955, kind="relative", reference="up/b", confidence=0.99),
    slices=(SliceDeclaration(by="language", level=0.8), SliceDeclaration(by="label:team", level=0.7, least=50)),
    latency_ms=1500.5,
    latency_quantile=0.99,
    budget=BudgetDeclaration(amount=12.5, period="week"),
    data_class="confidential",
    places=("own", "vendor"),
    regions=("eu", "eu-west-1"),
    guard="strict",
    sample=0.02,
    explore=0.000_01,
    explore_budget=7.0,
    recertify=RecertifyDeclaration(labels=250, hours=6.5),
)
JUDGES = (
    None,
    JudgeDeclaration(kind="exact", pattern="(a|b)", ignore_case=False),
    JudgeDeclaration(kind="numeric", tolerance=0.001),
    JudgeDeclaration(kind="json_schema", schema={"type": "object", "properties": {"a": {"type": "string"}}}),
    JudgeDeclaration(kind="rubric", model="up/a", rubric="Is it kind?\nIs it short?"),
    JudgeDeclaration(kind="groundedness", detector="tokens"),
    JudgeDeclaration(kind="outcome", outcome="sale"),
)


def form(**fields: str) -> dict[str, str]:
    """A form that is in order but for what is given; ``floor__level`` is the field ``floor.level``."""
    plain = {**FRESH, "owner": "support", "candidates": "up/a\nup/b"}
    return {**plain, **{name.replace("__", "."): value for name, value in fields.items()}}


@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.kind if judge is not None else "nobody")
def test_what_is_filled_in_is_read_back(judge: JudgeDeclaration | None) -> None:
    told = msgspec.structs.replace(WHOLE, judge=judge)
    assert declaration(filled(told)) == told
    plain = Declaration(owner="a", candidates=("up/a",), judge=judge)
    assert declaration(filled(plain)) == plain


def test_the_fresh_form_declares_nothing_but_the_defaults() -> None:
    assert declaration(form()) == Declaration(owner="support", candidates=("up/a", "up/b"))
    spread = form(candidates=" up/a \r\n\r\n up/b ", regions="eu,  eu-west-1", budget__amount="$5", sample=".5")
    told = declaration(spread)
    assert (told.candidates, told.regions, told.sample) == (("up/a", "up/b"), ("eu", "eu-west-1"), 0.5)
    assert told.budget == BudgetDeclaration(amount=5.0)


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"owner": "  "}, "owner"),
        ({"sample": "half"}, "sample"),
        ({"sample": "2"}, "sample"),
        ({"sample": "nan"}, "sample"),
        ({"latency_ms": "-1"}, "latency_ms"),
        ({"latency_ms": "1e999"}, "latency_ms"),
        ({"mode": "guess"}, "mode"),
        ({"data_class": ""}, "data_class"),
        ({"slices": "language 0.8\nlanguage"}, "slices"),
        ({"slices": "language much"}, "slices"),
        ({"slices": "planet 0.8"}, "slices"),
        ({"slices": "language 0.8 few"}, "slices"),
        ({"floor__level": "1.5"}, "floor.level"),
        ({"floor__reference": "up/a"}, "floor.level"),
        ({"floor__level": "0.9", "floor__confidence": "0.2"}, "floor.confidence"),
        ({"judge__pattern": "x"}, "judge.kind"),
        ({"judge__kind": "json_schema", "judge__schema": "{"}, "judge.schema"),
        ({"judge__kind": "json_schema", "judge__schema": "[]"}, "judge.schema"),
        ({"judge__kind": "groundedness", "judge__detector": "oracle"}, "judge.detector"),
        ({"budget__amount": "much"}, "budget.amount"),
        ({"budget__amount": "5", "budget__period": "decade"}, "budget.period"),
        ({"candidates": "x" * 301}, "candidates"),
    ],
    ids=str,
)
def test_what_is_wrong_names_its_field(fields: dict[str, str], at: str) -> None:
    with pytest.raises(Invalid) as fault:
        declaration(form(**fields))
    assert [at_field(one.where) for one in fault.value.faults] == [at]
    assert fault.value.code == "task_invalid"
    assert isinstance(fault.value, RequestError)
    assert fault.value.status == 400


def test_all_that_cannot_be_read_is_told_at_once() -> None:
    with pytest.raises(Invalid) as fault:
        declaration(form(owner="", sample="x", explore="y", floor__level="z", slices="a\nb"))
    where = [one.where for one in fault.value.faults]
    assert sorted(where) == ["explore", "floor.level", "owner", "sample", "slices[0]", "slices[1]"]
    assert all(f"{name}: " in fault.value.message for name in where)


def test_what_the_checks_of_the_task_find_stands_at_a_field_of_the_form_too() -> None:
    wrong: dict[str, Any] = {
        "candidates": "up/a\nup/a\ntask:x", "default": "up/c", "mode": "route", "floor.level": "1", "floor.kind": "absolute",
        "floor.reference": "up/a", "judge.kind": "rubric", "judge.pattern": "(", "explore": "0.5", "places.region": "on", "regions": "?!",
        "slices": "language 1\nlanguage 0.5", "data_class": "restricted",
    }  # fmt: skip
    found = list(faults("a b", declaration({**form(), **wrong})))
    assert len(found) > 10
    assert {at_field(one.where) for one in found} <= {*FRESH, "name", "places"}


def test_what_certifies_again_stands_at_its_labels() -> None:
    (found,) = faults("a", declaration(form(recertify__labels="100", floor__level="", floor__kind="", floor__reference="")))
    assert at_field(found.where) == "recertify.labels"
    with pytest.raises(Invalid) as fault:
        declaration(form(recertify__labels="1.5"))
    assert [one.where for one in fault.value.faults] == ["recertify.labels"]

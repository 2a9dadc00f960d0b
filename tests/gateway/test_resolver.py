"""Names of tasks and of models, for the organisation that asks."""

from __future__ import annotations

import pytest
from tests.kernel.test_candidates import Known as Candidates
from tests.tasks.people import declared

from penstock.gateway.choose import Catalogue
from penstock.gateway.resolver import Resolver
from penstock.kernel.errors import NotApproved, UnknownModel
from penstock.tasks.declaration import Declaration, task_of
from penstock.tasks.memory import Known


def resolver(candidates: Candidates, **tasks: Declaration) -> tuple[Resolver, Known]:
    known, made = Known(), Resolver(Catalogue({}, {}), candidates)
    known.apply({}, [task_of("org", name, told) for name, told in tasks.items()])
    made.open(known)
    return made, known


def test_a_chain_is_made_once_until_the_task_or_its_candidates_change() -> None:
    candidates = Candidates(a="own", b="device", far="vendor")
    made, known = resolver(candidates, t=declared(candidates=("a", "b", "far")))
    first = made.of("task:t", "org")
    assert [target.name for target in first] == ["a", "b"]
    assert made.of("task:t", "org") is first
    candidates.places["a"], candidates.version = "vendor", 1
    assert [target.name for target in made.of("task:t", "org")] == ["a", "b", "far"]
    known.apply({}, [task_of("org", "t", declared(candidates=("b",)))])
    assert [target.name for target in made.of("task:t", "org")] == ["b"]
    with pytest.raises(UnknownModel):
        made.of("task:t", "other")


def test_a_task_that_nobody_may_do_says_why_of_each() -> None:
    made, _ = resolver(Candidates(far="vendor"), t=declared(candidates=("far", "gone"), data_class="restricted"))
    with pytest.raises(NotApproved, match=r"far: restricted data .*; gone: no gone") as caught:
        made.of("task:t", "org")
    assert caught.value.code == "no_candidate_allowed"


def test_any_candidate_may_have_answered_for_a_task() -> None:
    made, _ = resolver(Candidates(a="own", far="vendor"), t=declared(candidates=("a", "far")))
    assert made.leads_to("task:t", "far", "m", "org")
    assert not made.leads_to("task:t", "far", "other", "org")
    assert not made.leads_to("task:t", "far", "m", "elsewhere")


def test_without_a_room_of_tasks_there_are_none() -> None:
    made = Resolver(Catalogue({}, {}), Candidates())
    assert made.tasks("org") == []
    with pytest.raises(UnknownModel, match="no task named 't'"):
        made.of("task:t", "org")

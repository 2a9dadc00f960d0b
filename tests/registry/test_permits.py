"""What holds for a call whatever the evidence says, from memory."""

from __future__ import annotations

from tests.kernel.test_candidates import Known as Candidates
from tests.registry.test_standing import version
from tests.tasks.people import declared

from penstock.kernel.candidates import Candidates as CandidatesPort
from penstock.kernel.ports import Ports
from penstock.kernel.tasks import Tasks
from penstock.registry.permits import Permits
from penstock.registry.standing import Standing
from penstock.tasks.declaration import Declaration, task_of
from penstock.tasks.memory import Known


async def permits(candidates: Candidates, standing: Standing, **tasks: Declaration) -> tuple[Permits, Known]:
    ports, known = Ports(), Known()
    known.apply({}, [task_of("org", name, told) for name, told in tasks.items()])
    ports.provide(Tasks, known)  # type: ignore[type-abstract]
    ports.provide(CandidatesPort, candidates)  # type: ignore[type-abstract]
    made = Permits(standing, ports)
    await made.start()
    return made, known


def open_standing() -> Standing:
    standing = Standing("open")
    standing.apply([])
    return standing


async def test_a_declared_task_holds_and_a_word_does_not() -> None:
    made, known = await permits(Candidates(far="vendor"), open_standing(), t=declared(candidates=("far",), data_class="restricted"))
    assert not made.idle
    found = made.refusal("far", "m", organisation="org", task="t")
    assert found is not None
    assert found.code == "place_not_allowed"
    assert made.refusal("far", "m", organisation="org", task="t") == found, "from memory"
    assert made.refusal("far", "m", organisation="org", task="a word") is None
    assert made.refusal("far", "m", organisation="other", task="t") is None
    assert made.refusal("far", "m", organisation="org") is None
    assert made.misplaced == 2
    known.apply({}, [])
    assert made.idle
    assert made.refusal("far", "m", organisation="org", task="t") is None


async def test_where_a_candidate_stands_may_change() -> None:
    candidates = Candidates(a="device")
    made, _ = await permits(candidates, open_standing(), t=declared(candidates=("a",), data_class="restricted"))
    assert made.refusal("a", "m", organisation="org", task="t") is None
    candidates.places["a"], candidates.version = "vendor", 1
    assert made.refusal("a", "m", organisation="org", task="t") is not None


async def test_an_approval_for_the_tasks_data_class_covers_it() -> None:
    standing = Standing("approved")
    standing.apply([version("approved", "a/m", covers=(("data_class", "confidential"),))])
    made, _ = await permits(
        Candidates(a="device"),
        standing,
        t=declared(candidates=("a",), data_class="confidential"),
        u=declared(candidates=("a",), data_class="internal"),
    )
    assert made.refusal("a", "m", organisation="org", task="t") is None
    assert made.refusal("a", "m", organisation="org", task="u") is not None


async def test_a_trial_keeps_the_tasks_data_where_it_may_be() -> None:
    standing = Standing("approved")
    standing.apply([version("draft", "far/m"), version("draft", "a/m")])
    task = declared(candidates=("far", "a"), data_class="restricted")
    made, _ = await permits(Candidates(far="vendor", a="device"), standing, t=task)
    found = made.refusal("far", "m", organisation="org", task="t", trial=True)
    assert found is not None
    assert found.code == "place_not_allowed"
    assert made.refusal("a", "m", organisation="org", task="t", trial=True) is None
    assert made.refusal("a", "m", organisation="org", task="t") is not None


async def test_everybody_says_why_of_each_candidate() -> None:
    made, _ = await permits(Candidates(a="own", far="vendor"), Standing("open"), t=declared(candidates=("a", "far", "gone")))
    found = made.everybody("t", "org")
    assert sorted(found) == ["a", "far", "gone"]
    assert "not known yet" in found["a"]
    assert "no fallback" in found["far"]
    assert made.everybody("nobody", "org") == {}

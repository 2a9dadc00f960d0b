"""The registry says which candidates nobody approved for a task, and what the next step of each is."""

from __future__ import annotations

import pytest
from tests.kernel.test_candidates import Known as Candidates
from tests.registry.test_permits import permits
from tests.registry.test_standing import version
from tests.tasks.people import declared

from penstock.kernel.candidates import Candidates as CandidatesPort
from penstock.kernel.ports import Ports
from penstock.registry.model import Version
from penstock.registry.standing import Standing
from penstock.registry.task_check import TaskApprovals
from penstock.tasks.declaration import task_of


async def check(standing: Standing, *names: str) -> list[tuple[str, str, str | None]]:
    candidates, ports = Candidates(**dict.fromkeys(names, "device")), Ports()
    told = declared(candidates=(*names, "gone"))
    made, _ = await permits(candidates, standing, t=told)
    ports.provide(CandidatesPort, candidates)  # type: ignore[type-abstract]
    found = await TaskApprovals(standing, made, ports)(task_of("org", "t", told))
    return [(one.name, one.status, one.mend) for one in found]


def standing(*versions: Version, policy: str = "open") -> Standing:
    made = Standing(policy)
    made.apply(versions)
    return made


async def test_what_nobody_registered_is_let_through_and_told() -> None:
    assert [(name, status) for name, status, _ in await check(standing(), "a")] == [("approval of a", "warn")]
    assert [(name, status) for name, status, _ in await check(standing(policy="listed"), "a")] == [("approval of a", "fail")]


@pytest.mark.parametrize(
    ("state", "origin", "mend"),
    [
        ("draft", "hub", "/scan"),
        ("draft", "vendor", "/evaluations"),
        ("scanned", "hub", "/signature"),
        ("signed", "hub", "/evaluations"),
        ("evaluated", "vendor", "/approvals"),
        ("revoked", "vendor", "register a new version"),
    ],
)
async def test_each_state_has_its_next_step(state: str, origin: str, mend: str) -> None:
    ((_, status, said),) = await check(standing(version(state, "a/m", origin=origin)), "a")
    assert status == "fail"
    assert mend in (said or "")


async def test_what_is_approved_for_the_task_is_well() -> None:
    approved = version("approved", "a/m", covers=(("task", "t"),))
    other = version("approved", "b/m", covers=(("task", "u"),), number=2)
    found = await check(standing(approved, other), "a", "b")
    assert [(name, status) for name, status, _ in found] == [("approval of a", "ok"), ("approval of b", "fail")]
    assert "for this task too" in (found[1][2] or "")

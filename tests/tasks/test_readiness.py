"""What a task lacks is said with what to do, and the rooms that know more are asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from tests.tasks.people import declared
from tests.tasks.test_validation import Here, told

from penstock.kernel.capability import Finding
from penstock.kernel.errors import Unavailable
from penstock.kernel.tasks import Floor, Task
from penstock.tasks.declaration import task_of
from penstock.tasks.readiness import Readiness, labels_wanted


class Guards:
    def names(self) -> Collection[str]:
        return ("strict",)


def readiness(*checks: Any, guards: Guards | None = None) -> Readiness:
    return Readiness(lambda: checks, Here, lambda: guards)


async def found(task: Task, *checks: Any, guards: Guards | None = None) -> dict[str, Finding]:
    return {one.name: one for one in await readiness(*checks, guards=guards).findings(task)}


async def test_what_is_not_declared_is_missing() -> None:
    said = await found(task_of("org", "t", declared()))
    assert {name for name, one in said.items() if one.status == "fail"} == {"judge", "floor", "price of up/a", "price of up/b"}
    assert {"sampling", "budget", "context of up/a"} <= {name for name, one in said.items() if one.status == "warn"}
    assert all(one.mend for one in said.values() if one.status in ("warn", "fail"))


async def test_labels_are_forecast() -> None:
    said = await found(task_of("org", "t", told(floor={"level": 0.9, "reference": "up/b"}, judge={"kind": "exact"})))
    assert "about 2800 labels" in said["floor"].what
    assert labels_wanted(Floor(level=0.5, kind="absolute")) == 3858
    assert (labels_wanted(Floor(level=0.99, kind="absolute")) or 0) > 1000
    assert labels_wanted(Floor(level=0.9, kind="absolute", confidence=0.99)) > labels_wanted(Floor(level=0.9, kind="absolute"))  # type: ignore[operator]


@pytest.mark.parametrize(("guards", "status"), [(None, "warn"), (Guards(), "ok")])
async def test_a_guard_policy_that_nobody_enforces_is_told(guards: Guards | None, status: str) -> None:
    said = await found(task_of("org", "t", declared(guard="strict")), guards=guards)
    assert said["guard policy"].status == status


async def test_candidates_that_are_gone_or_misplaced_are_told() -> None:
    task = task_of("org", "t", declared(candidates=("up/a", "gone/b", "far/c"), data_class="restricted"))
    said = await found(task)
    assert said["candidate gone/b"].status == "fail"
    assert "may never be asked: restricted data" in said["candidate far/c"].what
    assert said["candidates"].what.startswith("one of them may serve")


async def test_a_judge_of_its_own_answers_is_told() -> None:
    task = task_of("org", "t", told(judge={"kind": "rubric", "model": "up/a", "rubric": "r"}))
    judges = [one.what for one in await readiness().findings(task) if one.name == "judge" and one.status == "warn"]
    assert "judges its own answers" in judges[0]


async def test_other_rooms_are_asked_and_their_failure_is_said() -> None:
    async def good(task: Task) -> Sequence[Finding]:
        return [Finding(name="dataset", status="fail", what=f"none for {task.name}", mend="add one")]

    async def broken(task: Task) -> Sequence[Finding]:
        raise Unavailable("the store is away")

    said = await readiness(good, broken).findings(task_of("org", "t", declared()))
    assert [one.status for one in said] == sorted((one.status for one in said), key=["fail", "warn", "off", "ok"].index)
    names = {one.name: one for one in said}
    assert (names["dataset"].what, names["check"].status) == ("none for t", "fail")
    assert "the store is away" in names["check"].what

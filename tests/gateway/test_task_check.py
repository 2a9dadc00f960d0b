"""The gateway says what it knows is missing for a task."""

from __future__ import annotations

import time

from tests.kernel.test_candidates import Known as Candidates
from tests.tasks.people import declared

from penstock.gateway.choose import Catalogue
from penstock.gateway.health import Health
from penstock.gateway.settings import ModelSettings, ResilienceSettings
from penstock.gateway.task_check import TaskProviders
from penstock.tasks.declaration import JudgeDeclaration, task_of

RUBRIC = JudgeDeclaration(kind="rubric", model="judge", rubric="r")


async def test_a_judge_that_cannot_be_asked_and_a_name_that_was_taken_over() -> None:
    catalogue = Catalogue({}, {"task:t": ModelSettings(targets=("a/m",))})
    check = TaskProviders(catalogue, Candidates(a="own"), Health(ResilienceSettings(), {}))
    found = await check(task_of("org", "t", declared(candidates=("a", "gone"), judge=RUBRIC)))
    assert [(one.name, one.status) for one in found] == [("judge judge", "fail"), ("name", "warn")]
    assert '[gateway.models."task:t"] is not used' in found[1].what


async def test_a_circuit_that_is_open_is_told() -> None:
    candidates, health = Candidates(a="own"), Health(ResilienceSettings(failures=1), {})
    check = TaskProviders(Catalogue({}, {}), candidates, health)
    task = task_of("org", "t", declared(candidates=("a",)))
    assert await check(task) == []
    assert health.targets == {}, "looking is not asking"
    health.of(candidates.resolve("a")).circuit.failed("broken", time.monotonic())
    (found,) = await check(task)
    assert (found.name, found.status) == ("circuit a", "warn")
    assert found.what.startswith("open: ")

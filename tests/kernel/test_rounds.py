"""No step of a round costs another one its turn."""

from __future__ import annotations

import logging

import pytest

from penstock.kernel.errors import JournalInUse, StorageError
from penstock.kernel.rounds import Rounds, Step, each


class Steps:
    """Two steps; the first fails as a test says, the second is done hourly."""

    def __init__(self, *, alone: bool = False) -> None:
        self.fault: Exception | None = None
        self.done: list[str] = []
        self.now = 0.0
        self.rounds = Rounds(
            "cellar", (Step("first", self.first), Step("second", self.second, 3600.0)), alone=alone, clock=lambda: self.now
        )

    async def first(self) -> None:
        self.done.append("first")
        if self.fault is not None:
            raise self.fault

    async def second(self) -> None:
        self.done.append("second")


@pytest.mark.parametrize("fault", [StorageError("the disk sleeps"), RuntimeError("a fault of ours")], ids=["expected", "not expected"])
async def test_a_step_that_fails_is_said_once_and_keeps_no_other(fault: Exception, caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps()
    steps.fault = fault
    await steps.rounds.once()
    await steps.rounds.once()
    assert steps.done == ["first", "second", "first"]
    assert len([record for record in caplog.records if record.name == "penstock.cellar"]) == 1
    assert steps.rounds.faults == {"first": 2}
    (metric,) = steps.rounds.metrics()
    assert metric.name == "penstock_cellar_step_faults"
    assert metric.samples == (({"step": "first"}, 2.0),)
    steps.fault = None
    await steps.rounds.once()
    steps.fault = fault
    await steps.rounds.once()
    assert len([record for record in caplog.records if record.name == "penstock.cellar"]) == 2


async def test_what_another_process_sees_to_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps()
    steps.fault = JournalInUse("another process works on it")
    with caplog.at_level(logging.INFO, "penstock.cellar"):
        await steps.rounds.once()
    assert (steps.done, caplog.records, list(steps.rounds.metrics())) == (["first", "second"], [], [])


async def test_a_process_that_should_be_alone_says_that_it_is_not(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps(alone=True)
    steps.fault = JournalInUse("another process works on it")
    await steps.rounds.once()
    assert [record.message for record in caplog.records] == ["a step of the rounds of cellar fails; it is tried again"]


async def test_a_step_that_is_due_seldom_waits() -> None:
    steps = Steps()
    for steps.now in (0.0, 10.0, 3600.0):
        await steps.rounds.once()
    assert steps.done == ["first", "second", "first", "first", "second"]


async def test_each_is_done_whatever_becomes_of_the_others() -> None:
    done: list[int] = []

    async def work(one: int) -> None:
        done.append(one)
        if one < 2:
            raise ValueError(f"no {one}")

    with pytest.raises(ValueError, match="no 0") as caught:
        await each(range(3), work, lambda one: f"number {one}")
    assert done == [0, 1, 2]
    assert caught.value.__notes__ == ["number 0"]

    async def elsewhere(one: int) -> None:
        done.append(one)
        raise JournalInUse("another process works on it")

    with pytest.raises(JournalInUse):
        await each(range(3), elsewhere, str)
    assert done == [0, 1, 2, 0]

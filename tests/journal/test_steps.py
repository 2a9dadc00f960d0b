"""Steps as they are written and read back; what runs make of them is in the conformance tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from dbos._error import DBOSUnexpectedStepError

from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.journal.steps import TOGETHER, Earlier, Step, Writing, in_words
from penstock.kernel.errors import StepFailed
from penstock.kernel.journal import Run


class Database:
    """Takes steps once ``open`` is set; refuses transactions with a step of the name ``bad``."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.transactions: list[list[int]] = []

    def record_steps(self, steps: Sequence[Step]) -> None:
        assert self.open.wait(20)
        if any(step.name == "bad" for step in steps):
            raise ValueError("bad")
        self.transactions.append([step.number for step in steps])


def step(number: int, name: str = "good") -> Step:
    return Step("run", "owner", number, name, 0, 0, "1")


@pytest.mark.parametrize("shared", [False, True])
async def test_what_completes_during_a_transaction_goes_into_the_next_together(shared: bool) -> None:
    database = Database()
    writing = Writing(lambda: database, shared=shared)
    wanted = [asyncio.create_task(writing.write(step(n))) for n in range(TOGETHER + 10)]
    await asyncio.sleep(0)
    database.open.set()
    await asyncio.gather(*wanted)
    sizes = [len(one) for one in database.transactions]
    # On a server each has its own, since one that waits for another's lock would hold up all.
    assert sizes == ([1] * (TOGETHER + 10) if shared else [1, TOGETHER, 9])
    assert sorted(n for one in database.transactions for n in one) == list(range(TOGETHER + 10))
    writing.close()


async def test_a_step_that_cannot_be_written_fails_alone() -> None:
    database = Database()
    writing = Writing(lambda: database, shared=False)
    wanted = [asyncio.create_task(writing.write(step(n, "bad" if n == 2 else "good"))) for n in range(4)]
    broken_off = asyncio.create_task(writing.write(step(4)))
    await asyncio.sleep(0)
    broken_off.cancel()
    database.open.set()
    told = await asyncio.gather(*wanted, return_exceptions=True)
    assert [type(one) for one in told] == [type(None), type(None), ValueError, type(None)]
    assert sorted(database.transactions) == [[0], [1], [3], [4]]
    writing.close()


def test_what_was_journalled_is_given_once_and_only_under_its_name() -> None:
    earlier = Earlier("run", {1: ("read", '["done",5,1]'), 2: ("DBOS.sleep", None), 3: ("read", '["done",6,1]')})
    assert earlier.take(1, "read") == ["done", 5, 1]
    assert earlier.take(1, "read") is None
    assert earlier.take(4, "read") is None
    for number, name in ((2, "DBOS.sleep"), (3, "write")):
        with pytest.raises(DBOSUnexpectedStepError):
            earlier.take(number, name)


def test_code_that_has_changed_is_told_in_our_words() -> None:
    found = in_words(DBOSUnexpectedStepError("run", 2, "tool note", "DBOS.sleep"))
    assert isinstance(found, StepFailed)
    assert (found.kind, found.step_code) == ("CodeChanged", "run_code_changed")
    assert "step 2 was 'sleep', and now it would be 'tool note'. Fork the run from step 2" in found.message
    other = ValueError("else")
    assert in_words(other) is other


async def test_a_hundred_runs_share_their_commits(tmp_path: Path) -> None:
    async def one(value: int) -> int:
        return value

    async def work(run: Run, input: object) -> object:
        return [await run.step("one", one, n) for n in range(5)]

    journal = JournalService(JournalSettings(), "", tmp_path)
    journal.define("work", work)
    engine = await journal.begin()
    commits = 0
    real = engine.system.record_steps

    def counted(steps: Sequence[Step]) -> None:
        nonlocal commits
        commits += 1
        real(steps)

    engine.system.record_steps = counted
    runs = await asyncio.gather(*(journal.start("work", organisation="org") for _ in range(100)))
    assert [await journal.result(None, run, 20) for run in runs] == [list(range(5))] * 100
    assert commits < 400
    await journal.close()


async def test_a_step_within_a_step_is_a_part_of_it(tmp_path: Path) -> None:
    async def one(value: int) -> int:
        return value

    async def work(run: Run, input: object) -> object:
        async def outer(value: int) -> int:
            return await run.step("inner", one, value) + 1

        return [await run.step("outer", outer, 1), await run.step("after", one, 5)]

    journal = JournalService(JournalSettings(), "", tmp_path)
    journal.define("work", work)
    run = await journal.start("work", organisation="org")
    assert await journal.result(None, run, 20) == [2, 5]
    assert [(step.number, step.name) for step in await journal.history(None, run)] == [(1, "outer"), (2, "after")]
    await journal.close()

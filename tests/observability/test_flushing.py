"""Queues that are emptied in the background: tried again whatever happens, and said once."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest

from penstock.kernel.errors import StorageError
from penstock.observability.flushing import SAY_AGAIN_SECONDS, Flushing, Seldom


class Queue:
    """What is flushed, with the faults that come first."""

    def __init__(self, *faults: Exception, seconds: float = 0.005) -> None:
        self.faults = list(faults)
        self.flushed = asyncio.Event()
        self.times = self.also = 0
        self.drops: Counter[str] = Counter()
        self.flushing = Flushing("letters", self.flush, seconds=seconds, again=0.005, waiting=lambda: 3, drops=self.drops, also=self.after)

    async def flush(self) -> None:
        self.times += 1
        if self.faults:
            raise self.faults.pop(0)
        self.flushed.set()

    async def after(self) -> None:
        self.also += 1


@pytest.mark.parametrize("fault", [StorageError("away"), RuntimeError("can't start new thread")])
async def test_whatever_happens_it_is_tried_again_and_said_once(fault: Exception, caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue(fault, fault, fault)
    queue.drops["queue_full"] = 2
    with caplog.at_level(logging.WARNING, "penstock.observability"):
        queue.flushing.start()
        await queue.flushed.wait()
        await queue.flushing.stop()
    assert queue.times >= 4
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [(record.message, vars(record)["waiting"]) for record in said] == [("letters cannot be stored and wait", 3)]


async def test_it_may_be_hurried_but_not_while_it_fails() -> None:
    queue = Queue(seconds=60)
    queue.flushing.start()
    queue.flushing.hurry()
    await queue.flushed.wait()
    await asyncio.sleep(0)
    assert (queue.times, queue.also) == (1, 1)
    await queue.flushing.stop()
    failing = Queue(StorageError("away"), seconds=60)
    failing.flushing._again = 60
    failing.flushing.start()
    failing.flushing.hurry()
    async with asyncio.timeout(5):
        while not failing.flushing._failing:
            await asyncio.sleep(0)
    failing.flushing.hurry()
    assert not failing.flushing._wake.is_set()
    await failing.flushing.stop()
    assert failing.times == 3, "as it is told to end, and at the end"


@pytest.mark.parametrize("fault", [StorageError("away"), RuntimeError("broken")])
async def test_the_end_never_fails_and_says_what_is_lost(fault: Exception, caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue(fault)
    await queue.flushing.stop()
    assert "letters were lost at shutdown" in caplog.text


def test_trouble_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = [0.0]
    seldom = Seldom(lambda: clock[0])
    for clock[0] in (0.0, 1.0, SAY_AGAIN_SECONDS, SAY_AGAIN_SECONDS + 1):
        seldom.warn("trouble")
    assert [record.message for record in caplog.records] == ["trouble", "trouble"]

"""What is kept fresh: one look at a time, its age, and what is said while looking fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from penstock.kernel.errors import StorageError
from penstock.storage.freshness import Freshness


class Looked:
    """A database that is looked at, and what comes after each look."""

    def __init__(self) -> None:
        self.looks = self.afters = self.at_once = self.most_at_once = 0
        self.down = self.after_fails = False
        self.fresh = Freshness(
            "sample", self.look, 0.001, logger=logging.getLogger("penstock.sample"), failing="stale", again="fresh again", after=self.after
        )

    async def look(self) -> None:
        self.looks += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.down:
            raise StorageError("the database does not answer")

    async def after(self) -> None:
        self.afters += 1
        if self.after_fails:
            raise StorageError("the database does not take it")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def test_it_looks_again_and_again_until_it_is_stopped_and_a_second_stop_does_nothing() -> None:
    looked = Looked()
    await looked.fresh.start()
    await until(lambda: looked.afters > 3)
    assert await looked.fresh.stop()
    looks = looked.looks
    assert not await looked.fresh.stop()
    assert looked.looks == looks


async def test_looks_do_not_overlap_and_each_counts() -> None:
    looked = Looked()
    await asyncio.gather(*(looked.fresh.now() for _ in range(5)))
    assert (looked.looks, looked.most_at_once) == (5, 1)


async def test_what_fails_at_the_start_is_raised_and_nothing_runs() -> None:
    looked = Looked()
    looked.down = True
    with pytest.raises(StorageError, match="does not answer"):
        await looked.fresh.start()
    assert not await looked.fresh.stop()


@pytest.mark.parametrize("what", ["look", "after"])
async def test_failing_is_said_once_and_so_is_its_end(what: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    looked = Looked()
    await looked.fresh.start()

    def said(words: str) -> int:
        return [record.message for record in caplog.records].count(words)

    def fail(does: bool) -> None:
        looked.down, looked.after_fails = (does, False) if what == "look" else (False, does)

    fail(True)
    looks = looked.looks
    await until(lambda: looked.looks > looks + 3)
    assert said("stale") == 1
    age = looked.fresh.age
    fail(False)
    await until(lambda: said("fresh again") == 1)
    if what == "look":
        assert looked.fresh.age < age
    await looked.fresh.stop()

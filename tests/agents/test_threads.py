"""Threads for functions that may never return."""

from __future__ import annotations

import asyncio
import threading

import pytest

from penstock.agents.faults import Transient
from penstock.agents.threads import Threads


async def test_it_gives_what_the_function_gives() -> None:
    threads = Threads(1)
    assert await asyncio.gather(*(threads.call(lambda n=n: n + 1) for n in range(20))) == list(range(1, 21))
    with pytest.raises(ValueError, match="no"):
        await threads.call(lambda: int("no"))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.call(lambda: next(iter(())))
    assert (threads.held, threads.left) == (0, 0)


async def test_functions_that_never_return_hold_up_others_at_worst() -> None:
    threads = Threads(2, wait=0.05)
    held = threading.Event()
    try:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await threads.call(held.wait)
        assert (threads.held, threads.left) == (2, 2)
        with pytest.raises(Transient, match="all 2 threads for tools are in use, 2 of them"):
            await threads.call(lambda: 1)
    finally:
        held.set()
    async with asyncio.timeout(10):
        while threads.held:
            await asyncio.sleep(0)
    assert threads.left == 0
    assert await threads.call(lambda: 1) == 1


async def test_whoever_waits_for_a_thread_gets_the_next() -> None:
    threads = Threads(1, wait=10.0)
    held = threading.Event()
    first = asyncio.create_task(threads.call(held.wait))
    while not threads.held:
        await asyncio.sleep(0)
    second = asyncio.create_task(threads.call(lambda: "second"))
    await asyncio.sleep(0)
    held.set()
    assert (await first, await second) == (True, "second")

"""Few at once, some in a queue, and nobody's place is lost."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

from penstock.agents.faults import Transient
from penstock.agents.toolbox.places import Bounds, Places


def places(at_once: int = 2, waiting: int = 2, seconds: float = 10.0) -> Places:
    return Places("sandbox", Bounds(at_once=at_once, waiting=waiting, seconds=seconds))


async def until(places: Places, wanted: tuple[int, int]) -> None:
    while (places.taken, places.waiting) != wanted:
        await asyncio.sleep(0)


async def test_in_turn_and_refused() -> None:
    found, order, go = places(), list[int](), asyncio.Event()

    async def work(number: int) -> None:
        async with found.one():
            order.append(number)
            await go.wait()

    tasks = [asyncio.create_task(work(number)) for number in range(4)]
    await until(found, (2, 2))
    with pytest.raises(Transient, match="sandbox_busy: 2 are at work in this process and 2 wait") as caught:
        await work(4)
    assert caught.value.after > 0
    assert order == [0, 1]
    go.set()
    await asyncio.gather(*tasks)
    assert (order, found.taken, found.waiting, found.refused) == ([0, 1, 2, 3], 0, 0, 1)


async def test_none_in_time() -> None:
    found = places(at_once=1, seconds=0.05)
    async with found.one():
        with pytest.raises(Transient, match="none became free within"):
            async with found.one():
                raise AssertionError
    async with found.one():
        assert (found.taken, found.waiting) == (1, 0)


async def test_a_place_comes_to_somebody_who_gave_up() -> None:
    """Cancelled at whatever moment, also between being given a place and hearing of it."""
    found, most = places(at_once=3, waiting=200), 0

    async def work(number: int) -> None:
        nonlocal most
        async with found.one():
            most = max(most, found.taken)
            await asyncio.sleep(0)

    chance = random.Random(7)
    tasks = [asyncio.create_task(work(number)) for number in range(200)]
    while not all(task.done() for task in tasks):
        chance.choice(tasks).cancel()
        await asyncio.sleep(0)
    assert (found.taken, found.waiting, most) == (0, 0, 3)


def test_several_loops() -> None:
    found, most = places(at_once=2, waiting=100), list[int]()

    async def work() -> None:
        async with found.one():
            most.append(found.taken)
            await asyncio.sleep(0.001)

    async def several() -> None:
        await asyncio.gather(*(work() for _ in range(10)))

    threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(most), max(most), found.taken) == (40, 2, 0)

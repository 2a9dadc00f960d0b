"""What counters promise that several processes share: the sum over all of them keeps the limit. One suite for every implementation."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable

import pytest

from penstock.storage.counters import Counters, MemoryCounters, enter_later, take_later
from penstock.storage.shared import SharedCounters, shared_memory
from penstock.storage.valkey import ValkeyCounters

MEMBERS = 3


@pytest.fixture(params=["memory", "shared", "valkey"])
async def members(request: pytest.FixtureRequest) -> AsyncIterator[list[Counters]]:
    """Three that share their counts, as three processes have them; the one in memory stands for itself."""
    if request.param == "memory":
        yield [MemoryCounters()]
    elif request.param == "shared":
        handle = shared_memory(MEMBERS)
        shared = [SharedCounters(handle, index, MEMBERS) for index in range(MEMBERS)]
        yield list(shared)
        for one in shared:
            one.close()
        os.close(handle)
    else:
        servers = [ValkeyCounters(request.getfixturevalue("valkey")) for _ in range(MEMBERS)]
        for server in servers:
            await server.start()
        yield list(servers)
        for server in servers:
            await server.stop()


async def take(counters: Counters, key: str, amount: int, per_minute: int) -> float:
    wait = counters.take(key, amount, per_minute)
    return await take_later(counters, key, amount, per_minute, wait) if wait > 0 else 0.0


async def enter(counters: Counters, key: str, limit: int) -> bool:
    return counters.enter(key, limit) or await enter_later(counters, key, limit)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_all_together_get_the_limit_and_no_more(members: list[Counters]) -> None:
    asks = [take(members[n % len(members)], "k", 1, 30) for n in range(120)]
    waits = await asyncio.gather(*asks)
    assert sum(wait == 0 for wait in waits) == 30
    assert all(0 < wait <= 4 for wait in waits if wait)


async def test_a_refusal_takes_nothing_and_says_when(members: list[Counters]) -> None:
    assert await take(members[0], "k", 90, 100) == 0
    assert await take(members[-1], "k", 20, 100) == pytest.approx(6, abs=0.5)
    assert await take(members[-1], "k", 10, 100) == 0
    assert await take(members[0], "k", 101, 100) == float("inf")
    assert await take(members[0], "k", 1, 0) == float("inf")


async def test_an_estimate_is_settled_for_all(members: list[Counters]) -> None:
    assert await take(members[0], "k", 100, 100) == 0
    assert await take(members[-1], "k", 50, 100) > 0
    members[0].adjust("k", -60, 100)
    async with asyncio.timeout(10):
        while await take(members[-1], "k", 50, 100) > 0:
            await asyncio.sleep(0.01)
    members[0].adjust("k", 200, 100)  # overdrawn: nobody gets anything, not even nothing
    async with asyncio.timeout(10):
        while await take(members[-1], "k", 0, 100) == 0:
            await asyncio.sleep(0.01)
    assert await take(members[0], "k", 1, 100) > 60


async def test_giving_back_more_than_was_taken_does_not_grow_the_bucket(members: list[Counters]) -> None:
    members[0].adjust("k", -1000, 100)
    members[-1].adjust("k", -1000, 100)
    for member in members:  # what each had to tell is told with its next question
        assert await take(member, "other", 1, 100) == 0
    granted = [await take(member, "k", 50, 100) == 0 for member in [*members, *members, members[0]]]
    assert sum(granted) == 2


async def test_slots_are_counted_over_all(members: list[Counters]) -> None:
    first, last = members[0], members[-1]
    assert await enter(first, "k", 2)
    assert await enter(last, "k", 2)
    assert not await enter(first, "k", 2)
    assert not await enter(last, "k", 2)
    first.leave("k")
    assert await enter(last, "k", 2)
    assert not await enter(first, "k", 2)
    for _ in range(5):
        last.leave("k")
    first.leave("k")
    async with asyncio.timeout(10):
        while not await enter(first, "k", 2):
            await asyncio.sleep(0.01)


async def test_a_slot_that_one_leaves_is_the_next_ones_at_once(members: list[Counters]) -> None:
    # A client that makes one call after the other, and meets another process each time, is never refused.
    for n in range(60):
        member = members[n % len(members)]
        assert await enter(member, "k", 1)
        member.leave("k")


async def test_never_more_in_flight_than_slots(members: list[Counters]) -> None:
    chance, inside, most, entered = random.Random(3), 0, 0, 0

    async def call(member: Counters) -> None:
        nonlocal inside, most, entered
        for _ in range(25):
            if await enter(member, "k", 5):
                inside += 1
                entered += 1
                most = max(most, inside)
                await asyncio.sleep(chance.uniform(0, 0.004))
                inside -= 1
                member.leave("k")
            else:
                await asyncio.sleep(0.001)

    await asyncio.gather(*(call(members[n % len(members)]) for n in range(12)))
    assert most == 5
    assert entered > 50


@pytest.mark.parametrize("per_minute", [600, 60_000])
async def test_never_more_than_the_rate_and_one_burst(members: list[Counters], per_minute: int) -> None:
    granted, began = 0, time.monotonic()

    async def ask(member: Counters) -> None:
        nonlocal granted
        chance = random.Random(per_minute)
        while time.monotonic() < began + 1.2:
            amount = chance.randint(1, max(1, per_minute // 300))
            if await take(member, "k", amount, per_minute) == 0:
                granted += amount
            else:
                await asyncio.sleep(0.005)

    await asyncio.gather(*(ask(member) for member in members for _ in range(8)))
    lasted = time.monotonic() - began
    allowed = per_minute * (1 + lasted / 60)
    assert granted <= allowed
    # What is not used is small: what lies ahead in processes, and the last few that were too large.
    assert granted >= 0.97 * per_minute

"""How many lines are let in, and whose."""

from __future__ import annotations

import asyncio

import pytest

from penstock.kernel.pace import MOST_BYTES, Pace


class Calls:
    """Interactive calls, as the line counts them."""

    def __init__(self) -> None:
        self.interactive = 0
        self.interactive_started = 0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def paced(most: int = 64, calls: Calls | None = None) -> tuple[Pace, Clock]:
    clock = Clock()
    return Pace(most, 0.1, calls, clock=clock, work=lambda: 0.0), clock


async def crowd(pace: Pace, count: int, organisation: str = "a", model: str = "m", size: int = 10) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(pace.enter(organisation, model, size)) for _ in range(count)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


def inside(tasks: list[asyncio.Task[None]]) -> int:
    return sum(task.done() and not task.cancelled() for task in tasks)


async def dismissed(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_lane_doubles_until_it_is_refused_and_then_grows_by_one_a_round() -> None:
    pace, clock = paced()
    tasks = await crowd(pace, 200)
    assert inside(tasks) == 8
    for _ in range(8):
        pace.leave("a", "m", 10)
    await asyncio.sleep(0)
    assert pace.in_flight == 16
    pace.leave("a", "m", 10, strained="upstream_refused", pause=5.0)
    assert pace.lane("m").limit == pytest.approx(16 * 0.7)
    pace.leave("a", "m", 10, strained="upstream_refused", pause=5.0)
    assert pace.lane("m").limit == pytest.approx(16 * 0.7), "refusals within a second are one"
    assert (pace.cuts, pace.refused["upstream_refused"]) == (1, 2)
    clock.now += 6
    before = pace.lane("m").limit
    pace.leave("a", "m", 10)
    assert pace.lane("m").limit == pytest.approx(before + 1 / before)
    await dismissed(tasks)


async def test_a_lane_that_rests_lets_nobody_in_and_the_others_go_on() -> None:
    pace, clock = paced()
    first = await crowd(pace, 1)
    pace.leave("a", "m", 10, strained="rate_limit", pause=30.0)
    waiting = await crowd(pace, 3)
    others = await crowd(pace, 2, model="n")
    assert (inside(first), inside(waiting), inside(others)) == (1, 0, 2)
    clock.now += 31
    more = await crowd(pace, 1)
    assert (inside(waiting), inside(more)) == (1, 0), "carefully at first"
    await dismissed([*waiting, *more])


async def test_places_go_to_whoever_has_the_fewest() -> None:
    pace, _ = paced(most=8)
    mine = await crowd(pace, 50)
    assert inside(mine) == 8
    theirs = await crowd(pace, 50, organisation="b")
    for _ in range(8):
        pace.leave("a", "m", 10)
        await asyncio.sleep(0)
    assert (inside(mine) - 8, inside(theirs)) in ((4, 4), (3, 5))
    await dismissed([*mine, *theirs])


async def test_beside_interactive_calls_lines_start_apart_and_no_more_than_a_quarter_is_in_flight() -> None:
    calls = Calls()
    pace, clock = paced(most=16, calls=calls)
    await crowd(pace, 1)
    pace.leave("a", "m", 10)
    calls.interactive = 1
    calls.interactive_started = 1
    tasks = await crowd(pace, 30)
    assert inside(tasks) <= 1, "a line takes a millisecond, a tenth of the time is for lines"
    assert pace.beside_others
    for _ in range(20):
        clock.now += 0.011
        pace._pump()
    assert pace.in_flight == 4
    limit = pace.lane("m").limit
    pace.leave("a", "m", 10)
    assert pace.lane("m").limit == limit, "no lane grows meanwhile"
    calls.interactive = 0
    clock.now += 1.1
    pace._pump()
    assert pace.in_flight > 4
    await dismissed(tasks)


async def test_the_cost_of_a_line_is_measured() -> None:
    clock, spent = Clock(), [0.0]
    calls = Calls()
    pace = Pace(64, 0.1, calls, clock=clock, work=lambda: spent[0])
    for _ in range(30):
        await crowd(pace, 1)
        pace.leave("a", "m", 10)
        spent[0] += 0.004
        clock.now += 0.3
    assert pace.cost == pytest.approx(0.004, rel=0.05)


async def test_long_lines_do_not_fill_the_memory() -> None:
    pace, _ = paced()
    tasks = await crowd(pace, 5, size=MOST_BYTES // 2)
    assert inside(tasks) == 2
    pace.leave("a", "m", MOST_BYTES // 2)
    await asyncio.sleep(0)
    assert inside(tasks) == 3
    huge = await crowd(pace, 1, organisation="b", size=2 * MOST_BYTES)
    assert inside(huge) == 0
    await dismissed([*tasks, *huge])


async def test_who_gives_up_takes_no_place() -> None:
    pace, _ = paced(most=1)
    first, second, third = await crowd(pace, 3)
    second.cancel()
    await asyncio.sleep(0)
    pace.leave("a", "m", 10)
    await asyncio.sleep(0)
    assert (first.done(), second.cancelled(), third.done()) == (True, True, True)
    third_again = await crowd(pace, 1)
    pace.leave("a", "m", 10)
    third_again[0].cancel()
    await asyncio.gather(*third_again, return_exceptions=True)
    assert pace.in_flight == 0

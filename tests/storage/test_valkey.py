"""What counters on a server do beyond what all counters promise: its death, processes that die, what lies ahead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.conftest import ValkeyServer

from penstock.kernel.errors import SettingsError
from penstock.storage import valkey as module
from penstock.storage.counters import enter_later, take_later
from penstock.storage.leases import LASTS
from penstock.storage.valkey import Down, ValkeyCounters


@pytest.fixture
def server(valkey_binary: str) -> Iterator[ValkeyServer]:
    """A server that a test may stop."""
    mine = ValkeyServer(valkey_binary)
    mine.start()
    yield mine
    mine.stop()


@pytest.fixture
async def started() -> AsyncIterator[list[ValkeyCounters]]:
    every: list[ValkeyCounters] = []
    yield every
    for one in every:
        await one.stop()


async def take(counters: ValkeyCounters, key: str, amount: int, per_minute: int) -> float:
    wait = counters.take(key, amount, per_minute)
    return await take_later(counters, key, amount, per_minute, wait) if wait > 0 else 0.0


async def is_up(counters: ValkeyCounters, wanted: bool) -> None:
    async with asyncio.timeout(10):
        while counters.up is not wanted:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("down", "granted"), [("share", 15), ("open", 40), ("closed", 0)])
async def test_while_the_server_is_down_each_has_its_part_or_what_was_chosen(
    server: ValkeyServer, started: list[ValkeyCounters], down: Down, granted: int, caplog: pytest.LogCaptureFixture
) -> None:
    started += [ValkeyCounters(server.url, down=down) for _ in range(2)]
    for one in started:
        await one.start()
    one = started[0]
    # Both are there: the first learns of the second with its next word.
    assert await take(one, "before", 1, 30) == 0
    server.stop()
    with caplog.at_level(logging.INFO):
        await take(one, "k", 1, 30)
        await is_up(one, False)
        assert sum([await take(one, "new", 1, 30) == 0 for _ in range(40)]) == granted
        entered = sum([one.enter("slots", 30) for _ in range(40)])
        assert entered == granted
        told = {metric.name: metric.samples[0][1] for metric in one.metrics()}
        assert told["penstock_counters_up"] == 0
        assert told["penstock_counters_failures"] >= 1
        assert (await one.check())[0].status == "fail"
        server.start()
        await is_up(one, True)
    said = [record.message for record in caplog.records if record.name == "penstock.counters"]
    assert 1 <= said.count("the counters' server does not answer") <= 2  # once each
    assert 1 <= said.count("the counters' server answers") <= 2
    assert (await one.check())[0].status == "ok"
    # What was entered meanwhile is on the count again.
    await is_up(started[1], True)
    assert await take(one, "after", 1, 30) == 0
    left = 0
    while await enter_later(started[1], "slots", 30) if not started[1].enter("slots", 30) else True:
        left += 1
    assert left == max(0, 30 - entered)


async def test_a_server_that_is_not_there_at_the_start_is_found_later(server: ValkeyServer, started: list[ValkeyCounters]) -> None:
    server.stop()
    one = ValkeyCounters(server.url, workers=3)
    started.append(one)
    await one.start()
    assert not one.up
    assert sum([await take(one, "k", 1, 30) == 0 for _ in range(40)]) == 10
    server.start()
    await is_up(one, True)
    # What was granted alone is charged when the server is back.
    assert await take(one, "k", 1, 30) == 0
    assert 15 <= sum([await take(one, "k", 1, 30) == 0 for _ in range(40)]) <= 20


async def test_slots_of_a_process_that_died_are_free_after_a_while(
    server: ValkeyServer, started: list[ValkeyCounters], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LASTS", 0.5)
    dead, one = ValkeyCounters(server.url), ValkeyCounters(server.url)
    started.append(one)
    await dead.start()
    await one.start()
    assert dead.enter("k", 1) or await enter_later(dead, "k", 1)
    assert dead._task is not None
    dead._task.cancel()  # as a kill leaves it: nothing is given back
    assert not one.enter("k", 1)
    assert not await enter_later(one, "k", 1)
    async with asyncio.timeout(5):
        while not (one.enter("k", 1) or await enter_later(one, "k", 1)):
            await asyncio.sleep(0.02)
    await dead._client.aclose()
    assert LASTS > 1


async def test_a_busy_fast_bucket_is_asked_for_ahead(server: ValkeyServer, started: list[ValkeyCounters]) -> None:
    one = ValkeyCounters(server.url)
    started.append(one)
    await one.start()
    at_once = 0
    for _ in range(400):
        at_once += one.take("k", 1, 600_000) == 0 or await take_later(one, "k", 1, 600_000, 1) < 0
        await asyncio.sleep(0.001)
    # After its use is known, calls hardly ever wait for the server.
    assert at_once > 200
    assert one.conversations < 250


@pytest.mark.parametrize("url", ["http://x", "valkey://", "localhost:6379", "valkey://host:port/0"])
def test_a_url_that_is_none_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ValkeyCounters(url)
    assert url not in caught.value.message or url == "valkey://"

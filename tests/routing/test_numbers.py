"""Every process that watches has a number of its own, however many machines there are, and their shares add up to what was promised."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.kernel.seat import Seat
from penstock.routing.numbers import BEAT_SECONDS, LEASE_SECONDS, Fixed, Leased
from penstock.routing.settings import RoutingSettings
from penstock.routing.wiring import number_of, numbers_found
from penstock.storage.migrations import migrate
from penstock.storage.moment import moment
from penstock.storage.records import Records, open_records

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, ("penstock.routing.migrations",))
    yield opened
    opened.close()


async def test_numbers_that_many_take_at_once_are_all_different(records: Records) -> None:
    many = [Leased(records, 0.05) for _ in range(8)]
    await asyncio.gather(*(one.hold() for one in many))
    assert sorted(one.number for one in many) == list(range(8))
    assert sum(one.alarm for one in many) < 0.05
    first = next(one for one in many if one.number == 0)
    assert first.alarm == max(one.alarm for one in many) == pytest.approx(0.0304, rel=1e-3)


async def test_a_number_goes_on_when_its_process_beats_no_more_and_at_once_when_it_leaves(records: Records) -> None:
    now = 1000.0
    one, two, three = (Leased(records, 0.05, lambda: now) for _ in range(3))
    assert not await one.hold()  # it is new
    assert not await two.hold()
    now += BEAT_SECONDS
    assert await one.hold()
    now += LEASE_SECONDS - 1
    assert await one.hold()
    now += 2
    await three.hold()  # the second has not beaten for longer than its lease
    assert (one.number, two.number, three.number) == (0, 1, 1)
    assert not await two.hold()
    assert two.number == 2
    await one.leave()
    assert not await one.hold()
    assert one.number == 0


async def test_a_machine_whose_clock_is_ahead_takes_no_number_of_another(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Leased(records, 0.05), Leased(records, 0.05)
    await one.hold()
    ahead = time.time() + LEASE_SECONDS + 10
    monkeypatch.setattr(time, "time", lambda: ahead)
    await two.hold()
    assert (one.number, two.number) == (0, 1)
    monkeypatch.undo()
    assert await records.read(moment) == pytest.approx(time.time(), abs=30)


def test_the_settings_come_first_then_the_database_then_the_seat(records: Records) -> None:
    seat = Seat(index=2, workers=4, folder="", counters=0, alive=0, told=0)
    told = number_of(RoutingSettings(processes=8, first_process=4), records, shared=True, seat=seat)
    assert isinstance(told, Fixed)
    assert (told.number, told.alarm) == (6, pytest.approx(0.05 / 8))
    assert isinstance(number_of(RoutingSettings(), records, shared=True, seat=seat), Leased)
    seated = number_of(RoutingSettings(), records, shared=False, seat=seat)
    assert (seated.number, seated.alarm) == (2, pytest.approx(0.05 / 4))
    alone = number_of(RoutingSettings(), records, shared=False, seat=None)
    assert (alone.number, alone.alarm) == (0, pytest.approx(0.05))


@pytest.mark.parametrize(
    ("settings", "workers", "said"),
    [
        (RoutingSettings(), 4, ""),
        (RoutingSettings(processes=8, first_process=4), 4, ""),
        (RoutingSettings(first_process=4), 4, "means nothing without routing.processes"),
        (RoutingSettings(processes=4, first_process=4), 2, "has numbers 4 to 5"),
        (RoutingSettings(processes=1), 2, ""),  # the workers of one machine count themselves
    ],
)
def test_numbers_that_cannot_be_right_are_found(settings: RoutingSettings, workers: int, said: str) -> None:
    found = numbers_found(settings, workers)
    assert (found.status, said in found.what) == ("fail" if said else "ok", True)

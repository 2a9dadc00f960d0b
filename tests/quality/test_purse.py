"""The cap."""

from __future__ import annotations

import asyncio

import pytest

from penstock.kernel.call import Usage
from penstock.quality.purse import CapReached, Closed, Purse


class Priced:
    def estimate(self, provider: str, model: str, usage: Usage) -> int | None:
        return usage.output * 10 if model == "m" else None


async def test_what_is_in_flight_counts() -> None:
    purse = Purse(100, 0, Priced(), 1024)
    first, second = await purse.hold("up/m", b"", 4), await purse.hold("up/m", b"", 4)
    third = asyncio.create_task(purse.hold("up/m", b"", 4))
    await asyncio.sleep(0)
    assert not third.done()
    await purse.settle("up/m", first, 20)
    assert await third == 40
    await purse.settle("up/m", second, 40)
    await purse.settle("up/m", 40, 40)
    assert purse.spent == 100
    with pytest.raises(CapReached):
        await purse.hold("up/m", b"", 1)


async def test_without_a_price_the_first_goes_alone_and_tells_what_it_costs() -> None:
    purse = Purse(100, 0, Priced(), 1024)
    assert await purse.hold("alias", b"", None) == 100
    second = asyncio.create_task(purse.hold("alias", b"", None))
    await asyncio.sleep(0)
    assert not second.done()
    await purse.settle("alias", 100, 20)
    assert await second == 31
    assert await purse.hold("alias", b"", None) == 31


async def test_a_closed_one_lets_nobody_ask() -> None:
    purse = Purse(None, 0, None, 1)
    assert await purse.hold("up/m", b"", None) == 0
    purse.close()
    with pytest.raises(Closed):
        await purse.hold("up/m", b"", None)

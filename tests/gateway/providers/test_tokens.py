"""Credentials that expire, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging
import math
import threading

import pytest

from penstock.gateway.providers.tokens import AGAIN_SECONDS, Bearer, Lease, Renewed
from penstock.kernel.errors import ProviderCredentials


class Vendor:
    """Gives numbered tokens that live for ``seconds``; fails while ``broken``, waits while ``gate`` is closed."""

    def __init__(self, seconds: float = 3600.0) -> None:
        self.seconds = seconds
        self.asked = 0
        self.broken = False
        self.now = 1000.0
        self.gate = threading.Event()
        self.gate.set()
        self.tokens: Renewed[str] = Renewed("p: a vendor", self.fetch, clock=lambda: self.now)

    def fetch(self) -> Lease[str]:
        self.asked += 1
        assert self.gate.wait(10)
        if self.broken:
            raise RuntimeError("secret-in-the-vendors-words")
        return Lease(f"t{self.asked}", self.seconds)

    async def until(self, token: str) -> None:
        """Wait until the renewal in the background has brought this."""
        while await self.tokens.get() != token:
            await asyncio.sleep(0)


async def test_the_first_calls_share_one_fetch_and_later_ones_wait_for_none() -> None:
    vendor = Vendor()
    assert set(await asyncio.gather(*(vendor.tokens.get() for _ in range(5)))) == {"t1"}
    vendor.now += 3000
    assert await vendor.tokens.get() == "t1"
    assert vendor.asked == 1


async def test_before_its_end_a_token_is_renewed_while_the_old_one_is_still_given() -> None:
    vendor = Vendor()
    await vendor.tokens.get()
    vendor.now += 3301
    vendor.gate.clear()
    assert await vendor.tokens.get() == "t1"
    assert await vendor.tokens.get() == "t1"
    vendor.gate.set()
    await vendor.until("t2")
    assert vendor.asked == 2


async def test_short_lived_ones_are_renewed_at_half_their_life() -> None:
    vendor = Vendor(60)
    await vendor.tokens.get()
    vendor.now += 29
    await vendor.tokens.get()
    assert vendor.asked == 1
    vendor.now += 2
    await vendor.until("t2")


async def test_ones_without_an_end_are_never_asked_for_again() -> None:
    vendor = Vendor(math.inf)
    await vendor.tokens.get()
    vendor.now += 1e9
    assert await vendor.tokens.get() == "t1"
    assert vendor.asked == 1


async def test_a_failed_renewal_is_no_failure_until_the_old_token_ends(caplog: pytest.LogCaptureFixture) -> None:
    vendor = Vendor()
    await vendor.tokens.get()
    vendor.broken = True
    vendor.now += 3400
    with caplog.at_level(logging.WARNING, "penstock.gateway"):
        while not caplog.records:
            assert await vendor.tokens.get() == "t1"
            await asyncio.sleep(0)
    assert vendor.asked == 2
    assert await vendor.tokens.get() == "t1"
    assert vendor.asked == 2, "a failure is believed for a while"
    vendor.now += 300
    with pytest.raises(ProviderCredentials, match="p: a vendor: no credentials to be had") as caught:
        await vendor.tokens.get()
    assert caught.value.retry_after == AGAIN_SECONDS
    assert caught.value.code == "provider_credentials"
    said = caught.value.message + "".join(str(record.__dict__) for record in caplog.records)
    assert "secret-in-the-vendors-words" not in said
    vendor.broken = False
    with pytest.raises(ProviderCredentials):
        await vendor.tokens.get()
    vendor.now += AGAIN_SECONDS
    assert await vendor.tokens.get() == "t4"


async def test_a_caller_who_leaves_does_not_take_the_fetch_from_the_others() -> None:
    vendor = Vendor()
    vendor.gate.clear()
    first, second = (asyncio.create_task(vendor.tokens.get()) for _ in range(2))
    while not vendor.asked:
        await asyncio.sleep(0)
    first.cancel()
    vendor.gate.set()
    assert await second == "t1"
    assert vendor.asked == 1
    await vendor.tokens.close()


async def test_a_token_that_has_ended_when_it_comes_is_none() -> None:
    vendor = Vendor(-1)
    with pytest.raises(ProviderCredentials, match="had ended already"):
        await vendor.tokens.get()


async def test_a_bearer_is_a_header_and_whatever_goes_with_it() -> None:
    vendor = Vendor()
    bearer = Bearer("somewhere", vendor.tokens, [("x-more", "1")])
    assert await bearer.headers("GET", "/", b"") == [("authorization", "Bearer t1"), ("x-more", "1")]
    assert bearer.source == "somewhere"
    await bearer.close()

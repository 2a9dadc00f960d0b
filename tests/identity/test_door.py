"""The door: wrong keys are counted by address and in all, right ones are not, and nobody is locked out by others' guesses."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import aiohttp
import pytest
from tests.house import SETTINGS, House, open_house

from penstock.identity.door import MOST_FAMILIAR, TOO_MANY, Door
from penstock.identity.settings import IdentitySettings
from penstock.kernel.errors import Forbidden, LimitExceeded, SettingsError, Unauthenticated
from penstock.kernel.principal import Principal
from penstock.storage.counters import MemoryCounters

FORM = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", "accept": "text/html"}
RIGHT = "psk_right"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Lock:
    """Opens for one key. A key with too little says so, as the sessions do; looking takes a turn of the loop."""

    async def open(self, credential: str) -> tuple[str, float]:
        await asyncio.sleep(0)
        if credential == "psk_poor":
            raise Forbidden("lacks the scope 'read'")
        if credential != RIGHT:
            raise Unauthenticated("not known here")
        return "token", 1.0

    def principal(self, token: str) -> Principal | None:
        return None

    async def close(self, token: str) -> None: ...


class Town:
    """A door, its counters and the time."""

    def __init__(self, **settings: int | tuple[str, ...]) -> None:
        self.clock = Clock()
        self.counters = MemoryCounters(self.clock)
        self.door = Door(Lock(), self.counters, IdentitySettings(**settings))  # type: ignore[arg-type]

    async def knock(self, caller: str, credential: str = "psk_wrong") -> float | None:
        """The seconds to wait, or None when the key was looked at."""
        try:
            await self.door.open(caller, credential)
        except LimitExceeded as fault:
            return fault.retry_after if (fault.status, fault.code) == (429, TOO_MANY) else math.inf
        except Unauthenticated:
            pass
        return None

    def outcomes(self) -> dict[str, float]:
        (metric,) = self.door.metrics()
        return {labels["outcome"]: value for labels, value in metric.samples}


async def test_an_address_that_used_up_its_tries_waits_even_with_a_right_key_and_others_do_not() -> None:
    town = Town(sign_in_guesses=6)
    for _ in range(6):
        assert await town.knock("1.1.1.1") is None
    assert await town.knock("1.1.1.1") == pytest.approx(10)
    assert await town.knock("1.1.1.1", RIGHT) == pytest.approx(10)
    assert await town.knock("2.2.2.2", RIGHT) is None
    assert town.outcomes() == {"in": 1, "refused": 6, "throttled": 2}
    town.clock.now += 10
    assert await town.knock("1.1.1.1", RIGHT) is None
    assert await town.knock("1.1.1.1") is None
    assert await town.knock("1.1.1.1") == pytest.approx(10)


async def test_right_keys_and_keys_with_too_little_are_not_counted() -> None:
    town = Town(sign_in_guesses=1, sign_in_guesses_total=1)
    for _ in range(5):
        assert await town.knock("1.1.1.1", RIGHT) is None
        with pytest.raises(Forbidden):
            await town.knock("1.1.1.1", "psk_poor")
    assert len(town.counters) == 0
    assert await town.knock("1.1.1.1") is None
    assert await town.knock("1.1.1.1")


async def test_tries_that_come_at_once_do_not_overtake_the_count() -> None:
    town = Town(sign_in_guesses=3)
    waits = await asyncio.gather(*(town.knock("1.1.1.1") for _ in range(20)))
    assert sum(wait is None for wait in waits) == 3


async def test_guessers_from_many_addresses_meet_a_ceiling_that_those_who_came_in_before_do_not() -> None:
    town = Town(sign_in_guesses=10, sign_in_guesses_total=60)
    assert await town.knock("9.9.9.9", RIGHT) is None
    for n in range(60):
        assert await town.knock(f"1.1.1.{n}") is None
    for n in range(5000):
        assert await town.knock(f"2.2.{n // 256}.{n % 256}", RIGHT if n % 2 else "psk_wrong")
    # Refused ones leave nothing behind: what is held is bounded by the ceiling.
    assert len(town.counters) <= 61
    assert await town.knock("9.9.9.9") is None
    assert await town.knock("9.9.9.9", RIGHT) is None
    town.clock.now += 1
    assert await town.knock("3.3.3.3", RIGHT) is None


async def test_of_familiar_addresses_the_latest_are_remembered() -> None:
    town = Town(sign_in_guesses_total=1)
    for n in range(MOST_FAMILIAR + 10):
        await town.knock(f"10.0.{n // 256}.{n % 256}", RIGHT)
        await town.knock("10.0.0.0", RIGHT)
    assert await town.knock("6.6.6.6") is None
    assert await town.knock("10.0.0.0", RIGHT) is None
    assert await town.knock("10.0.0.11", RIGHT) is None
    assert await town.knock("10.0.0.10", RIGHT)


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("1.2.3.4", [], "1.2.3.4"),
        ("1.2.3.4", ["6.6.6.6"], "1.2.3.4"),  # not a proxy of ours: what it says about others counts for nothing
        ("10.0.0.1", ["6.6.6.6"], "6.6.6.6"),
        ("10.0.0.1", ["9.9.9.9, 6.6.6.6"], "6.6.6.6"),
        ("10.0.0.1", ["9.9.9.9", "6.6.6.6, 10.0.0.2"], "6.6.6.6"),
        ("10.0.0.1", ["6.6.6.6:4711"], "6.6.6.6"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::ffff:1.2.3.4", [], "1.2.3.4"),
        ("[2001:db8::1]", [], "2001:db8::/64"),
        ("2001:db8::ffff:1", [], "2001:db8::/64"),
        ("10.0.0.1", ["[2001:db8::1]:80"], "2001:db8::/64"),
        (None, ["6.6.6.6"], "unknown"),
        ("", [], "unknown"),
    ],
)
def test_who_is_at_the_door(peer: str | None, forwarded: list[str], caller: str) -> None:
    assert Town(trusted_proxies=("10.0.0.0/8",)).door.caller(peer, forwarded) == caller


@pytest.mark.parametrize(
    ("peer", "scheme", "forwarded", "encrypted"),
    [
        ("1.2.3.4", "https", None, True),
        ("1.2.3.4", "http", None, False),
        ("1.2.3.4", "http", "https", False),
        ("10.0.0.1", "http", "https", True),
        ("10.0.0.1", "http", "http, HTTPS", True),
        ("10.0.0.1", "http", "https, http", False),
        ("10.0.0.1", "http", None, False),
        (None, "http", "https", False),
    ],
)
def test_whether_the_browser_came_over_tls(peer: str | None, scheme: str, forwarded: str | None, encrypted: bool) -> None:
    assert Town(trusted_proxies=("10.0.0.0/8",)).door.is_encrypted(peer, scheme, forwarded) is encrypted


def test_a_proxy_that_is_no_address_is_named() -> None:
    with pytest.raises(SettingsError, match=r"identity\.trusted_proxies: 'proxy\.local' does not appear to be") as fault:
        Town(trusted_proxies=("proxy.local",))
    assert fault.value.param == "identity.trusted_proxies"


async def sign_in(house: House, key: str, address: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(
            f"{house.url}/console/sign-in", data=f"key={key}&next=/console/keys", headers={**FORM, **headers}, allow_redirects=False
        ) as answer,
    ):
        return answer.status, await answer.text(), {name.lower(): value for name, value in answer.headers.items()}


async def test_a_guesser_is_told_to_wait_while_a_right_key_gets_in_from_another_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "psk_" + "g" * 49
    async with open_house(tmp_path, SETTINGS + "[identity]\nsign_in_guesses = 3\n") as house:
        for _ in range(3):
            status, page, headers = await sign_in(house, wrong, "127.0.0.1", **{"x-forwarded-for": "8.8.8.8"})
            assert status == 401
            assert "retry-after" not in headers
        for key in (wrong, house.admin):
            status, page, headers = await sign_in(house, key, "127.0.0.1")
            assert status == 429
            assert "set-cookie" not in headers
            assert 1 <= int(headers["retry-after"]) <= 20
            assert headers["cache-control"] == "no-store"
            assert "too many wrong keys were tried from your address" in page
            assert 'value="/console/keys"' in page
            assert key not in page
        status, _, headers = await sign_in(house, house.admin, "127.0.0.2")
        assert (status, headers["location"]) == (303, "/console/keys")
        measures = (await house.ask("GET", "/metrics")).text
        assert 'penstock_sign_ins_total{outcome="refused"} 3' in measures
        assert 'penstock_sign_ins_total{outcome="throttled"} 2' in measures
        # A key in a header is no guess at the door, and the door's limit holds for nobody else.
        assert (await house.ask("GET", "/v1/keys")).status == 200
    told = [record for record in caplog.records if record.message == "sign-in refused"]
    assert [(r.client, r.code) for r in told] == [("127.0.0.1", "invalid_api_key")] * 3  # type: ignore[attr-defined]
    assert wrong not in caplog.text


async def test_behind_a_proxy_that_is_trusted_the_cookie_is_for_tls_and_clients_are_told_apart(tmp_path: Path) -> None:
    settings = SETTINGS + '[identity]\nsign_in_guesses = 1\ntrusted_proxies = ["127.0.0.1"]\n'
    async with open_house(tmp_path, settings) as house:
        tls = {"x-forwarded-proto": "https"}
        for number in range(3):
            status, _, _ = await sign_in(house, "psk_wrong", "127.0.0.1", **tls, **{"x-forwarded-for": f"6.6.6.{number}"})
            assert status == 401
        status, _, _ = await sign_in(house, house.admin, "127.0.0.1", **tls, **{"x-forwarded-for": "9.9.9.9, 6.6.6.0"})
        assert status == 429
        status, _, headers = await sign_in(house, house.admin, "127.0.0.1", **tls, **{"x-forwarded-for": "7.7.7.7"})
        assert status == 303
        assert "; Secure" in headers["set-cookie"]
        _, _, headers = await sign_in(house, house.admin, "127.0.0.2", **tls)
        assert "; Secure" not in headers["set-cookie"]

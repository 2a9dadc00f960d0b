from __future__ import annotations

import socket

import pytest
from aiohttp.resolver import ThreadedResolver

from penstock.kernel.addresses import PrivateAddress, inside, leads_inside
from penstock.kernel.resolving import Public


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0", "::1", "[::1]", "fd00::1", "fe80::1%eth0",
        "::ffff:10.0.0.1", "100.64.0.1", "224.0.0.1", "127.1", "2130706433", "0x7f000001",
        "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "::127.0.0.1",
    ],
)  # fmt: skip
def test_addresses_inside(host: str) -> None:
    assert inside(host)


@pytest.mark.parametrize("host", ["8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "hooks.example.org"])
def test_addresses_outside_and_names(host: str) -> None:
    assert not inside(host)


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/x", "http://localhost:9/", "https://[::1]/", "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
        "https://127\u30020\u30020\u30021/", "https://127.0.0.1./", "https://999.1.1.1/",
    ],
)  # fmt: skip
def test_urls_that_lead_inside(url: str) -> None:
    assert leads_inside(url)
    assert not leads_inside("https://hooks.example.org/x")


async def test_a_name_that_leads_inside_is_not_connected_to() -> None:
    resolver = Public(ThreadedResolver())
    with pytest.raises(PrivateAddress):
        await resolver.resolve("localhost", 80, socket.AF_INET)
    await resolver.close()

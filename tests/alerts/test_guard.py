from __future__ import annotations

import socket

import pytest
from aiohttp.resolver import ThreadedResolver

from penstock.alerts.guard import PrivateAddress, Public, check_url, inside
from penstock.kernel.errors import RequestError


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0", "::1", "[::1]", "fd00::1", "fe80::1%eth0",
        "::ffff:10.0.0.1", "100.64.0.1", "224.0.0.1", "127.1", "2130706433", "0x7f000001",
    ],
)  # fmt: skip
def test_addresses_inside(host: str) -> None:
    assert inside(host)


@pytest.mark.parametrize("host", ["8.8.8.8", "2606:4700::1111", "hooks.example.org"])
def test_addresses_outside_and_names(host: str) -> None:
    assert not inside(host)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/", "example.org", "https://", "http://example.org/", "https://me:secret@example.org/", "https://10.0.0.1/x",
        "https://localhost:9/", "https://[::1]/", "https://example.org/a b", "https://example.org:99999/", "https://exa\nmple.org/",
        "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/", "https://127\u30020\u30020\u30021/", "https://\u24dbocalhost/", "https://127.0.0.1./",
    ],
)  # fmt: skip
def test_what_others_may_not_name(url: str) -> None:
    with pytest.raises(RequestError):
        check_url(url, private=False)


def test_what_may_be_named() -> None:
    check_url("https://hooks.example.org/path?x=1", private=False)
    check_url("http://127.0.0.1:8080/", private=True)
    with pytest.raises(RequestError, match="no user and password"):
        check_url("http://a:b@127.0.0.1/", private=True)


async def test_a_name_that_leads_inside_is_not_connected_to() -> None:
    resolver = Public(ThreadedResolver())
    with pytest.raises(PrivateAddress):
        await resolver.resolve("localhost", 80, socket.AF_INET)
    await resolver.close()

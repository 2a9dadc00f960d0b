"""A running Penstock, asked over a real socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.house import open_house

from penstock.kernel.errors import Forbidden, NotFound, PenstockError, RequestError, Unauthenticated, Unavailable
from penstock.remote import Remote
from penstock.settings import reached


async def test_what_is_wrong_is_raised_as_what_it_is(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        caller, _ = await house.key(name="caller", scopes=["call"])

        async def fault(key: str, method: str, path: str, body: Any = None) -> PenstockError:
            with pytest.raises(PenstockError) as raised:
                await asyncio.to_thread(Remote(house.url, key).ask, method, path, body)
            return raised.value

        assert isinstance(await fault("psk_wrong", "GET", "/v1/keys"), Unauthenticated)
        assert isinstance(await fault(caller, "GET", "/v1/keys"), Forbidden)
        assert isinstance(await fault(house.admin, "GET", "/v1/nowhere"), NotFound)
        bad = await fault(house.admin, "POST", "/v1/keys", {"name": 7})
        assert isinstance(bad, RequestError)
        assert "Expected `str`" in bad.message
        assert await asyncio.to_thread(Remote(house.url + "/", house.admin).get, "/healthz") == b'{"status":"ok"}'
        url, admin = house.url, house.admin
    with pytest.raises(Unavailable, match="does not answer"):
        Remote(url, admin).get("/healthz")


async def test_a_file_goes_there_and_comes_back_in_pieces(tmp_path: Path) -> None:
    sent = tmp_path / "many bytes.jsonl"
    sent.write_bytes(b"0123456789abcdef\n" * 100_000)
    async with open_house(tmp_path) as house:
        remote = Remote(house.url, house.admin)
        id = await asyncio.to_thread(remote.upload, sent, "batch")
        pieces = await asyncio.to_thread(lambda: list(remote.pieces(f"/v1/files/{id}/content")))
        assert len(pieces) > 1
        assert b"".join(pieces) == sent.read_bytes()
        assert (await asyncio.to_thread(remote.ask, "GET", f"/v1/files/{id}"))["filename"] == "many_bytes.jsonl"


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8080", "", "http://"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(RequestError, match="not the address"):
        Remote(url, "k")


def test_without_a_key_nothing_is_asked() -> None:
    with pytest.raises(Unauthenticated, match="PENSTOCK_KEY"):
        Remote("http://127.0.0.1:1", "")


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80"), ("", "http://127.0.0.1:80"), ("h.example", "http://h.example:80")],
)
def test_where_a_server_is_reached(host: str, url: str) -> None:
    assert reached(host, 80) == url

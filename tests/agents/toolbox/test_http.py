"""The tools that read addresses and send to them."""

from __future__ import annotations

import pytest
from tests.agents.toolbox.calling import call, outcome
from tests.agents.toolbox.shop import shop_server

from penstock.agents.toolbox import Auth, http, http_send


async def test_reading_and_sending() -> None:
    async with shop_server() as shop:
        (get,) = http(private=True)
        found = await call(get, url=f"{shop.url}/a?x=1#part", query={"y": "two words"})
        assert (get.effect, found.body["query"]) == ("read", {"x": "1", "y": "two words"})
        (send,) = http_send(hosts=["127.0.0.1"], private=True, honours_key=True)
        for _ in range(2):
            made = await call(send, "run/call/9", method="POST", url=f"{shop.url}/refunds", body={"cents": 5})
        assert (send.effect, send.honours_key, made.body, made.status) == ("irreversible", True, {"number": 1}, 201)
        assert shop.last[3] == {"cents": 5}
        told = await outcome(send, method="DELETE", url="http://example.org/x")
        assert "address_forbidden: only 127.0.0.1 may be reached" in told.text


async def test_inside_is_closed() -> None:
    (get,) = http()
    told = await outcome(get, url="http://169.254.169.254/latest/meta-data/iam")
    assert (told.state, told.code) == ("failed", "tool_failed")
    assert "address_private" in told.text


def test_declared_wrongly() -> None:
    with pytest.raises(ValueError, match="needs the hosts"):
        http(auth=Auth(secret="env:TOKEN"))
    with pytest.raises(ValueError, match="may send to"):
        http_send(hosts=[])
    with pytest.raises(ValueError, match="effect"):
        http_send(hosts=["a.example"], effect="read")


async def test_a_secret_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "hidden-word")
    terms = {"hosts": ["127.0.0.1"], "auth": Auth(secret="env:SHOP_TOKEN")}
    (get,), (send,) = http(**terms), http_send(**terms)
    assert "address_insecure" in (await outcome(get, url="http://127.0.0.1/")).text
    assert "address_insecure" in (await outcome(send, method="POST", url=" http://127.0.0.1/")).text
    assert "address_private" in (await outcome(get, url="HTTPS://127.0.0.1/")).text

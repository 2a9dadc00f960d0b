"""Exchanges: where they may go, how they end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.agents.toolbox.shop import Shop, shop_server

from penstock.agents.faults import InDoubt, Permanent, Transient
from penstock.agents.toolbox.web import Auth, Web
from penstock.kernel.errors import SettingsError

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop() -> AsyncIterator[Shop]:
    async with shop_server() as found:
        yield found


def web(*, seconds: float = 5.0, private: bool = True, most: int = 10_000) -> Web:
    return Web(seconds=seconds, most_bytes=most, private=private)


async def test_answer(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "hidden-word")
    auth = [Auth(secret="env:SHOP_TOKEN"), Auth(secret="env:SHOP_TOKEN", kind="query", name="k")]
    found = await web().send("POST", f"{shop.url}/things?a=1", auth=auth, body=b"{}", key="run/call/1")
    assert (found.status, found.type, found.body["query"]) == (200, "application/json", {"a": "1", "k": "hidden-word"})
    headers = shop.last[2]
    assert (headers["authorization"], headers["idempotency-key"]) == ("Bearer hidden-word", "run/call/1")
    monkeypatch.setenv("SHOP_TOKEN", "changed")
    basic = [Auth(secret="env:SHOP_TOKEN", kind="basic", user="me"), Auth(secret="env:SHOP_TOKEN", kind="header", name="X-Key")]
    await web().send("GET", f"{shop.url}/", auth=basic)
    assert (shop.last[2]["authorization"], shop.last[2]["x-key"]) == ("Basic bWU6Y2hhbmdlZA==", "changed")


async def test_much_and_odd(shop: Shop) -> None:
    found = await web().send("GET", f"{shop.url}/endless")
    assert (len(found.body), found.cut) == (10_000, 10_000)
    found = await web().send("GET", f"{shop.url}/picture")
    assert found.body == "[6 bytes of image/png]"


@pytest.mark.parametrize(
    ("method", "path", "kind", "said"),
    [
        ("POST", "/fail", Transient, "http_503: {"),
        ("GET", "/broken", Transient, "http_500"),
        ("POST", "/broken", InDoubt, "http_500: oh"),
        ("GET", "/missing", Permanent, "no such thing"),
        ("GET", "/lost", Transient, "http_lost"),
        ("POST", "/lost", InDoubt, "http_lost"),
    ],
)
async def test_failures(shop: Shop, method: str, path: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        await web().send(method, shop.url + path)
    if path == "/fail":
        assert isinstance(caught.value, Transient)
        assert caught.value.after == 7


async def test_slow_and_gone(shop: Shop) -> None:
    with pytest.raises(InDoubt, match="within"):
        await web(seconds=0.3).send("POST", f"{shop.url}/slow")
    with pytest.raises(Transient, match="http_unreachable"):
        await web().send("POST", "http://127.0.0.1:1/")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest/meta-data", "http://localhost/", "http://0x7f000001/",
        "http://2130706433/", "http://[::ffff:10.0.0.1]/", "ftp://example.org/", "file:///etc/passwd", "http://a:b@example.org/",
        "http://127\u30020\u30020\u30021/", "http://ip6-localhost./", "nonsense", "http://[/",
    ],
)  # fmt: skip
async def test_no_way_inside(url: str) -> None:
    with pytest.raises((Permanent, Transient)) as caught:
        await web(private=False).send("GET", url)
    assert "address_" in str(caught.value) or "http_unreachable" in str(caught.value)


async def test_redirects(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "hidden-word")
    auth = [Auth(secret="env:SHOP_TOKEN")]
    found = await web().send("GET", f"{shop.url}/elsewhere?to=/here", auth=auth, follow=True)
    assert found.body["path"] == "/here"
    assert "authorization" in shop.last[2]
    async with shop_server() as other:
        await web().send("GET", f"{shop.url}/elsewhere?to={other.url}/there", auth=auth, follow=True)
        assert "authorization" not in other.last[2]
    with pytest.raises(Permanent, match="http_redirects"):
        await web().send("GET", f"{shop.url}/round", follow=True)
    with pytest.raises(Permanent, match="address_forbidden"):
        await Web(seconds=5, most_bytes=100, private=True, hosts=["127.0.0.1"]).send(
            "GET", f"{shop.url}/elsewhere?to=http://example.org/", follow=True
        )


async def test_secrets_are_references() -> None:
    with pytest.raises(SettingsError, match="give env:NAME"):
        Auth(secret="sk-real")

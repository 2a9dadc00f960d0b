"""Tools of an API's description."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.agents.toolbox.calling import call, named, outcome
from tests.agents.toolbox.shop import Shop, shop_server

from penstock.agents.toolbox import openapi
from penstock.agents.tools import BadArguments
from penstock.kernel.errors import SettingsError

pytestmark = pytest.mark.asyncio(loop_scope="module")

ITEM = {
    "parameters": [{"name": "number", "in": "path", "required": True, "schema": {"type": "string"}}],
    "get": {
        "operationId": "orders.show",
        "summary": "One order.",
        "parameters": [
            {"name": "fields", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
            {"name": "near", "in": "query", "style": "deepObject", "schema": {"type": "object"}},
            {"$ref": "#/components/parameters/Trace"},
        ],
    },
    "delete": {"operationId": "dropOrder", "security": []},
    "put": {"operationId": "keepOrder", "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}},
}
SPEC: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Shop", "version": "1"},
    "security": [{"token": []}],
    "paths": {
        "/orders/{number}": ITEM,
        "/refunds": {
            "post": {
                "operationId": "refund",
                "description": "Give money back.\n\nOnce.",
                "parameters": [{"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}}],
                "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refund"}}}},
            }
        },
        "/pictures": {"post": {"operationId": "upload", "requestBody": {"content": {"image/png": {}}}}},
        "/missing": {"get": {}},
    },
    "components": {
        "parameters": {"Trace": {"name": "X-Trace", "in": "header", "schema": {"type": "string"}}},
        "schemas": {
            "Refund": {
                "type": "object",
                "required": ["cents"],
                "properties": {
                    "cents": {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "example": 5},
                    "note": {"type": "string", "nullable": True},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Refund"}},
                },
            },
            "Unused": {"type": "string"},
        },
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
}
AUTH = {"token": "env:SHOP_TOKEN"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop() -> AsyncIterator[Shop]:
    async with shop_server() as found:
        yield found


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "hidden-word")


async def test_what_is_told() -> None:
    tools = openapi(SPEC, auth=AUTH, server="https://shop.example")
    assert {one.name: (one.effect, one.honours_key) for one in tools} == {
        "orders_show": ("read", False),
        "keepOrder": ("write", True),
        "dropOrder": ("irreversible", False),
        "refund": ("irreversible", True),
        "get__missing": ("read", False),
    }
    told = named(tools, "refund").shown()["function"]
    assert told["description"] == "Give money back. Once."
    assert told["parameters"]["required"] == ["body"]
    assert told["parameters"]["properties"] == {"body": {"$ref": "#/$defs/Refund"}}
    assert told["parameters"]["$defs"]["Refund"]["properties"] == {
        "cents": {"type": "integer", "exclusiveMinimum": 0},
        "note": {"type": ["string", "null"]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Refund"}},
    }
    assert list(told["parameters"]["$defs"]) == ["Refund"]
    with pytest.raises(BadArguments, match=r"\$.body.parts\[0\].cents"):
        named(tools, "refund").arguments({"body": {"cents": 1, "parts": [{"cents": 0}]}})


async def test_calls(shop: Shop) -> None:
    tools = openapi(SPEC, auth=AUTH, server=f"{shop.url}/v2/", private=True)
    given = {"number": "a/b c", "fields": ["x", "y&z"], "near": {"lat": 1.5}, "X-Trace": "t\r\nevil: 1"}
    await call(named(tools, "orders_show"), **given)
    method, path, headers, _ = shop.last
    assert (method, path) == ("GET", "/v2/orders/a%2Fb%20c?fields=x&fields=y%26z&near%5Blat%5D=1.5")
    assert (headers["authorization"], headers["x-trace"]) == ("Bearer hidden-word", "t  evil: 1")
    assert "evil" not in headers
    await call(named(tools, "keepOrder"), number="7", body={"a": "1 2", "b": ["x", "y"]})
    assert (shop.last[0], shop.last[3]) == ("PUT", "a=1%202&b=x&b=y")
    await call(named(tools, "dropOrder"), number="7")
    assert "authorization" not in shop.last[2]
    told = await outcome(named(tools, "orders_show"), number="..")
    assert (told.state, "cannot stand in a path" in told.text) == ("failed", True)


async def test_key_is_sent(shop: Shop) -> None:
    refund = named(openapi(SPEC, auth=AUTH, server=shop.url, private=True), "refund")
    first = await call(refund, "run/call/3", body={"cents": 5})
    assert (await call(refund, "run/call/3", body={"cents": 5})).body == first.body
    assert shop.last[2]["idempotency-key"] == "run/call/3"


async def test_picked_and_corrected() -> None:
    (made,) = openapi(SPEC, auth=AUTH, server="https://x.example", operations=["dropOrder"], effects={"dropOrder": "write"}, prefix="shop_")
    assert (made.name, made.effect) == ("shop_dropOrder", "write")


async def test_files(tmp_path: Path) -> None:
    (tmp_path / "shop.json").write_text(
        json.dumps(SPEC | {"servers": [{"url": "https://{at}.example", "variables": {"at": {"default": "eu"}}}]})
    )
    assert len(openapi(str(tmp_path / "shop.json"), auth=AUTH)) == 5
    (tmp_path / "shop.yaml").write_text("openapi: 3.1.0\nservers: [{url: 'https://a.example'}]\npaths:\n  /x:\n    get: {operationId: x}\n")
    assert [one.name for one in openapi(str(tmp_path / "shop.yaml"))] == ["x"]


@pytest.mark.parametrize(
    ("change", "terms", "said"),
    [
        ({"openapi": "2.0"}, {}, "OpenAPI 3.0 and 3.1"),
        ({}, {"auth": {}}, "needs the security scheme token"),
        ({}, {"server": ""}, "give server="),
        ({}, {"operations": ["nope"]}, "there is no operation nope"),
        ({}, {"operations": ["upload"]}, "only JSON and plain forms"),
        ({"paths": {"/x": {"$ref": "other.yaml#/x"}}}, {}, "leads out of the document"),
        ({"paths": {"/x": {"get": {"operationId": "a b"}}, "/y": {"get": {"operationId": "a?b"}}}}, {}, "two operations"),
    ],
)
async def test_documents_that_cannot_be_used(change: dict[str, Any], terms: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        openapi(SPEC | change, **({"auth": AUTH, "server": "https://shop.example"} | terms))


async def test_no_document(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        openapi(str(tmp_path / "none.json"))
    with pytest.raises(SettingsError, match="cannot be fetched"):
        openapi("http://127.0.0.1:1/x.json")

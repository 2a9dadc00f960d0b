"""The clients of vendors' batch APIs, against a server that speaks them; what they do in a house is in tests/batches/test_delegating.py."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.batches.house import line
from tests.batches.vendor import Vendor
from tests.gateway.upstream import serving

from penstock.gateway.choose import Catalogue
from penstock.gateway.providers.http import HttpProvider
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.settings import ProviderSettings
from penstock.gateway.vendor_batches import DRIVERS, Vendors
from penstock.kernel.delegation import LineReply, Returned
from penstock.kernel.errors import UpstreamMalformed, UpstreamRefused


@asynccontextmanager
async def vendors(vendor: Vendor) -> AsyncGenerator[Vendors]:
    async with serving(vendor) as up:
        made = {n: HttpProvider(n, PROFILES[n], ProviderSettings(base_url=up.url, api_key="k"), {}) for n in ("openai", "anthropic")}
        try:
            yield Vendors(Catalogue(made, {}))
        finally:
            for one in made.values():
                await one.close()


async def pieces(*lines: bytes) -> AsyncIterator[bytes]:
    for each in lines:
        yield each + b"\n"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_a_batch_is_found_again_by_its_name_alone(provider: str) -> None:
    vendor = Vendor()
    async with vendors(vendor) as both:
        ids: dict[str, str] = {}
        for name in ("ps1", "ps2"):
            entries = [both.entry(provider, f"{name}-{n}", json.dumps(line("x")["body"]).encode()) for n in range(3)]
            file = await both.upload(provider, name, pieces(*entries), 10)
            ids[name] = await both.submit(provider, name, file, pieces(*entries))
        since = time.time()
        for name, id in ids.items():
            assert await both.find(provider, name, 3, since, frozenset()) == (id, True)
        assert await both.find(provider, "ps3", 3, since, frozenset()) == (None, True)
        vendor.held.clear()
        # Of Anthropic's what goes on cannot be told from ours, unless it is known or of another size.
        told = (ids["ps1"], True) if provider == "openai" else (None, False)
        assert await both.find(provider, "ps1", 3, since, frozenset()) == told
        assert (await both.find(provider, "ps3", 4, since, frozenset())) == (None, True)
        assert (await both.find(provider, "ps3", 3, since, frozenset(ids.values()))) == (None, True)


async def test_results_one_by_one() -> None:
    vendor = Vendor()
    async with vendors(vendor) as both:
        vendor.files["f"] = (
            b'{"custom_id": "a"}\n\n{nonsense\n' + b"x" * 200 + b'\n{"custom_id": "b", "response": {"status_code": 200, "body": {}}}'
        )
        found = [each async for each in both.results("openai", "f", 100)]
        assert found == [
            LineReply("a", None, "batch_expired", True),
            None,
            None,
            LineReply("b", Returned(200, b"{}"), "http_200", False),
        ]
        with pytest.raises(UpstreamRefused):
            await anext(both.results("openai", "gone", 100))
        vendor.fail = lambda method, path: 200
        with pytest.raises(UpstreamMalformed):
            await both.look("openai", "b")
        vendor.fail = lambda method, path: 409
        await both.cancel("openai", "b")  # too late does nothing
        assert both.limits("nobody") is None


@pytest.mark.parametrize(
    ("result", "status", "again"),
    [
        ({"type": "succeeded", "message": {"id": "msg_1"}}, 200, False),
        ({"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}}, 400, False),
        ({"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}}, 529, True),
        ({"type": "errored", "error": {"type": "error", "error": {"type": "news", "message": "no"}}}, 500, True),
        ({"type": "canceled"}, None, True),
        ({"type": "expired"}, None, True),
    ],
)
def test_anthropic_s_results(result: dict[str, object], status: int | None, again: bool) -> None:
    """https://docs.anthropic.com/en/docs/build-with-claude/batch-processing: the four types of results."""
    found = DRIVERS["anthropic"].line(json.dumps({"custom_id": "a", "result": result}).encode())
    assert (found.reply.status if found.reply is not None else None, found.again) == (status, again)

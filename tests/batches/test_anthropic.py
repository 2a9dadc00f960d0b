"""Batches in Anthropic's shape, with Anthropic's own SDK, unmodified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import pytest
from tests.batches.house import batch_house, until
from tests.house import House

pytestmark = pytest.mark.timeout(60)


def request(custom_id: str, text: str = "", **more: Any) -> dict[str, Any]:
    params = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": text or custom_id}], **more}
    return {"custom_id": custom_id, "params": params}


def client(house: House) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=house.url, api_key=house.admin, max_retries=0)


async def ended(sdk: anthropic.AsyncAnthropic, id: str) -> Any:
    async def look() -> Any:
        batch = await sdk.messages.batches.retrieve(id)
        return batch if batch.processing_status == "ended" else None

    return await until(look)


async def test_the_sdk_makes_follows_reads_and_deletes_a_batch(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, provider), client(house) as sdk:
        broken = request("broken")
        broken["params"]["model"] = "unknown"
        made = await sdk.messages.batches.create(requests=[*(request(f"r-{i}") for i in range(10)), broken])
        assert (made.type, made.processing_status, made.request_counts.processing) == ("message_batch", "in_progress", 11)
        assert made.results_url is None
        batch = await ended(sdk, made.id)
        counts = batch.request_counts
        assert (counts.processing, counts.succeeded, counts.errored, counts.canceled, counts.expired) == (0, 10, 1, 0, 0)
        assert batch.results_url == f"{house.url}/v1/messages/batches/{made.id}/results"
        assert batch.created_at < batch.ended_at < batch.expires_at
        seen = {}
        async for entry in await sdk.messages.batches.results(made.id):
            seen[entry.custom_id] = entry.result
        assert len(seen) == 11
        assert seen["r-3"].type == "succeeded"
        assert seen["r-3"].message.content[0].text == "r-3"
        assert seen["broken"].type == "errored"
        assert seen["broken"].error.error.type == "not_found_error"
        assert set(provider.seen.values()) == {1}
        second = await sdk.messages.batches.create(requests=[request("again")])
        await ended(sdk, second.id)
        page = await sdk.messages.batches.list(limit=1)
        assert ([b.id for b in page.data], page.has_more) == ([second.id], True)
        assert [b.id async for b in sdk.messages.batches.list(limit=1)] == [second.id, made.id]
        assert [b.id for b in (await sdk.messages.batches.list(before_id=made.id)).data] == [second.id]
        gone = await sdk.messages.batches.delete(made.id)
        assert (gone.id, gone.type) == (made.id, "message_batch_deleted")
        with pytest.raises(anthropic.NotFoundError) as caught:
            await sdk.messages.batches.retrieve(made.id)
        assert caught.value.body["error"]["type"] == "not_found_error"


async def test_cancelling_leaves_the_rest_canceled(tmp_path: Path) -> None:
    async with batch_house(tmp_path, "[batches]\nmax_in_flight = 2\n") as (house, provider), client(house) as sdk:
        provider.answer = lambda text: None if provider.seen.total() < 3 else provider.held.clear()
        made = await sdk.messages.batches.create(requests=[request(f"r{i}") for i in range(8)])
        await until(lambda: provider.in_flight == 2 and not provider.held.is_set())
        with pytest.raises(anthropic.ConflictError):
            await sdk.messages.batches.delete(made.id)
        with pytest.raises(anthropic.AnthropicError):
            await sdk.messages.batches.results(made.id)
        stopping = await sdk.messages.batches.cancel(made.id)
        assert stopping.processing_status == "canceling"
        assert stopping.cancel_initiated_at is not None
        provider.answer = lambda text: None
        provider.held.set()
        batch = await ended(sdk, made.id)
        kinds = [entry.result.type async for entry in await sdk.messages.batches.results(made.id)]
        assert len(kinds) == 8
        assert kinds.count("canceled") == batch.request_counts.canceled > 0
        assert kinds.count("succeeded") == batch.request_counts.succeeded > 0


REFUSED: tuple[tuple[bytes, int], ...] = (
    (b"", 400),
    (b"[]", 400),
    (b'{"requests": []}', 400),
    (b'{"requests": [1]}', 400),
    (b'{"requests": [{"custom_id": "a"}]}', 400),
    (b'{"requests": [{"custom_id": "a b", "params": {}}]}', 400),
    (b'{"requests": [{"custom_id": "a", "params": []}]}', 400),
    (b'{"requests": [{"custom_id": "a", "params": {}}, {"custom_id": "a", "params": {}}]}', 400),
    (b'{"requests": [{"custom_id": "a", "params": {}}', 400),
    (b'{"requests": [{"custom_id": "a", "params": {"x": "\xff"}}]}', 400),
    (b'{"requests": [{"custom_id": "a", "params": {}}], "more": 1}', 400),
    (b'{"requests": [{"custom_id": "a", "params": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}]}", 400),
    (json.dumps({"requests": [request(f"r{i}") for i in range(4)]}).encode(), 400),
    (b'{"requests": [{"custom_id": "a", "params": {"x": "' + b"x" * 60_000 + b'"}}]}', 413),
    (b'{"requests": [' + b" " * 70_000, 413),
)


async def test_what_is_no_batch_is_refused_in_anthropics_words_and_leaves_nothing(tmp_path: Path) -> None:
    limits = "[batches]\nmax_lines = 3\nmax_line_bytes = 50000\nmax_body_bytes = 65536\n"
    async with batch_house(tmp_path, limits) as (house, provider):
        for body, status in REFUSED:
            answer = await house.ask("POST", "/v1/messages/batches", body)
            assert (answer.status, answer.json["type"]) == (status, "error"), (body[:100], answer.text)
            assert answer.json["error"]["type"] in ("invalid_request_error", "request_too_large")
        assert not list((tmp_path / "data" / "batches").glob("*"))
        assert (await house.ask("GET", "/v1/messages/batches")).json["data"] == []
        assert not provider.seen


async def test_without_a_key_it_is_said_in_anthropics_words(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, _):
        for method, path in (("POST", ""), ("GET", ""), ("GET", "/x"), ("GET", "/x/results"), ("DELETE", "/x"), ("POST", "/x/cancel")):
            answer = await house.ask(method, f"/v1/messages/batches{path}", key="")
            assert (answer.status, answer.json["error"]["type"]) == (401, "authentication_error")
        for path in ("/x", "/x/results", "/..%2f..%2fetc%2fpasswd/results"):
            assert (await house.ask("GET", f"/v1/messages/batches{path}")).json["error"]["type"] == "not_found_error"

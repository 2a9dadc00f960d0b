"""Batches in OpenAI's shape, with OpenAI's own SDK, unmodified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.batches.house import batch_house, jsonl, line, until, uploaded
from tests.batches.house import ended as batch_ended
from tests.edge.contract import Contract
from tests.house import House

pytestmark = pytest.mark.timeout(60)


def client(house: House) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.admin, max_retries=0)


async def ended(sdk: openai.AsyncOpenAI, id: str) -> Any:
    async def look() -> Any:
        batch = await sdk.batches.retrieve(id)
        return batch if batch.status in ("completed", "failed", "expired", "cancelled") else None

    return await until(look)


async def test_the_sdk_uploads_makes_follows_and_reads_a_batch(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, _), client(house) as sdk:
        broken = line("broken")
        broken["body"]["model"] = "unknown"
        file = await sdk.files.create(file=("in.jsonl", jsonl(*(line(f"r{i}") for i in range(10)), broken)), purpose="batch")
        made = await sdk.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"team": "search"},
            output_expires_after={"anchor": "created_at", "seconds": 3600},
        )
        assert (made.object, made.status, made.input_file_id, made.metadata) == ("batch", "validating", file.id, {"team": "search"})
        batch = await ended(sdk, made.id)
        assert batch.status == "completed"
        assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (11, 10, 1)
        output = await sdk.files.retrieve(batch.output_file_id)
        assert (output.purpose, output.expires_at) == ("batch_output", output.created_at + 3600)
        lines = [json.loads(each) for each in (await sdk.files.content(batch.output_file_id)).text.splitlines()]
        assert sorted(each["custom_id"] for each in lines) == sorted(f"r{i}" for i in range(10))
        (failed,) = [json.loads(each) for each in (await sdk.files.content(batch.error_file_id)).text.splitlines()]
        assert (failed["custom_id"], failed["response"]["status_code"]) == ("broken", 404)
        again = await sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        assert [b.id async for b in sdk.batches.list(limit=1)] == [again.id, made.id]
        await ended(sdk, again.id)
        with pytest.raises(openai.ConflictError):
            await sdk.batches.cancel(again.id)
        with pytest.raises(openai.NotFoundError):
            await sdk.batches.retrieve("batch_nowhere")
        with pytest.raises(openai.BadRequestError):
            await sdk.batches.create(input_file_id=file.id, endpoint="/v1/images/edits", completion_window="24h")


async def test_embeddings_are_batched_too(tmp_path: Path) -> None:
    # The provider answers with a chat completion, which is no embedding: the line fails, and says so, without a second try's cost in money.
    async with batch_house(tmp_path) as (house, _), client(house) as sdk:
        asked = {"custom_id": "e", "method": "POST", "url": "/v1/embeddings", "body": {"model": "unknown", "input": "text"}}
        file = await sdk.files.create(file=("in.jsonl", jsonl(asked)), purpose="batch")
        made = await sdk.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
        batch = await ended(sdk, made.id)
        assert (batch.status, batch.request_counts.failed) == ("completed", 1)


async def test_answers_are_what_the_openapi_document_says(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, _):
        contract = await Contract.of(house)

        async def done(method: str, path: str, body: Any = None) -> Any:
            answer = await house.ask(method, path, body)
            assert answer.status == 200, answer.text
            contract.check(method, path, body, answer)
            return answer.json

        file = await uploaded(house, jsonl(line("a"), line("b")))
        made = await done("POST", "/v1/batches", {"input_file_id": file, "endpoint": "/v1/chat/completions", "metadata": {"a": "b"}})
        await batch_ended(house, made["id"])
        await done("GET", f"/v1/batches/{made['id']}")
        await done("GET", "/v1/batches?limit=1&shape=any")
        broken = await done("POST", "/v1/batches", {"input_file_id": await uploaded(house, b"{"), "endpoint": "/v1/chat/completions"})
        await batch_ended(house, broken["id"])
        assert (await done("GET", f"/v1/batches/{broken['id']}"))["errors"]["data"]
        inline = await done("POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": {"model": "m"}}]})
        await done("GET", "/v1/messages/batches")
        await batch_ended(house, inline["id"])
        await done("GET", f"/v1/messages/batches/{inline['id']}")
        await done("DELETE", f"/v1/messages/batches/{inline['id']}")
        for method, path in (
            ("GET", "/v1/batches/nope"),
            ("POST", f"/v1/batches/{made['id']}/cancel"),
            ("GET", f"/v1/batches/{made['id']}/errors"),
            ("GET", "/v1/batches?limit=0"),
            ("GET", "/v1/messages/batches/nope"),
            ("GET", "/v1/messages/batches/nope/results"),
            ("POST", "/v1/messages/batches/nope/cancel"),
        ):
            answer = await house.ask(method, path)
            assert answer.status in (400, 404, 409)
            contract.check(method, path, None, answer)

"""Files as the vendors' own SDKs see them, unmodified, against a served house; and what a stranger may send."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import anthropic
import openai
import pytest
import pytest_asyncio
from tests.house import House, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

SMALL = "[files]\nmax_file_bytes = 3000000\nmax_organisation_bytes = 20000000\n"
HOUSE = f"[gateway]\ndiscover = false\nlocal_embeddings = false\n{SMALL}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("house"), HOUSE) as house:
        yield house


def openai_client(house: House, key: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=key or house.admin, max_retries=0)


def anthropic_client(house: House, key: str | None = None) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=house.url, api_key=key or house.admin, max_retries=0)


async def test_openais_sdk_keeps_files(house: House, tmp_path: Path) -> None:
    data = os.urandom(2_500_000)
    path = tmp_path / "data set.jsonl"
    path.write_bytes(data)
    async with openai_client(house) as client:
        made = await client.files.create(file=path, purpose="batch")
        assert (made.filename, made.bytes, made.purpose, made.status) == ("data set.jsonl", len(data), "batch", "processed")
        assert made.expires_at == made.created_at + 30 * 86400
        assert await client.files.retrieve(made.id) == made
        content = await client.files.content(made.id)
        assert content.content == data
        assert content.response.headers["x-content-sha256"] == hashlib.sha256(data).hexdigest()
        assert content.response.headers["content-length"] == str(len(data))
        kept = await client.files.create(
            file=("note.txt", b"hello", "text/plain"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
        )
        assert kept.expires_at == kept.created_at + 3600
        listed = [file.id async for file in client.files.list(limit=1)]
        assert listed == [kept.id, made.id]
        assert [file.id async for file in client.files.list(order="asc")] == [made.id, kept.id]
        assert [file.id async for file in client.files.list(purpose="batch")] == [made.id]
        for one in (made, kept):
            gone = await client.files.delete(one.id)
            assert (gone.id, gone.deleted) == (one.id, True)
        with pytest.raises(openai.NotFoundError) as missing:
            await client.files.retrieve(made.id)
        assert missing.value.code == "not_found"
        with pytest.raises(openai.NotFoundError):
            await client.files.content(made.id)
        with pytest.raises(openai.NotFoundError):
            await client.files.delete(made.id)


async def test_anthropics_sdk_keeps_files(house: House) -> None:
    async with anthropic_client(house) as client:
        ids: list[str] = []
        for number in range(3):
            made = await client.files.upload(file=(f"{number}.txt", b"x" * number, "text/plain"), expires_in_seconds=7200)
            assert (made.filename, made.mime_type, made.size_bytes, made.downloadable) == (f"{number}.txt", "text/plain", number, True)
            assert made.expires_at is not None
            assert (made.expires_at - made.created_at).total_seconds() == pytest.approx(7200, abs=0.01)
            ids.append(made.id)
        newest_first = ids[::-1]
        assert [file.id async for file in client.files.list(limit=2)] == newest_first
        assert [file.id async for file in client.files.list(ids=[ids[1], "file_unknown"])] == [ids[1]]
        shown = await client.files.retrieve_metadata(ids[2])
        assert shown.id == ids[2]
        assert await (await client.files.download(ids[2])).read() == b"xx"
        beta = await client.beta.files.retrieve_metadata(ids[0])
        assert beta.size_bytes == 0
        page = await house.ask("GET", f"/v1/files?limit=1&before_id={ids[0]}", anthropic_version="2023-06-01")
        assert ([one["id"] for one in page.json["data"]], page.json["has_more"]) == ([ids[1]], True)
        page = await house.ask("GET", f"/v1/files?limit=5&after_id={ids[1]}", anthropic_version="2023-06-01")
        assert ([one["id"] for one in page.json["data"]], page.json["has_more"]) == ([ids[0]], False)
        for id in ids:
            assert (await client.files.delete(id)).type == "file_deleted"
        with pytest.raises(anthropic.NotFoundError) as missing:
            await client.files.retrieve_metadata(ids[0])
        told = missing.value.response.json()
        assert (told["type"], told["error"]["type"]) == ("error", "not_found_error")

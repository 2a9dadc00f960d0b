"""A real process that dies while a vendor takes its batch, or while it takes the results in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.batches.house import jsonl, line, until
from tests.batches.vendor import Vendor
from tests.gateway.upstream import Conversation, serving
from tests.system.process import Penstock

from penstock.batches.slices import ENDED, Slices, Writer
from penstock.kernel.delegation import Handed, Limits
from penstock.remote import Remote

SETTINGS = """
[gateway]
discover = false
local_embeddings = false
[gateway.providers.openai]
base_url = "{url}"
api_key = "k"
models = ["m"]
[finops.prices."openai/m"]
input = 100.0
output = 200.0
[journal]
poll_seconds = 0.05
[batches]
delegate = ["openai"]
delegate_poll_seconds = 0.2
"""


def handed(model: str = "m") -> Handed:
    return Handed(call="call_1", provider="openai", model=model, name=model, wire="openai.chat", task=None, most=5, body=b"{}")


def test_slices_keep_within_the_limits_and_are_there_when_they_are_noted(tmp_path: Path) -> None:
    slices = Slices(tmp_path)
    writer, limits = Writer(slices, tmp_path), Limits(2, 1000, "openai.chat")
    for number, model in enumerate("mmmnm"):
        writer.id(handed(model), 10, limits)
        writer.add(number, handed(model), b"{}")
    assert not Slices(tmp_path).waiting
    writer.close(None)
    again = Slices(tmp_path)
    assert sorted(one.count for one in again.waiting) == [1, 2, 2]
    assert again.numbers(6) == bytearray([1, 1, 1, 1, 1, 0])
    for one in again.waiting:
        one.state = ENDED
    again.save()
    assert not Slices(tmp_path).waiting


def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    writer = Writer(Slices(tmp_path), tmp_path)
    writer.id(handed(), 10, Limits(2, 15, ""))
    writer.add(0, handed(), b"{}")
    writer.discard()
    assert not list(tmp_path.iterdir())


@pytest.mark.timeout(120)
async def test_a_kill_submits_no_slice_twice_and_charges_no_line_twice(tmp_path: Path) -> None:
    vendor, accepted, count = Vendor(), asyncio.Event(), 300
    vendor.held.clear()

    def swallow(peer: Conversation) -> None:
        accepted.set()  # it has the batch, and nobody is told

    vendor.after_accept = swallow
    async with serving(vendor) as up:
        penstock = Penstock(tmp_path, SETTINGS.format(url=up.url))
        await penstock.start()
        try:
            remote = await asyncio.to_thread(_remote, penstock)
            (tmp_path / "in.jsonl").write_bytes(jsonl(*(line(f"q{n}") for n in range(count))))
            file = await asyncio.to_thread(remote.upload, tmp_path / "in.jsonl", "batch")
            asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            id = (await asyncio.to_thread(remote.ask, "POST", "/v1/batches", asked))["id"]
            await accepted.wait()
            assert await penstock.kill()
            vendor.after_accept = None
            await penstock.start()
            await until(lambda: any(request.startswith("GET /batches/") for request in vendor.requests), 60)
            assert len(vendor.batches) == 1
            vendor.held.set()
            # While the results are taken in: as soon as some are on the log.
            logs = tmp_path / "data" / "batches" / id / "results.log"
            await until(lambda: logs.exists() and logs.stat().st_size > 0, 60)
            assert await penstock.kill()
            await penstock.start()
            remote = await asyncio.to_thread(_remote, penstock)

            async def over() -> dict[str, Any] | None:
                found = await asyncio.to_thread(remote.ask, "GET", f"/v1/batches/{id}")
                return found if found["status"] == "completed" else None

            batch = await until(over, 60)
            assert batch["request_counts"] == {"total": count, "completed": count, "failed": 0}
            results = b"".join(await asyncio.to_thread(lambda: list(remote.pieces(f"/v1/batches/{id}/results"))))
            assert len(results.splitlines()) == count
            assert (await asyncio.to_thread(remote.ask, "GET", "/v1/ledger?limit=1"))["rows"] == count
            assert (len(vendor.batches), vendor.realtime) == (1, 0)
        finally:
            await penstock.terminate()


def _remote(penstock: Penstock) -> Remote:
    return Remote(penstock.url, penstock.admin)

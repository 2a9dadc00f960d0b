"""Who waits for a response reads where it stands, and not the whole request again and again."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from penstock.responses import background, job_store
from penstock.responses.background import Background
from penstock.responses.job import Job
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records


async def test_waiters_read_the_state_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, now = open_records("", tmp_path), time.time()
    migrate(records, ("penstock.responses.migrations",))
    others: dict[str, Any] = dict.fromkeys(("person", "previous", "conversation", "run", "agent_run", "thread"))
    times = {"created_at": now, "updated_at": now, "expires_at": now + 60}
    told: dict[str, Any] = {"model": "m", "status": "in_progress", "background": True, "stream": True, "seen": 0, "asked": b"{}"}
    job = Job(id="resp_1", organisation="org", key_id="key", **told, **times, **others)
    await records.write(lambda c: job_store.add(c, job))
    looks, whole, status, get = 0, 0, job_store.status, job_store.get

    def looked(*given: Any) -> Any:
        nonlocal looks
        looks += 1
        return status(*given)

    def read(*given: Any) -> Any:
        nonlocal whole
        whole += 1
        return get(*given)

    monkeypatch.setattr(job_store, "status", looked)
    monkeypatch.setattr(job_store, "get", read)
    monkeypatch.setattr(background, "POLL_SECONDS", 0.01)
    waits = Background(records, *[None] * 5)  # type: ignore[arg-type]
    ended = asyncio.create_task(waits.ended(job))

    async def watch() -> list[bytes]:
        return [event async for event in waits.watch(job)]

    watched = asyncio.create_task(watch())
    while looks < 10:
        await asyncio.sleep(0.01)
    assert whole == 0
    with waits._board.telling(job.id):
        # Whoever works on it here wakes them; they need not look by themselves.
        await asyncio.sleep(0.1)
        before = looks
        await asyncio.sleep(0.2)
        assert looks == before
    end = {"status": "completed", "response": b'{"id": "resp_1"}'}
    event = b'{"type": "response.completed"}'
    await records.write(lambda c: (job_store.tell(c, job.id, 0, [event], now), job_store.change(c, job.id, end)))
    assert await ended == end["response"]
    assert await watched == [b"event: response.completed\ndata: " + event + b"\n\n"]
    assert whole == 1
    records.close()

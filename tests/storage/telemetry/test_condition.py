from __future__ import annotations

from pathlib import Path

import pytest

from penstock.kernel.errors import StorageError
from penstock.storage.telemetry.condition import condition_of
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.inbox import Inbox

from .conftest import a_span


async def test_a_store_is_looked_at_before_its_first_start_and_nothing_is_made(tmp_path: Path) -> None:
    condition = await EmbeddedTelemetry(tmp_path / "telemetry").examine()
    assert (condition.where, condition.bytes, condition.waiting, condition.set_aside) == (str(tmp_path / "telemetry"), 0, 0, 0)
    assert list(tmp_path.iterdir()) == []


async def test_what_is_stored_waits_or_was_set_aside_is_told_without_the_engine(tmp_path: Path) -> None:
    store = EmbeddedTelemetry(tmp_path / "telemetry", memory_mb=256)
    await store.start()
    await store.append([a_span()], "one")
    await store.flush()
    await store.close()
    inbox = Inbox(tmp_path / "telemetry" / "inbox")
    inbox.put("two", b"x" * 1000)
    inbox.set_aside(inbox.waiting()[0])
    inbox.put("three", b"x" * 1000)
    waits = inbox.waiting()[0].path
    waits.rename(waits.with_name(f"{int(waits.name.partition('.')[0], 16) - 900 * 10**9:016x}.aaaaaa.three.jsonl"))
    (inbox.folder / "0.part").write_bytes(b"half")
    (inbox.folder / "somebody.elses.file.jsonl").write_bytes(b"")

    condition = condition_of(tmp_path / "telemetry")

    assert (condition.waiting, condition.set_aside) == (1, 1)
    assert 900 <= condition.waiting_seconds < 960
    assert condition.bytes > (tmp_path / "telemetry" / "spans.duckdb").stat().st_size + 2000


def test_what_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "telemetry").write_text("")
    with pytest.raises(StorageError, match="cannot be looked at"):
        condition_of(tmp_path / "telemetry")

"""Writing calls down in another process: what it stores, what becomes of a batch when it fails or dies, and when it runs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import func, select, text
from tests.observability.calls import ended

from penstock.kernel.beside import Beside
from penstock.kernel.call import Call
from penstock.kernel.errors import PenstockError
from penstock.observability import beside
from penstock.observability.beside import Assistant
from penstock.observability.own.outbox import Outbox
from penstock.observability.payloads import PayloadKeeper
from penstock.observability.recorder import Recorder
from penstock.observability.redaction import Redactor
from penstock.observability.settings import ObservabilitySettings
from penstock.observability.tables import call_summaries, calls
from penstock.recording import House
from penstock.settings import LogSettings
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.span import Span

pytestmark = pytest.mark.timeout(240)


class Rig:
    """A recorder whose assistant is a process, over a database and a store of spans that are real."""

    def __init__(self, folder: Path, records: Records, store: EmbeddedTelemetry, **terms: Any) -> None:
        self.settings = msgspec.convert({"flush_seconds": 10, **terms}, ObservabilitySettings)
        self.records, self.store = records, store
        self.seen: list[Span] = []
        self.came: list[str] = []
        redactor = Redactor()
        house = House("", str(folder), str(store.folder / "inbox"), LogSettings(level="error"))
        command = (sys.executable, "-m", "penstock.recording")
        self.assistant = Assistant(Beside(command, msgspec.msgpack.encode(house)), self.settings)
        self.outbox = Outbox(lambda: store, self.settings, redactor, None, self.came.extend)
        keeper = PayloadKeeper(self.settings.payloads, self.settings.payload_max_bytes, redactor)
        self.recorder = Recorder(records, self.settings, redactor, keeper, self.outbox, self.assistant)

    async def ready(self) -> int:
        self.assistant.see(beside.BUSY)
        await until(lambda: self.assistant.ready)
        assert self.assistant.pid is not None
        return self.assistant.pid

    async def take(self, count: int, **said: Any) -> list[Call]:
        made = [ended(model=f"m{number:03}", ask="hello", told="there", **said) for number in range(count)]
        for call in made:
            self.recorder.take(call, len(call.body))
        await self.recorder.flush()
        return made

    async def stored(self) -> tuple[int, int, int]:
        """Calls on the record, calls that the summaries count, and spans."""
        await self.outbox.flush()
        await self.store.flush()
        read = self.records.read
        rows = await read(lambda c: c.execute(select(func.count()).select_from(calls)).scalar() or 0)
        counted = await read(lambda c: c.execute(select(func.sum(call_summaries.c.calls))).scalar() or 0)
        return rows, int(counted), (await self.store.facts()).spans


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(100):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records("", tmp_path)
    migrate(opened, ["penstock.observability.migrations"])
    yield opened
    opened.close()


@pytest_asyncio.fixture
async def rig(tmp_path: Path, records: Records) -> AsyncIterator[Rig]:
    store = EmbeddedTelemetry(tmp_path / "telemetry", memory_mb=256, drain_seconds=0.02)
    await store.start()
    made = Rig(tmp_path, records, store)
    yield made
    await made.recorder.stop()
    await store.close()


async def test_many_calls_are_written_beside_and_few_are_not(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.take(3)
    assert rig.assistant.pid is None
    engine = await rig.ready()
    assert os.getpriority(os.PRIO_PROCESS, engine) > os.getpriority(os.PRIO_PROCESS, 0)

    def nothing(*_: Any) -> None:
        raise AssertionError("this was to be done beside")

    with monkeypatch.context() as patched:
        patched.setattr(rig.recorder._scribe, "write", nothing)
        made = await rig.take(20)
    assert rig.recorder.stored == 23
    assert rig.outbox.stored == 20
    assert rig.came == ["org_a"]
    assert await rig.stored() == (23, 23, 23)
    found = await rig.store.trace(made[0].trace.trace_id, "org_a")
    assert (found[0].span.model, found[0].payload) == ("m000", True)

    monkeypatch.setattr(beside, "QUIET_SECONDS", 0.0)
    await rig.take(1)
    assert rig.assistant.pid is None, "few calls come: it has ended"
    assert await rig.stored() == (24, 24, 24)


async def test_what_it_was_working_on_when_it_died_is_written_here(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    process = await rig.ready()
    os.kill(process, signal.SIGSTOP)
    taking = asyncio.create_task(rig.take(20))
    await until(lambda: rig.recorder.waiting == 20)
    os.kill(process, signal.SIGKILL)
    await taking
    assert await rig.stored() == (20, 20, 20)
    assert "is gone; they are written here" in caplog.text
    assert not rig.assistant.ready


async def test_a_batch_that_was_written_beside_and_not_told_is_not_written_twice(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.ready()
    received = beside._receive

    def cut(link: socket.socket) -> bytes:
        received(link)
        raise EOFError("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr(beside, "_receive", cut)
        await rig.take(20)
    assert await rig.stored() == (20, 20, 20)


async def test_what_the_database_says_is_said_here_and_the_batch_waits(rig: Rig) -> None:
    await rig.ready()

    def rename(table: str, to: str) -> None:
        with rig.records.begin_migration() as connection:
            connection.execute(text(f"ALTER TABLE {table} RENAME TO {to}"))

    await asyncio.to_thread(rename, "calls", "elsewhere")
    with pytest.raises(PenstockError):
        await rig.take(5)
    assert rig.recorder.waiting == 5
    await asyncio.to_thread(rename, "elsewhere", "calls")
    await rig.recorder.flush()
    assert rig.recorder.waiting == 0
    assert await rig.stored() == (5, 5, 5)


async def test_spans_that_cannot_be_stored_there_wait_here(rig: Rig) -> None:
    await rig.ready()
    inbox = rig.store.folder / "inbox"
    inbox.rename(inbox.with_name("away"))
    await rig.take(5)
    assert (rig.outbox.stored, rig.outbox.waiting) == (0, 5)
    inbox.with_name("away").rename(inbox)
    assert await rig.stored() == (5, 5, 5)


async def test_spans_are_shown_to_whoever_sends_them_on(rig: Rig) -> None:
    await rig.ready()
    seen: list[Span] = []
    rig.outbox._onward = seen.extend
    made = await rig.take(4)
    assert [span.span_id for span in seen] == [call.trace.span_id for call in made]
    assert await rig.stored() == (4, 4, 4)


def test_one_that_cannot_be_started_leaves_the_work_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assistant = Assistant(Beside((sys.executable, "-c", "raise SystemExit(3)"), b""), ObservabilitySettings())
    assistant.see(beside.BUSY)
    for thread in threading.enumerate():
        if thread.name == "recorder beside":
            thread.join(100)
    assert not assistant.ready
    with pytest.raises(beside.Gone):
        assistant.write([], [], [], stored=False, wanted=False)
    assistant.see(beside.BUSY)
    assert assistant._starting is None, "it is not tried again at once"
    assistant.close()


async def test_the_house_is_not_told_on_the_command_line(rig: Rig) -> None:
    process = await rig.ready()
    assert str(rig.store.folder).encode() not in Path(f"/proc/{process}/cmdline").read_bytes()
    assert await rig.store.search(Filter()) is not None


async def test_it_ends_also_when_no_calls_come_at_all(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.ready()
    await rig.recorder._look_after()
    assert rig.assistant.ready
    monkeypatch.setattr(beside, "QUIET_SECONDS", 0.0)
    await rig.recorder._look_after()
    assert rig.assistant.pid is None


async def test_one_that_died_while_nobody_needed_it_is_seen(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    process = await rig.ready()
    os.kill(process, signal.SIGKILL)
    while rig.assistant.ready:
        await rig.recorder._look_after()
    assert rig.assistant.pid is None
    assert "is gone" in caplog.text


async def test_a_call_that_cannot_be_carried_does_not_end_it(rig: Rig) -> None:
    process = await rig.ready()
    broken = ended()
    broken.labels = {"a": object()}  # type: ignore[dict-item]
    rig.recorder.take(broken, 0)
    await rig.take(3)
    assert dict(rig.recorder.drops) == {"unwritable": 1}
    assert rig.assistant.pid == process
    rows, _, spans = await rig.stored()
    assert (rows, spans) == (3, 3)

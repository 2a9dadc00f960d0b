"""Our own spans in a real store: from the recorder, in batches, once; what happens while the store or the database does not take them."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import func, select, text
from tests.observability.calls import ended

from penstock.kernel.call import Call
from penstock.kernel.errors import RequestError, SchemaMismatch, StorageError
from penstock.observability.own.calls import SOURCE, CallSpans
from penstock.observability.own.outbox import Outbox
from penstock.observability.payloads import PayloadKeeper
from penstock.observability.recorder import Recorder
from penstock.observability.redaction import Redactor
from penstock.observability.settings import ObservabilitySettings
from penstock.observability.tables import calls
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.span import Span


class Desk:
    """A recorder with an outbox to a real store, in which a test may put trouble."""

    def __init__(self, records: Records | None, store: EmbeddedTelemetry | None, **terms: Any) -> None:
        settings = msgspec.convert({"flush_seconds": 0.01, "spans": {"own_seconds": 0.01}, **terms}, ObservabilitySettings)
        redactor = Redactor()
        self.store = store
        self.trouble: list[Exception] = []
        self.after = False
        self.names: list[str] = []
        self.outbox = Outbox(lambda: self if store is not None else None, settings, redactor)  # type: ignore[arg-type, return-value]
        self.recorder: Recorder
        if records is not None:
            keeper = PayloadKeeper(settings.payloads, settings.payload_max_bytes, redactor)
            self.recorder = Recorder(records, settings, redactor, keeper, self.outbox)

    async def append(self, spans: Sequence[Span], batch: str) -> None:
        """The store's own, before or after which something fails."""
        self.names.append(batch)
        trouble = self.trouble.pop() if self.trouble else None
        if trouble is not None and not self.after:
            raise trouble
        assert self.store is not None
        await self.store.append(spans, batch)
        if trouble is not None:
            raise trouble

    def take(self, *made: Call) -> None:
        for call in made:
            self.recorder.take(call, len(call.body) + sum(map(len, call.reply_text)))

    async def kept(self) -> list[str]:
        """Names of the models of the calls that the store has."""
        assert self.store is not None
        await self.store.flush()
        return sorted(one.model for one in (await self.store.search(Filter(organisation="org_a"), 500)).spans)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records("", tmp_path)
    migrate(opened, ["penstock.observability.migrations"])
    yield opened
    opened.close()


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedTelemetry]:
    opened = EmbeddedTelemetry(tmp_path / "telemetry", memory_mb=256)
    await opened.start()
    yield opened
    await opened.close()


def some(count: int, **said: Any) -> list[Call]:
    return [ended(model=f"m{number:03}", **said) for number in range(count)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def rename(records: Records, table: str, to: str) -> None:
    with records.begin_migration() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO {to}"))


async def test_what_is_recorded_is_a_span_too(records: Records, store: EmbeddedTelemetry) -> None:
    desk = Desk(records, store, batch_calls=10)
    await desk.outbox.start()
    await desk.recorder.start()
    made = some(25, ask="a question", told="an answer")
    desk.take(*made)
    await until(lambda: desk.outbox.stored == 25)
    await desk.recorder.stop()
    await desk.outbox.stop()
    await store.flush()
    assert await desk.kept() == [call.model for call in made]
    trace = made[3].trace
    (found,) = await store.trace(trace.trace_id, "org_a")
    assert found.span.source == SOURCE
    payload = await store.payload(trace.trace_id, trace.span_id, "org_a")
    assert payload is not None
    assert "a question" in payload.input
    assert [one.span_id for one in (await store.search(Filter(organisation="org_a", text="question"), 3)).spans]


async def test_stopping_stores_what_is_queued(records: Records, store: EmbeddedTelemetry) -> None:
    desk = Desk(records, store, flush_seconds=10, spans={"own_seconds": 10})
    await desk.outbox.start()
    await desk.recorder.start()
    desk.take(*some(7))
    await desk.recorder.stop()
    await desk.outbox.stop()
    assert (desk.outbox.stored, len(await desk.kept())) == (7, 7)


@pytest.mark.parametrize("after", [False, True])
async def test_a_batch_whose_fate_nobody_knows_is_sent_again_and_stored_once(
    records: Records, store: EmbeddedTelemetry, after: bool
) -> None:
    desk = Desk(records, store)
    desk.take(*some(5))
    await desk.recorder.flush()
    desk.trouble += [StorageError("who knows"), StorageError("who knows")]
    desk.after = after
    for _ in range(2):
        with pytest.raises(StorageError):
            await desk.outbox.flush()
        assert desk.outbox.waiting == 5
    # More has come meanwhile, and does not change what the batch is.
    desk.take(ended(model="later"))
    await desk.recorder.flush()
    await desk.outbox.flush()
    assert (desk.outbox.stored, desk.outbox.waiting, dict(desk.outbox.drops)) == (6, 0, {})
    assert len(desk.names) == 4
    assert len(set(desk.names[:3])) == 1
    assert await desk.kept() == ["later", *(f"m{n:03}" for n in range(5))]


async def test_a_database_that_is_away_does_not_keep_spans_from_the_store_nor_doubles_them(
    records: Records, store: EmbeddedTelemetry
) -> None:
    desk = Desk(records, store)
    rename(records, "calls", "calls_away")
    desk.take(*some(3))
    for _ in range(3):
        with pytest.raises(SchemaMismatch):
            await desk.recorder.flush()
    await desk.outbox.flush()
    assert len(await desk.kept()) == 3
    rename(records, "calls_away", "calls")
    await desk.recorder.flush()
    await desk.outbox.flush()
    assert (desk.outbox.stored, len(await desk.kept())) == (3, 3)


async def test_a_store_that_is_away_does_not_keep_calls_off_the_record(
    records: Records, store: EmbeddedTelemetry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.observability.own.outbox.AGAIN_SECONDS", 0.01)
    desk = Desk(records, store)
    desk.trouble += [StorageError("away")] * 5
    await desk.outbox.start()
    await desk.recorder.start()
    with caplog.at_level(logging.WARNING, "penstock.observability"):
        desk.take(*some(4))
        await until(lambda: desk.recorder.stored == 4)
        await until(lambda: desk.outbox.stored == 4)
    await desk.recorder.stop()
    await desk.outbox.stop()
    assert [r.message for r in caplog.records] == ["own spans cannot be stored and wait"]  # said once
    count = await records.read(lambda c: c.execute(select(func.count()).select_from(calls)).scalar())
    assert (count, len(await desk.kept())) == (4, 4)


async def test_what_does_not_fit_is_dropped_and_counted(store: EmbeddedTelemetry) -> None:
    desk = Desk(None, store, queue_calls=5, queue_bytes=6000)
    make = CallSpans(Redactor())
    keeper = PayloadKeeper("full", 10_000, Redactor())
    for call in some(8, ask="x " * 750):
        desk.outbox.put(make.of(call, keeper.kept(call)))
    assert dict(desk.outbox.drops) == {"payload_bytes": 3, "queue_full": 3}
    await desk.outbox.flush()
    assert await desk.kept() == [f"m{n:03}" for n in range(5)]
    told = {metric.name: {tuple(labels.values()): value for labels, value in metric.samples} for metric in desk.outbox.metrics()}
    assert told["penstock_own_spans_dropped"] == {("payload_bytes",): 3.0, ("queue_full",): 3.0}
    assert (told["penstock_own_spans_stored"], told["penstock_own_spans_waiting"]) == ({(): 5}, {(): 0})


@pytest.mark.parametrize("trouble", [RequestError("too large"), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates")])
async def test_what_the_store_will_never_take_is_dropped_and_the_rest_goes_on(store: EmbeddedTelemetry, trouble: Exception) -> None:
    desk = Desk(None, store)
    make = CallSpans(Redactor())
    desk.outbox.put(make.of(ended(model="bad"), None))
    desk.trouble = [trouble]
    await desk.outbox.flush()
    desk.outbox.put(make.of(ended(model="good"), None))
    await desk.outbox.flush()
    assert dict(desk.outbox.drops) == {"unwritable": 1}
    assert await desk.kept() == ["good"]


async def test_a_call_of_which_no_span_can_be_made_is_recorded_all_the_same(records: Records, store: EmbeddedTelemetry) -> None:
    desk = Desk(records, store)
    broken = ended(trace=None)
    made: list[Span] = []
    desk.outbox.make(broken, None, made)
    assert (made, dict(desk.outbox.drops)) == ([], {"unwritable": 1})


async def test_without_a_store_or_where_the_settings_say_so_nothing_is_made(records: Records, store: EmbeddedTelemetry) -> None:
    for desk in (Desk(records, None), Desk(records, store, spans={"own": False})):
        assert not desk.outbox.wanted
        await desk.outbox.start()
        desk.take(*some(2))
        await desk.recorder.flush()
        desk.outbox.put([Span(trace_id="1" * 32, span_id="1" * 16, start_ns=1, end_ns=2)])
        assert desk.outbox.waiting == 0
        await desk.outbox.stop()


async def test_what_this_process_lacks_for_a_moment_costs_no_span(store: EmbeddedTelemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.observability.own.outbox.AGAIN_SECONDS", 0.01)
    desk = Desk(None, store)
    desk.trouble = [RuntimeError("can't start new thread"), OSError(errno.EMFILE, "Too many open files"), MemoryError()]
    await desk.outbox.start()
    desk.outbox.put(CallSpans(Redactor()).of(ended(model="kept"), None))
    await until(lambda: desk.outbox.stored == 1)
    await desk.outbox.stop()
    assert not desk.outbox.drops
    assert await desk.kept() == ["kept"]


async def test_what_is_lost_at_the_end_is_said(store: EmbeddedTelemetry, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(None, store)
    desk.outbox.put(CallSpans(Redactor()).of(ended(), None))
    desk.trouble = [StorageError("away")]
    with caplog.at_level(logging.WARNING, "penstock.observability"):
        await desk.outbox.stop()
    assert "own spans were lost at shutdown" in caplog.text


async def test_spans_go_onward_whether_they_are_stored_or_not() -> None:
    got: list[Span] = []
    settings = ObservabilitySettings()
    assert not Outbox(lambda: None, settings, Redactor()).wanted
    outbox = Outbox(lambda: None, settings, Redactor(), got.extend)
    assert outbox.wanted
    await outbox.start()
    made: list[Span] = []
    outbox.make(ended(), None, made)
    outbox.put(made)
    await outbox.stop()
    assert got == made
    assert len(made) == 1
    assert (outbox.waiting, outbox.stored) == (0, 0)

"""The recorder over real databases: what it stores, drops, says and forgets, and what it does while nothing can be stored."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select, text
from tests.observability.calls import OPERATOR, ended

from penstock.kernel.call import Call
from penstock.kernel.errors import PenstockError, SchemaMismatch, UpstreamRefused
from penstock.observability.payloads import PayloadKeeper
from penstock.observability.recorder import Recorder
from penstock.observability.redaction import Redactor
from penstock.observability.service import CallFilter, Questions
from penstock.observability.settings import ObservabilitySettings
from penstock.observability.tables import call_payloads, call_summaries, calls
from penstock.storage.records import Records

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz012345"


class Desk:
    """A recorder with these settings, and the questions that read what it wrote."""

    def __init__(self, records: Records, **terms: Any) -> None:
        settings = msgspec.convert({"flush_seconds": 0.01, **terms}, ObservabilitySettings)
        redactor = Redactor(emails=settings.redact_emails)
        self.records = records
        self.keeper = PayloadKeeper(settings.payloads, settings.payload_max_bytes, redactor)
        self.recorder = Recorder(records, settings, redactor, self.keeper)
        self.questions = Questions(records, self.recorder.flush)

    def take(self, *made: Call) -> None:
        for call in made:
            self.recorder.take(call, len(call.body) + sum(map(len, call.reply_text)))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    async def count(self, *tables: Any) -> list[int]:
        return await self.records.read(lambda c: [c.execute(select(func.count()).select_from(t)).scalar() or 0 for t in tables])

    async def rename(self, table: str, to: str) -> None:
        def work(connection: Any) -> None:
            connection.execute(text(f"ALTER TABLE {table} RENAME TO {to}"))

        def blocking() -> None:
            with self.records.begin_migration() as connection:
                work(connection)

        await asyncio.to_thread(blocking)


async def test_what_is_taken_is_stored_by_itself_and_in_batches(records: Records) -> None:
    desk = Desk(records, batch_calls=10)
    await desk.recorder.start()
    made = [ended(at=time.time(), ask=f"question {n}", told=f"answer {n}") for n in range(35)]
    desk.take(*made)
    await desk.until(lambda: desk.recorder.stored == 35)
    assert desk.recorder.waiting == 0
    assert await desk.count(calls) == [35]
    payload = await desk.questions.payload(OPERATOR, made[17].id)
    assert payload.request_turns is not None
    assert payload.reply_turns is not None
    assert payload.request_turns.turns[0].parts[0].text == "question 17"
    assert payload.reply_turns.turns[0].parts[0].text == "answer 17"
    (packs,) = await desk.count(call_payloads)
    assert packs <= 5
    await desk.recorder.stop()


async def test_stopping_stores_what_is_queued(records: Records) -> None:
    desk = Desk(records, flush_seconds=10, batch_calls=100)
    await desk.recorder.start()
    desk.take(*(ended() for _ in range(42)))
    await desk.recorder.stop()
    assert await desk.count(calls) == [42]


async def test_a_full_queue_drops_calls_and_counts_them(records: Records) -> None:
    desk = Desk(records, queue_calls=10)
    made = [ended() for _ in range(17)]
    desk.take(*made)
    assert (desk.recorder.waiting, dict(desk.recorder.drops)) == (10, {"queue_full": 7})
    await desk.recorder.flush()
    assert await desk.count(calls) == [10]
    # There is room again.
    desk.take(ended())
    await desk.recorder.flush()
    assert await desk.count(calls) == [11]
    assert dict(desk.recorder.drops) == {"queue_full": 7}


async def test_payloads_that_do_not_fit_are_dropped_and_their_calls_are_not(records: Records) -> None:
    desk = Desk(records, queue_bytes=2000)
    made = [ended(ask="x" * 900) for _ in range(4)]
    desk.take(*made)
    assert dict(desk.recorder.drops) == {"payload_bytes": 2}
    await desk.recorder.flush()
    assert await desk.count(calls) == [4]
    kept = [(await desk.questions.payload(OPERATOR, call.id)).request is not None for call in made]
    assert kept == [True, True, False, False]
    # What was stored has left the queue, so there is room again.
    desk.take(ended(ask="x" * 900))
    assert desk.recorder.drops["payload_bytes"] == 2


async def test_while_the_database_does_not_take_them_calls_wait_and_are_stored_once(records: Records) -> None:
    desk = Desk(records, queue_calls=20, batch_calls=5)
    await desk.rename("calls", "calls_away")
    desk.take(*(ended() for _ in range(12)))
    with pytest.raises(SchemaMismatch):
        await desk.recorder.flush()
    with pytest.raises(SchemaMismatch):
        await desk.recorder.flush()
    assert (desk.recorder.waiting, desk.recorder.stored) == (12, 0)
    desk.take(*(ended() for _ in range(12)))
    assert dict(desk.recorder.drops) == {"queue_full": 4}
    await desk.rename("calls_away", "calls")
    await desk.recorder.flush()
    assert (desk.recorder.waiting, desk.recorder.stored) == (0, 20)
    assert await desk.count(calls) == [20]
    sums = await records.read(lambda c: c.execute(select(func.sum(call_summaries.c.calls))).scalar())
    assert sums == 20  # a batch that was tried three times counts once


async def test_the_service_outlives_a_database_that_is_away(records: Records, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(records)
    await desk.rename("calls", "calls_away")
    await desk.recorder.start()
    with caplog.at_level(logging.WARNING, "penstock.observability"):
        desk.take(ended())
        await desk.until(lambda: "wait" in caplog.text)
    await desk.rename("calls_away", "calls")
    await desk.until(lambda: desk.recorder.stored == 1)
    await desk.recorder.stop()


async def test_what_is_lost_at_the_end_is_said(records: Records, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(records)
    await desk.rename("calls", "calls_away")
    await desk.recorder.start()
    desk.take(ended())
    with caplog.at_level(logging.WARNING, "penstock.observability"):
        await desk.recorder.stop()
    assert "lost at shutdown" in caplog.text


async def test_one_call_that_cannot_be_written_down_does_not_hold_up_the_others(records: Records, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(records)
    broken = ended()
    broken.labels = {"a": object()}  # type: ignore[dict-item]
    desk.take(ended(), broken, ended())
    await desk.recorder.flush()
    assert dict(desk.recorder.drops) == {"unwritable": 1}
    assert await desk.count(calls) == [2]
    assert broken.id in str([record.__dict__ for record in caplog.records])


async def test_drops_are_said_in_the_log_once_a_minute(records: Records, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(records, queue_calls=1)
    desk.take(ended(), ended(), ended())
    await desk.recorder.start()
    with caplog.at_level(logging.WARNING, "penstock.observability"):
        await desk.until(lambda: "records were dropped" in caplog.text)
    await desk.until(lambda: desk.recorder.stored == 1)
    await desk.recorder.stop()
    said = [r for r in caplog.records if r.message == "records were dropped"]
    assert [r.__dict__["reason"] for r in said] == ["2 queue_full"]


@pytest.mark.parametrize("mode", ["redacted", "full", "none"])
async def test_what_reaches_the_disk_holds_no_secret(records: Records, mode: str) -> None:
    desk = Desk(records, payloads=mode, redact_emails=True)
    call = ended(ask=f"my key is {SECRET}, mail ada@example.org", told=f"do not share {SECRET}", labels={"a": SECRET})
    failed = ended(error=UpstreamRefused(f"key {SECRET} is wrong", status=502, upstream_status=400))
    desk.take(call, failed)
    await desk.recorder.flush()
    payload = await desk.questions.payload(OPERATOR, call.id)
    if mode == "none":
        assert (payload.request, await desk.count(call_payloads)) == (None, [0])
    else:
        assert (SECRET in (payload.request or ""), "ada@example.org" in (payload.request or "")) == (mode == "full", mode == "full")
        assert payload.redacted == (3 if mode == "redacted" else 0)
    # Besides the payload that was asked for as it came, nothing anywhere holds it.
    rows = await records.read(lambda c: [tuple(r) for t in (calls, call_summaries) for r in c.execute(select(t))])
    packs = await records.read(lambda c: b"".join(c.execute(select(call_payloads.c.data)).scalars()))
    assert "sk-proj" not in str(rows)
    assert "psk_never_kept" not in str(rows)
    assert (b"sk-proj" in packs) == (mode == "full")


async def test_what_is_older_than_the_settings_say_is_deleted(records: Records) -> None:
    desk = Desk(records, call_retention_days=2, payload_retention_days=1, summary_retention_days=4)
    now, day = time.time(), 86_400
    for age in (0, 1.5, 3, 5):
        desk.take(ended(at=now - age * day, ask="hello"))
    await desk.recorder.flush()
    # Payloads are as old as their storing; these were stored just now, so one is made older.
    with records.begin() as connection:
        (id,) = connection.execute(select(call_payloads.c.id)).scalars()
        connection.execute(call_payloads.update().values(id=id - (int(1.2 * day * 1000) << 20)))
    assert await desk.count(calls, call_payloads, call_summaries) == [4, 1, 4]
    await desk.recorder.start()  # which cleans up first

    async def cleaned() -> bool:
        return await desk.count(calls, call_payloads, call_summaries) == [2, 0, 3]

    async with asyncio.timeout(10):
        while not await cleaned():
            await asyncio.sleep(0.01)
    left = await desk.questions.calls(OPERATOR, CallFilter(), None, 10)
    assert [round((now * 1000 - c.started_at) / 1000 / day, 1) for c in left.data] == [0, 1.5]
    assert (await desk.questions.payload(OPERATOR, left.data[0].id)).request is None
    await desk.recorder.stop()


async def test_payloads_never_outlive_their_calls(records: Records) -> None:
    desk = Desk(records, call_retention_days=1, payload_retention_days=30)
    desk.take(ended(at=time.time(), ask="hello"))
    await desk.recorder.flush()
    with records.begin() as connection:
        (id,) = connection.execute(select(call_payloads.c.id)).scalars()
        connection.execute(call_payloads.update().values(id=id - (2 * 86_400_000 << 20)))
    await desk.recorder.start()
    async with asyncio.timeout(10):
        while await desk.count(call_payloads) != [0]:
            await asyncio.sleep(0.01)
    await desk.recorder.stop()


async def test_an_error_on_the_record_lets_go_of_the_call(records: Records) -> None:
    # Else each failed call would wait for the garbage collector with all that it holds.
    desk = Desk(records)
    with pytest.raises(PenstockError) as caught:
        raise PenstockError("it broke")
    call = ended(error=caught.value)
    assert call.error is not None
    assert call.error.__traceback__ is not None
    desk.take(call)
    await desk.recorder.flush()
    assert call.error.__traceback__ is None

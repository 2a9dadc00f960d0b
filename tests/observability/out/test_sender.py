from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.observability.out.test_destination import one
from tests.observability.out.test_words import a_span

from penstock.observability.out import sender as module
from penstock.observability.out.encode import encoder
from penstock.observability.out.sender import Sender
from penstock.observability.out.transport import Answer
from penstock.storage.telemetry.span import Payload, Span

TAKEN = Answer(outcome="taken")
LATER = Answer(outcome="later", status="503", after=0.0)


class Link:
    """A receiver of scripted answers; what follows them is taken. ``hold`` keeps it from answering."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.got: list[list[str]] = []
        self.hold: asyncio.Event | None = None
        self.closed = False
        self._more = asyncio.Condition()

    async def send(self, export: bytes) -> Answer:
        spans = [
            span.name
            for resource in ExportTraceServiceRequest.FromString(export).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        async with self._more:
            self.got.append(spans)
            self._more.notify_all()
        if self.hold is not None:
            await self.hold.wait()
        return self.answers.pop(0) if self.answers else TAKEN

    async def until(self, exports: int) -> None:
        async with self._more:
            await self._more.wait_for(lambda: len(self.got) >= exports)

    async def close(self) -> None:
        self.closed = True


def some(*names: str, **fields: Any) -> list[Span]:
    return [a_span(name=name, **fields) for name in names]


@asynccontextmanager
async def sending(link: Link, **terms: Any) -> AsyncGenerator[Sender]:
    destination = one(**terms)
    sender = Sender(destination, encoder(destination.terms), link)
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        sender.finish()
        await task
        await sender.flush()
        assert link.closed


def dropped(sender: Sender) -> dict[str, int]:
    return {reason: count for reason, count in sender.dropped.items() if count}


async def test_batches_hold_as_many_and_as_much_as_may_be() -> None:
    link = Link()
    async with sending(link, batch=2, batch_bytes=20_000) as sender:
        big = Payload(input="x" * 19_500)
        sender.offer([*some("a", "b", "c"), *some("d", payload=big), *some("e", payload=big)])
        await link.until(4)
    assert link.got == [["a", "b"], ["c"], ["d"], ["e"]]
    assert (sender.sent, dropped(sender), sender.up) == (5, {}, True)


async def test_what_does_not_fit_is_counted() -> None:
    link = Link()
    link.hold = asyncio.Event()
    async with sending(link, queue=2, queue_bytes=65_536) as sender:
        sender.offer(some("a"))
        await link.until(1)
        sender.offer(some("b", "c", "d"))
        assert (sender.waiting, dropped(sender)) == (2, {"queue_full": 1})
        link.hold.set()
        await link.until(2)
    assert link.got == [["a"], ["b", "c"]]
    async with sending(link, queue_bytes=65_536) as sender:
        sender.offer(some("a", "b", payload=Payload(input="x" * 60_000)))
        assert dropped(sender) == {"queue_full": 1}


async def test_what_is_not_taken_for_now_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.01)
    link = Link(LATER, LATER)
    async with sending(link) as sender:
        sender.offer(some("a"))
        await link.until(3)
    assert link.got == [["a"]] * 3
    assert (sender.sent, sender.retries, sender.up, dropped(sender)) == (1, 2, True, {})


async def test_after_a_while_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.001)
    link = Link(LATER, LATER)
    async with sending(link, retry_seconds=0) as sender:
        link.answers = [Answer(outcome="later", after=0.001)]
        sender.offer(some("a"))
        await link.until(1)
        sender.offer(some("b"))
        await link.until(2)
    assert (sender.sent, dropped(sender)) == (1, {"gave_up": 1})


async def test_what_is_refused_is_dropped_and_the_next_one_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.01)
    link = Link(Answer(outcome="refused", status="401", told="who are you"), Answer(outcome="too_large", status="413"))
    async with sending(link, batch=1) as sender:
        sender.offer(some("a", "b", "c"))
        await link.until(3)
    assert (sender.sent, dropped(sender), sender.retries) == (1, {"refused": 1, "too_large": 1}, 0)


async def test_a_batch_that_is_too_large_is_halved() -> None:
    link = Link(Answer(outcome="too_large"), Answer(outcome="too_large"))
    async with sending(link) as sender:
        sender.offer(some("a", "b", "c", "d"))
        await link.until(5)
    assert link.got == [["a", "b", "c", "d"], ["a", "b"], ["a"], ["b"], ["c", "d"]]
    assert (sender.sent, dropped(sender)) == (4, {})


async def test_what_a_receiver_leaves_out_is_counted() -> None:
    link = Link(Answer(outcome="taken", rejected=1, told="too old"))
    async with sending(link) as sender:
        sender.offer(some("a", "b"))
        await link.until(1)
    assert (sender.sent, dropped(sender)) == (1, {"rejected": 1})


async def test_a_receiver_cannot_leave_out_more_than_it_was_sent() -> None:
    link = Link(Answer(outcome="taken", rejected=1 << 40))
    async with sending(link) as sender:
        sender.offer(some("a", "b"))
        await link.until(1)
    assert (sender.sent, dropped(sender)) == (0, {"rejected": 2})


async def test_a_span_that_cannot_be_written_stops_nothing() -> None:
    link = Link()
    async with sending(link, batch=1) as sender:
        sender.offer([*some("bad", attributes="{"), *some("good")])
        await link.until(1)
    assert (link.got, dropped(sender)) == ([["good"]], {"unencodable": 1})


async def test_a_span_that_cannot_be_written_goes_alone() -> None:
    link = Link()
    async with sending(link) as sender:
        sender.offer([*some("one"), *some("bad", attributes="{"), *some("two", "three")])
        await link.until(2)
    assert sorted(name for names in link.got for name in names) == ["one", "three", "two"]
    assert dropped(sender) == {"unencodable": 1}


async def test_a_library_that_raises_does_not_end_the_line(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.0)
    link = Link()
    send, failing = link.send, True

    async def raising(export: bytes) -> Answer:
        nonlocal failing
        if failing:
            failing = False
            raise ValueError("metadata was invalid: [('authorization', 'Bearer secret')]")
        return await send(export)

    monkeypatch.setattr(link, "send", raising)
    async with sending(link, batch=1) as sender:
        sender.offer(some("one", "two"))
        await link.until(1)
    assert (link.got, dropped(sender)) == ([["two"]], {"refused": 1})
    assert "ValueError" in str([vars(record) for record in caplog.records])
    assert "secret" not in str([vars(record) for record in caplog.records])


async def test_the_pause_grows_and_a_receiver_may_say_how_long() -> None:
    sender = Sender(one(), encoder(one().terms), Link())
    pauses = []
    for failures in (1, 2, 3, 4, 40):
        sender._failures = failures
        pauses.append(sender._pause(Answer(outcome="later")))
    assert all(0.75 * most <= pause <= most for pause, most in zip(pauses, (1, 2, 4, 8, 60), strict=True))
    assert sender._pause(Answer(outcome="later", after=7.5)) == 7.5
    assert sender._pause(Answer(outcome="later", after=1e9)) == module.LONGEST_AFTER
    assert sender._pause(Answer(outcome="later", after=0.0)) >= 45, "one that says 'at once' each time is not asked without end"


async def test_at_the_end_each_batch_is_tried_once() -> None:
    link = Link()
    destination = one(batch=1)
    sender = Sender(destination, encoder(destination.terms), link)
    sender.offer(some("a", "b", "c"))
    link.answers = [TAKEN, Answer(outcome="later")]
    sender.finish()
    await sender.flush()
    assert (sender.sent, dropped(sender)) == (2, {"stopped": 1})


async def test_a_receiver_that_hangs_does_not_keep_us_from_ending() -> None:
    link = Link()
    link.hold = asyncio.Event()
    destination = one(batch=1, timeout_seconds=0.05)
    sender = Sender(destination, encoder(destination.terms), link)
    sender.offer(some("a", "b", "c"))
    sender.finish()
    await sender.flush()
    assert (sender.sent, dropped(sender)) == (0, {"stopped": 3})

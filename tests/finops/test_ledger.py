from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.finops.budgets import Budget, Budgets
from penstock.finops.ledger import Charge, Reserve, Tills
from penstock.finops.pricing import PriceBook
from penstock.finops.rows import LedgerRow, decode
from penstock.finops.settings import FinopsSettings, PriceSettings
from penstock.kernel.call import Attempt, Call, Reply, Target, Trace, Usage
from penstock.kernel.errors import BudgetExceeded, UpstreamReset, UpstreamUnreachable
from penstock.kernel.events import Events
from penstock.kernel.stage import Proceed
from penstock.storage.spool import Spool

USAGE = Usage(input=100, output=50)
COST = 100 * 2 + 50 * 4
"""At 2 and 4 dollars per million tokens, in micro-dollars."""


class Till:
    """The two stages over a real spool, with a sender that the test writes."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder)
        self.budgets = Budgets(Events())
        book = PriceBook(FinopsSettings(prices={"p/m": PriceSettings(input=2.0, output=4.0)}), None)
        self.book, self.tills = book, (tills := Tills())
        self.charge = Charge(self.budgets, book, tills)
        self.charge.open(self.spool)
        self.reserve = Reserve(self.budgets, book, tills, 1000)

    async def walk(self, call: Call, send: Proceed) -> Reply:
        async def reserve(inner: Call) -> Reply:
            return await self.reserve(inner, send)

        return await self.charge(call, reserve)

    def rows(self) -> list[LedgerRow]:
        batch = self.spool.pending()
        return [decode(entry) for entry in batch.entries] if batch is not None else []

    @property
    def held(self) -> int:
        return self.spool._held


@pytest.fixture
def till(tmp_path: Path) -> Till:
    return Till(tmp_path)


def a_call() -> Call:
    call = Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin())
    call.model = "m"
    call.targets = [Target("p", "m", "m")]
    call.input_estimate = 100
    return call


def served(call: Call) -> None:
    call.target = call.targets[0]
    call.attempts.append(Attempt(provider="p", model="m", started_ms=0.0, status=200))


async def whole(call: Call) -> Reply:
    served(call)
    call.usage = USAGE
    return Reply(body=b"{}")


def streamed(reply: Reply, call: Call, *, complete: bool = True, fails: bool = False) -> AsyncIterator[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            if fails:
                raise UpstreamReset("cut")
            if complete:
                call.usage = USAGE
                reply.finished = True
            yield b"last"
        finally:
            call.usage = call.usage or Usage(input=100, output=1, estimated=True)

    return chunks()


async def test_a_whole_reply_is_journalled_before_it_is_handed_back(till: Till) -> None:
    call = a_call()
    await till.walk(call, whole)
    (row,) = till.rows()
    assert (row.id, row.amount, row.status, row.usage) == (call.id, COST, "ok", USAGE)
    assert call.cost is not None
    assert call.cost.amount == COST
    assert till.held == 0


async def test_a_stream_is_journalled_before_the_bytes_that_end_it(till: Till) -> None:
    call, reply = a_call(), Reply(chunks=None)

    async def send(inner: Call) -> Reply:
        served(inner)
        reply.chunks = streamed(reply, inner)
        return reply

    walked = await till.walk(call, send)
    assert walked.chunks is not None
    assert await anext(walked.chunks) == b"one"
    assert till.rows() == []
    assert await anext(walked.chunks) == b"last"
    assert [r.status for r in till.rows()] == ["ok"]
    with pytest.raises(StopAsyncIteration):
        await anext(walked.chunks)
    assert len(till.rows()) == 1


@pytest.mark.parametrize("read", [0, 1])
async def test_a_stream_that_its_reader_leaves_costs_what_was_used(till: Till, read: int) -> None:
    call, reply = a_call(), Reply(chunks=None)

    async def send(inner: Call) -> Reply:
        served(inner)
        reply.chunks = streamed(reply, inner, complete=False)
        return reply

    walked = await till.walk(call, send)
    assert walked.chunks is not None
    for _ in range(read):
        await anext(walked.chunks)
    await walked.chunks.aclose()  # type: ignore[attr-defined]
    await walked.chunks.aclose()  # type: ignore[attr-defined]
    (row,) = till.rows()
    assert row.status == "cancelled"
    assert till.held == 0


async def test_a_stream_that_breaks_is_journalled_as_failed(till: Till) -> None:
    call, reply = a_call(), Reply(chunks=None)

    async def send(inner: Call) -> Reply:
        served(inner)
        reply.chunks = streamed(reply, inner, fails=True)
        return reply

    walked = await till.walk(call, send)
    assert walked.chunks is not None
    await anext(walked.chunks)
    with pytest.raises(UpstreamReset):
        await anext(walked.chunks)
    (row,) = till.rows()
    assert (row.status, row.usage.estimated) == ("failed", True)


async def test_a_call_that_reached_nobody_leaves_no_row(till: Till) -> None:
    async def send(inner: Call) -> Reply:
        inner.attempts.append(Attempt(provider="p", model="m", started_ms=0.0, error="upstream_unreachable"))
        raise UpstreamUnreachable("nobody there")

    with pytest.raises(UpstreamUnreachable):
        await till.walk(a_call(), send)
    assert till.rows() == []
    assert till.held == 0


async def test_a_cancelled_call_gives_back_what_it_held(till: Till) -> None:
    async def send(inner: Call) -> Reply:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await till.walk(a_call(), send)
    assert till.held == 0


async def test_a_budget_that_the_call_could_exceed_refuses_it_before_it_is_sent(till: Till) -> None:
    budget = Budget(
        id="b", name="small", subject_kind="everything", subject="", period="total", limit=COST + 100, hard=True, created_at=0.0
    )
    till.budgets.put(budget, 0)
    call = a_call()
    call.max_output = 50
    await till.walk(call, whole)
    standing = till.budgets.standing("b")
    assert standing is not None
    assert (standing.spent, standing.reserved) == (COST, 0)
    again = a_call()
    again.max_output = 50
    with pytest.raises(BudgetExceeded, match="'small'"):
        await till.walk(again, whole)
    assert len(till.rows()) == 1
    assert till.held == 0

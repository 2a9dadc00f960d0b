from __future__ import annotations

from pathlib import Path

import pytest
from tests.finops.test_ledger import Till, a_call, served

from penstock.finops.budgets import Budget
from penstock.finops.parts import Parts
from penstock.kernel.call import Call, Cost, Reply, Usage
from penstock.kernel.errors import BudgetExceeded

PART = Usage(input=100, output=50, audio_output=10)
COST = 100 * 2 + 50 * 4


class Session:
    """A call that is charged in parts, with a budget of 2000 micro-dollars."""

    def __init__(self, till: Till) -> None:
        self.till = till
        self.call = a_call()
        self.meter = Parts(till.charge, till.reserve, till.budgets, till.book, till.tills, lambda: 5.0)
        budget = Budget(id="b", name="little", subject_kind="everything", subject="", period="total", limit=2000, hard=True, created_at=0.0)
        till.budgets.put(budget, 0)

    @property
    def reserved(self) -> int:
        standing = self.till.budgets.standing("b")
        assert standing is not None
        return standing.reserved

    @property
    def spent(self) -> int:
        standing = self.till.budgets.standing("b")
        assert standing is not None
        return standing.spent


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(Till(tmp_path))


async def test_each_part_is_a_row_and_the_call_their_sum(session: Session) -> None:
    call, meter, till = session.call, session.meter, session.till

    async def send(inner: Call) -> Reply:
        served(inner)
        meter.begin(inner)
        assert (session.reserved, till.held) == (0, 1)
        inner.expected = Usage(input=100, output=100)
        for number in (1, 2):
            meter.hold(inner)
            assert (session.reserved, till.held) == (600, 2)
            await meter.charge(inner, PART, model="m")
            assert len(till.rows()) == number
        await meter.charge(inner, PART, model="unpriced", held=False)
        meter.end(inner)
        return Reply(body=b"")

    call.expected = Usage(input=100, output=100)
    await till.walk(call, send)
    rows = till.rows()
    assert [(row.id, row.at, row.amount, row.provider_model) for row in rows] == [
        (f"{call.id}.1", 5000, COST, "m"),
        (f"{call.id}.2", 5000, COST, "m"),
        (f"{call.id}.3", 5000, 0, "unpriced"),
    ]
    assert call.usage == Usage(input=300, output=150, audio_output=30)
    assert call.cost == Cost(amount=2 * COST, priced=False)
    assert (session.spent, session.reserved, till.held) == (2 * COST, 0, 0)


async def test_a_session_without_responses_has_the_row_of_a_call(session: Session) -> None:
    session.call.expected = Usage(input=1)

    async def send(inner: Call) -> Reply:
        served(inner)
        session.meter.begin(inner)
        session.meter.hold(inner)
        session.meter.end(inner)
        session.meter.end(inner)
        return Reply(body=b"")

    await session.till.walk(session.call, send)
    (row,) = session.till.rows()
    assert (row.id, row.amount, row.usage) == (session.call.id, 0, Usage())
    assert (session.reserved, session.till.held) == (0, 0)


async def test_what_the_budget_does_not_allow_holds_nothing(session: Session) -> None:
    async def send(inner: Call) -> Reply:
        served(inner)
        session.meter.begin(inner)
        inner.expected = Usage(input=100, output=400)
        session.meter.hold(inner)
        with pytest.raises(BudgetExceeded):
            session.meter.hold(inner)
        assert (session.reserved, session.till.held) == (1800, 2)
        session.meter.drop(inner)
        assert (session.reserved, session.till.held) == (0, 1)
        session.meter.drop(inner)
        session.meter.end(inner)
        return Reply(body=b"")

    session.call.expected = Usage(input=1)
    await session.till.walk(session.call, send)

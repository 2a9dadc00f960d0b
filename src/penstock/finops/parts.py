"""Charging a session: each response is set aside before it begins and journalled as a ledger row of its own when it is done.

The rows of a session carry the call's id, a dot and the number of the part, so that they stand beside each other and none is written twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from penstock.finops.budgets import Budgets, Reservation
from penstock.finops.ledger import Charge, Reserve, Tills, owners_of, sum_of
from penstock.finops.pricing import PriceBook
from penstock.finops.rows import encode, row_of
from penstock.kernel.call import Call, Cost, Usage
from penstock.kernel.errors import BudgetExceeded


class Parts:
    """`Meter`. Uses the spool of `Charge`, and sets aside what `Reserve` would."""

    def __init__(
        self, charge: Charge, reserve: Reserve, budgets: Budgets, book: PriceBook, tills: Tills, clock: Callable[[], float] = time.time
    ) -> None:
        self._charge = charge
        self._reserve = reserve
        self._budgets = budgets
        self._book = book
        self._reservations = tills.reservations
        self._clock = clock
        self._held: dict[str, list[Reservation | None]] = {}

    def begin(self, call: Call) -> None:
        """See `Meter.begin`."""
        self._budgets.settle(self._reservations.pop(call.id, None), owners_of(call), 0)
        call.usage = Usage()
        self._held[call.id] = []

    def hold(self, call: Call) -> None:
        """See `Meter.hold`."""
        owners = owners_of(call)
        self._budgets.check(owners)
        spool = self._charge.spool
        spool.hold()
        try:
            reservation = self._budgets.reserve(owners, self._reserve.most(call))
        except BudgetExceeded:
            # A session cannot wait; where others may have left something, its next response finds it.
            self._reserve.more()
            spool.release()
            raise
        except BaseException:
            spool.release()
            raise
        self._held[call.id].append(reservation)

    async def charge(self, call: Call, usage: Usage, *, model: str, held: bool = True) -> None:
        """See `Meter.charge`."""
        spool, waiting = self._charge.spool, self._held[call.id]
        reservation: Reservation | None = None
        if held and waiting:
            reservation = waiting.pop()
        else:
            spool.hold()
        target, now = call.target, self._clock()
        assert target is not None
        total, prices = self._book.cost(target.provider, model, usage)
        row = msgspec.structs.replace(
            row_of(call, usage, prices, total, "ok"),
            id=f"{call.id}.{call.parts + 1}",
            at=int(now * 1000),
            provider_model=model[:200] or None,
        )
        try:
            spool.append(encode(row))
        except BaseException:
            spool.release()
            raise
        finally:
            # Spent is spent, whether or not it could be written down.
            call.parts += 1
            self._budgets.settle(reservation, owners_of(call), total, id=row.id, started=now)
            call.usage = sum_of(call.usage or Usage(), usage)
            before = call.cost or Cost(amount=0)
            call.cost = Cost(amount=before.amount + total, priced=before.priced and prices is not None)
        self._charge.rows += 1
        self._charge.unpriced += prices is None
        await self._charge.commit()

    def drop(self, call: Call) -> None:
        """See `Meter.drop`."""
        waiting = self._held.get(call.id)
        if waiting:
            self._charge.spool.release()
            self._budgets.settle(waiting.pop(), owners_of(call), 0)

    def end(self, call: Call) -> None:
        """See `Meter.end`."""
        while self._held.get(call.id):
            self.drop(call)
        self._held.pop(call.id, None)

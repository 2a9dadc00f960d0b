"""Charging a call: reserve before the spend, settle after it, journal the row before the client can know that the reply is complete."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from penstock.finops.budgets import Budgets, Owners, Reservation
from penstock.finops.money import UnitPrices, amount, times
from penstock.finops.pricing import PriceBook
from penstock.finops.rows import encode, row_of
from penstock.kernel.call import Attempt, Call, Cost, Installment, Reply, Usage
from penstock.kernel.delegation import Handed
from penstock.kernel.errors import BudgetExceeded, CallCancelled, Forbidden, StorageError, Unavailable
from penstock.kernel.principal import Principal
from penstock.kernel.stage import Proceed, Slot
from penstock.storage.spool import Spool

_log = logging.getLogger("penstock.finops")
_NOTHING = Usage()


class Tills:
    """What calls in flight have reserved, by call id: the thread between `Reserve` and `Charge`."""

    def __init__(self) -> None:
        self.reservations: dict[str, Reservation] = {}


class Charge:
    """Refuses when a budget is spent or no row can be journalled; on the way back writes one ledger row per call that reached a provider.

    A whole reply is settled before it is handed back. A stream is settled as soon as it is known to be complete, before the bytes that
    say so leave; when it is cut short, with what is known by then.
    """

    name = "charge"
    slot = Slot.CHARGE

    def __init__(self, budgets: Budgets, book: PriceBook, tills: Tills) -> None:
        self._held: Spool | None = None
        self._budgets = budgets
        self._book = book
        self._reservations = tills.reservations
        self.unpriced = 0
        self.rows = 0

    def open(self, spool: Spool) -> None:
        """Give the stage the spool it writes to; before the first call."""
        self._held = spool

    @property
    def spool(self) -> Spool:
        """Where rows are journalled. Raises `Unavailable` before `open`."""
        if self._held is None:
            raise Unavailable("the ledger is not open yet", retry_after=1)
        return self._held

    async def commit(self) -> None:
        """Wait until what was journalled is as safe as the settings ask."""
        await self.spool.commit()

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        spool = self.spool
        if call.handover is None or call.handover.returned is None:  # what a vendor's batch has done is spent already
            self._budgets.check(owners_of(call))
        spool.hold()  # raises StorageFull: nothing may be spent that could not be written down
        try:
            reply = await proceed(call)
        except BaseException as fault:  # cancellation too: what was spent is spent
            self.settle(call, "cancelled" if _left(fault) else "failed")
            raise
        if reply.chunks is not None:
            reply.chunks = ChargedStream(self, call, reply, reply.chunks)
            return reply
        self.settle(call, "ok")
        if spool.durability == "disk":
            await spool.commit()
        return reply

    def settle(self, call: Call, status: str) -> None:
        """Write the call's row and put what it cost in the place of what was reserved. Called once per call."""
        if call.handover is not None and call.handover.handed is not None and call.handover.returned is None:
            self.spool.release()
            return  # what was reserved waits for the vendor's reply
        reservation = self._reservations.pop(call.id, None)
        if call.recalled is not None:
            # No provider was asked, so nothing was spent; what that saved is an estimate, and none of the ledger's business.
            call.cost = Cost(amount=0)
        if call.recalled is not None or call.parts:  # of a call in parts, all that it used is on the ledger already
            self.spool.release()
            self._budgets.settle(reservation, owners_of(call), 0)
            return
        reached = call.target is not None or any(
            a.skipped is None and (a.status is not None or a.error != "upstream_unreachable") for a in _attempts(call)
        )
        if not reached and status != "ok":
            self.spool.release()
            self._budgets.settle(reservation, owners_of(call), 0)
            _add_up(call)
            return
        usage = call.usage or _unfinished(call)
        prices, total = self._price(call, usage)
        call.cost = Cost(amount=total, priced=prices is not None)
        if call.handover is not None and call.handover.returned is not None and prices is not None:
            prices, total = self._of_batch(call, usage, prices, total)
        if prices is None:
            self.unpriced += 1
        try:
            self.spool.append(encode(row_of(call, usage, prices, total, status)))
            self.rows += 1
        except StorageError:
            self.spool.release()
            _log.exception("a ledger row could not be journalled", extra={"call": call.id, "amount": total})
            raise
        finally:
            self._budgets.settle(reservation, owners_of(call), total, id=call.id, started=call.started_at)
            _add_up(call)

    async def close(self, call: Call) -> None:
        """See `Installments.close`."""
        usage, target = call.usage or _unfinished(call), call.target
        assert target is not None, "nobody has answered yet, so nothing is to be paid"
        prices, total = self._price(call, usage)
        row = msgspec.structs.replace(row_of(call, usage, prices, total, "ok"), id=f"{call.id}.{len(call.installments) + 1}")
        self.spool.hold()  # for the row that is still to come
        try:
            self.spool.append(encode(row))
        except BaseException:
            self.spool.release()
            raise
        self.rows += 1
        self.unpriced += prices is None
        # What was reserved for all of it stays; so the part that is paid counts twice until the call ends.
        self._budgets.settle(None, owners_of(call), total, id=row.id, started=call.started_at)
        paid = Installment(target=target, usage=usage, cost=Cost(amount=total, priced=prices is not None), attempts=len(call.attempts))
        call.installments += (paid,)
        call.usage = call.cost = call.target = None
        await self.commit()

    def _of_batch(self, call: Call, usage: Usage, prices: UnitPrices, full: int) -> tuple[UnitPrices, int]:
        """What a vendor's batch charges instead of the price in real time; the row says so."""
        target = call.target or call.targets[0]
        factor = self._book.batch_factor(target.provider, target.model)
        prices = times(prices, factor)
        total = amount(prices, usage)
        call.cost = Cost(amount=total, full=full)
        call.labels = {**call.labels, "price": "batch", "price_factor": f"{factor:g}"}
        return prices, total

    def _price(self, call: Call, usage: Usage) -> tuple[UnitPrices | None, int]:
        if call.operation == "count_tokens":
            return UnitPrices(), 0
        target = call.target
        if target is not None:
            if call.operation == "moderations" and self._book.gives_away(target.provider, target.model, call.operation):
                return UnitPrices(), 0
            total, prices = self._book.cost(target.provider, target.model, usage)
            return prices, total
        if usage is _NOTHING:
            # Refused everywhere: nobody did the work, and what a provider may bill for saying no is not known.
            return None, 0
        last = call.last_attempt()
        assert last is not None
        total, prices = self._book.cost(last.provider, last.model, usage)
        return prices, total


class ChargedStream:
    """A streamed reply that is settled exactly once: when it is known to be complete, else when it fails or is closed, read or not.

    Not a generator: closing one that nobody has begun to read would run none of its code.
    """

    __slots__ = ("_call", "_charge", "_chunks", "_ended", "_reply", "_settled")

    def __init__(self, charge: Charge, call: Call, reply: Reply, chunks: AsyncIterator[bytes]) -> None:
        self._charge = charge
        self._call = call
        self._reply = reply
        self._chunks = chunks
        self._settled = False
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            await self._end("ok")
            raise
        except BaseException as fault:  # cancellation too: what was spent is spent
            await self._end("cancelled" if _left(fault) else "failed")
            raise
        if not self._settled and self._reply.finished:
            self._settled = True
            self._charge.settle(self._call, "ok")
            await self._charge.commit()
        return chunk

    async def aclose(self) -> None:
        """The reader is done, or has left; a second time does nothing."""
        await self._end("cancelled")

    async def _end(self, status: str) -> None:
        if self._ended:
            return
        self._ended = True
        close = getattr(self._chunks, "aclose", None)
        try:
            if close is not None:
                await close()  # the sender leaves on the call what it knows of the usage
        finally:
            if not self._settled:
                self._settled = True
                self._charge.settle(self._call, status)


class Reserve:
    """Sets aside the most that the call can cost at the dearest of its targets, or at all that it may ask in turn; or refuses."""

    name = "reserve"
    slot = Slot.RESERVE

    def __init__(self, budgets: Budgets, book: PriceBook, tills: Tills, assumed_output: int, *, refuse_unpriced: bool = False) -> None:
        self._budgets = budgets
        self._book = book
        self._reservations = tills.reservations
        self._assumed = assumed_output
        self._refuse_unpriced = refuse_unpriced
        self.more: Callable[[], Awaitable[None] | None] = lambda: None
        """What to await before a call that was refused asks once more; see `penstock.finops.service.Money.more`."""

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        if call.asks_all and call.id in self._reservations:
            return await proceed(call)  # set aside when the first of them was asked
        owners, most = owners_of(call), self.most(call)
        if call.handover is not None:
            call.handover.most = most
        try:
            reservation = self._budgets.reserve(owners, most)
        except BudgetExceeded:
            # Only the share of this process may be spent: then there may be more where others do not need it.
            more = self.more()
            if more is None:
                raise
            await more
            reservation = self._budgets.reserve(owners, most)
        if reservation is not None:
            self._reservations[call.id] = reservation
        return await proceed(call)

    def again(self, principal: Principal, handed: Handed) -> None:
        """See `Holding.again`."""
        if handed.call in self._reservations:
            return
        reservation = self._budgets.reserve(owners_by(principal, handed.task, handed.name), handed.most, anyway=True)
        if reservation is not None:
            self._reservations[handed.call] = reservation

    def drop(self, call: str) -> None:
        """See `Holding.drop`."""
        reservation = self._reservations.pop(call, None)
        if reservation is not None:
            self._budgets.settle(reservation, Owners(None, None, None, None, None, None, ""), 0)

    def most(self, call: Call) -> int:
        """The most that the call, or the next part of it, can cost. Raises `Forbidden` where nothing may be spent without a price."""
        if call.operation == "count_tokens":
            return 0
        usage = call.expected
        if usage is None:
            output = 0 if call.operation == "embeddings" else (call.max_output if call.max_output is not None else self._assumed)
            usage = Usage(input=call.input_estimate, output=output)
        most = total = 0
        for target in call.targets:
            quote = self._book.quote(target.provider, target.model)
            prices = quote.prices(usage.input)
            if prices is not None and quote.covers(usage):
                one = amount(prices, usage)
                most, total = max(most, one), total + one
            elif call.operation == "moderations" and self._book.gives_away(target.provider, target.model, call.operation):
                continue
            elif self._refuse_unpriced:
                raise Forbidden(
                    f"{target.provider}/{target.model} has no known price, and finops.unpriced is 'refuse'; "
                    f'the operator can set [finops.prices."{target.provider}/{target.model}"]',
                    code="model_not_priced",
                    param="model",
                )
        return total if call.asks_all else most

    def left(self, call: Call) -> int | None:
        """See `Purse.left`."""
        return self._budgets.left(owners_of(call))


def owners_of(call: Call) -> Owners:
    """Whom the call's money counts for."""
    return owners_by(call.principal, call.task, call.model)


def owners_by(who: Principal | None, task: str | None, model: str) -> Owners:
    """Whom money counts for that ``who`` spends."""
    if who is None:
        return Owners(None, None, None, None, None, task, model)
    return Owners(who.organisation, who.team, who.project, who.person, who.key_id, task, model)


_MAY_HAVE_RUN = frozenset({"call_cancelled", "deadline_exceeded", "upstream_error", "upstream_malformed", "upstream_reset"})
"""How an attempt ends after which the provider may have done the work, and may bill it."""


def _unfinished(call: Call) -> Usage:
    """What a call that ended without usage has used: the input of its last attempt where that may have run, else nothing."""
    last = next((a for a in reversed(_attempts(call)) if a.skipped is None), None)
    if last is None or last.error not in _MAY_HAVE_RUN:
        return _NOTHING
    if call.expected is not None:
        return msgspec.structs.replace(call.expected, estimated=True)
    return Usage(input=call.input_estimate, estimated=True)


def _attempts(call: Call) -> list[Attempt]:
    """The attempts that no row of the ledger is about yet."""
    return call.attempts[call.installments[-1].attempts :] if call.installments else call.attempts


def _add_up(call: Call) -> None:
    """Let usage and cost of a call whose models were paid one by one be those of all."""
    for paid in call.installments:
        call.usage = sum_of(call.usage or Usage(), paid.usage)
        last = call.cost or Cost(amount=0)
        call.cost = Cost(amount=last.amount + paid.cost.amount, priced=last.priced and paid.cost.priced)


def sum_of(one: Usage, other: Usage) -> Usage:
    """What both have used together."""
    counts = {f: getattr(one, f) + getattr(other, f) for f in Usage.__struct_fields__ if f != "estimated"}
    return Usage(**counts, estimated=one.estimated or other.estimated)


def _left(fault: BaseException) -> bool:
    return not isinstance(fault, Exception) or isinstance(fault, CallCancelled)

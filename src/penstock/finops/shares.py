"""Budgets of several processes on one database: each holds a share of what is left, so that together they never spend more than that.

In the table stands, for each process, the most that it may come to beyond what the ledger holds: money that its calls in flight have
reserved, rows that are journalled and not yet in the table, and room for calls to come. Whoever wants more takes it, in one serialisable
transaction, from what the ledger and the other shares leave of the limit. A share is lowered in memory first and then in the table, and
raised in the table first and then in memory; so at every moment the ledger and all shares together are within the limit.

While there is plenty a process holds up to half of its even part of what is left, for as long as it spends; the nearer the end the smaller
the shares. One that needs more asks at once, and its call waits for the answer, some milliseconds; only what the database refuses is
refused. A share ends `LEASE` seconds after its process was last heard of, or when its journal was taken over.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from sqlalchemy import Connection

from penstock.finops import store
from penstock.finops.budgets import Budget, Budgets, Mark, Plea
from penstock.storage.records import Records

LEASE = 60.0
"""Seconds for which a share stands after it was last renewed."""

TRUST = 40.0
"""Seconds after which a process that could not renew its shares spends nothing more of them: well before others may."""


DRY_SECONDS = 0.25
"""For so long a budget of which too little was left is not asked for again."""


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger comes to without the calls that were left out, the share that this process has now, and how many processes have
    one; ``dry`` says that less was left than was asked for."""

    counted: int
    share: int
    processes: int
    dry: bool


class Shares:
    """The shares of one process, by the name of its spool, under which the table knows it."""

    def __init__(
        self, records: Records, budgets: Budgets, flush: Callable[[], Awaitable[None]], process: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._records = records
        self._budgets = budgets
        self._flush = flush
        self._process = process
        self._clock = clock
        self._rooms: dict[str, int] = {}

    async def renew(self, budget: Budget, mark: Mark) -> bool:
        """Take over what the ledger says at ``mark`` and renew this process's share; False when the budget is none that is shared.

        Raises `StorageError`; then the share that there was goes on, for as long as it is trusted.
        """
        plea = self._budgets.plead(budget.id, mark, self._rooms.get(budget.id, 0))
        if plea is None:
            return False
        asked = self._clock()
        await self._flush()
        granted = await self._records.write(lambda connection: self.grant(connection, budget, plea, tuple(mark.since)))
        self._rooms[budget.id] = max(0, budget.limit - granted.counted) // (2 * granted.processes)
        self._budgets.correct(budget.id, granted.counted, mark)
        dry_until = self._clock() + DRY_SECONDS if granted.dry else 0.0
        self._budgets.share(budget.id, mark, granted.counted, granted.share, trusted=asked + TRUST, dry_until=dry_until)
        return True

    def grant(self, connection: Connection, budget: Budget, plea: Plea, without: Sequence[str]) -> Granted:
        """What `renew` does inside its one writing transaction."""
        now = self._clock()
        counted = store.spent_since(connection, budget, plea.begin, without)
        others, processes = store.shares_of_others(connection, budget.id, self._process, plea.begin, now)
        left = budget.limit - counted
        # Never below what calls of this process may come to already, even when a limit was lowered meanwhile.
        free = max(0, left - others - plea.keep)
        even = max(0, left) // (2 * (processes + 1)) if plea.busy else 0
        wanted = max(plea.reserved + even, plea.reserved + plea.needed, plea.keep)
        share = plea.keep + min(free, wanted - plea.keep)
        if share:
            store.put_share(connection, budget.id, self._process, plea.begin, share, now + LEASE)
        else:
            store.drop_shares(connection, self._process, budget.id)
        dry = plea.needed > 0 and share < plea.reserved + plea.needed
        return Granted(counted=counted, share=share, processes=processes + 1, dry=dry)

    async def drop(self) -> None:
        """Give everything back. Raises `StorageError`; then the shares end by themselves."""
        await self._records.write(lambda connection: store.drop_shares(connection, self._process))

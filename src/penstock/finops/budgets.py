"""Budgets that hold before the money is spent: the most that a call can cost is reserved, then settled against what it did cost.

All in memory and synchronous, so that two calls can never both take the last cent. What was spent in the current period is counted from
the ledger when Penstock starts and kept up to date from then on; a reservation lives as long as its call.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from penstock.finops.money import decimal
from penstock.kernel.errors import BudgetExceeded
from penstock.kernel.events import BudgetSpent, Events

Period = Literal["day", "week", "month", "total"]
SubjectKind = Literal["everything", "organisation", "team", "project", "person", "key", "task", "model"]


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A limit on money. ``subject`` is the id (or name, for tasks and models) that it applies to, empty for everything.

    It counts the spending of one ``organisation`` (an id), or of all when that is empty. ``limit`` is in micro-units per ``period``;
    periods are calendar ones in UTC, weeks begin on Monday. A ``hard`` budget refuses, another only tells: at each of ``alerts``, in per
    cent of the limit, and when the limit is reached. ``created_at`` is Unix seconds.
    """

    id: str
    name: str
    subject_kind: SubjectKind
    subject: str
    period: Period
    limit: int
    hard: bool
    created_at: float
    organisation: str = ""
    alerts: tuple[int, ...] = (80,)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a budget stands now: micro-units spent and reserved in the current period, and when it ends (Unix seconds, None: never)."""

    spent: int
    reserved: int
    resets_at: float | None


class Owners(msgspec.Struct, frozen=True):
    """Whom a call's money counts for; the subjects that budgets can be set on."""

    organisation: str | None
    team: str | None
    project: str | None
    person: str | None
    key: str | None
    task: str | None
    model: str


Subject = tuple[str, str, str]


def subjects(owners: Owners) -> Iterable[Subject]:
    """The (organisation, kind, id) under which budgets for these owners are found; an empty organisation stands for all."""
    for within in ("", owners.organisation) if owners.organisation else ("",):
        yield (within, "everything", "")
        for kind in ("organisation", "team", "project", "person", "key", "task", "model"):
            value: str | None = getattr(owners, kind)
            if value:
                yield (within, kind, value)


def period_of(period: Period, at: float) -> tuple[float, float | None]:
    """Begin and end of the period that holds ``at``, in Unix seconds; (0, None) for ``total``."""
    if period == "total":
        return 0.0, None
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        begin, end = day, day + datetime.timedelta(days=1)
    elif period == "week":
        begin = day - datetime.timedelta(days=day.weekday())
        end = begin + datetime.timedelta(days=7)
    else:
        begin = day.replace(day=1)
        end = (begin + datetime.timedelta(days=32)).replace(day=1)
    return begin.timestamp(), end.timestamp()


class _Account:
    __slots__ = (
        *("begin", "budget", "busy_until", "ceiling", "dry_until", "end", "needed", "next_alert", "reserved", "settled", "spent"),
        "trusted",
    )

    def __init__(self, budget: Budget, begin: float, end: float | None, spent: int) -> None:
        self.budget = budget
        self.begin = begin
        self.end = end
        self.spent = spent
        self.reserved = 0
        self.settled = 0
        """Everything that was ever settled here, by this process."""
        self.ceiling: float = math.inf
        """What may be spent and reserved before more of the budget is asked for; without end where this process is the only one."""
        self.trusted: float = math.inf
        """Until when the ceiling holds."""
        self.needed = 0
        self.busy_until = 0.0
        self.dry_until = 0.0
        self.next_alert = _next_alert(budget, spent)
        """Spending at which to tell next; what had been reached when the account was opened is told already."""


def _levels(budget: Budget) -> list[int]:
    return sorted({*budget.alerts, 100})


def _next_alert(budget: Budget, spent: int) -> float:
    return min((at for level in _levels(budget) if (at := -(-budget.limit * level // 100)) > spent), default=math.inf)


class Mark(msgspec.Struct, frozen=True, eq=False):
    """A moment in an account's life: which period it was in, what this process had settled there by then, and the ids of the calls that
    it has settled since, of whichever account."""

    begin: float
    settled: int
    since: list[str]


class Plea(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says when its share of a budget is renewed, in micro-units beyond what the ledger had at the mark.

    ``keep`` is the most that it may come to whatever the answer is, ``reserved`` what its calls in flight hold, ``needed`` what calls
    wait for beyond that; ``busy`` says that it spends at present, so that it wants room for calls to come.
    """

    begin: float
    keep: int
    reserved: int
    needed: int
    busy: bool


BUSY_SECONDS = 5.0
"""For so long after its last call a process keeps room for more in its share."""
_REMEMBERED = 10_000
"""Owners whose budgets are remembered; names of models and tasks come from callers, so there must be an end."""


class Reservation:
    """What one call holds of its budgets; settled exactly once."""

    __slots__ = ("accounts", "amount", "open")

    def __init__(self, accounts: list[_Account], amount: int) -> None:
        self.accounts = accounts
        self.amount = amount
        self.open = True


class Budgets:
    """All budgets and how they stand. One per process, used from the event loop's thread.

    Where ``shared`` is set there are other processes, and of each hard budget this one spends no more than its share (`plead`, `share`).
    """

    def __init__(self, events: Events, clock: Callable[[], float] = time.time, *, shared: bool = False) -> None:
        self.shared = shared
        self.short: set[str] = set()
        """Ids of budgets whose share was too small for a call that was refused."""
        self._events = events
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._by_subject: dict[Subject, list[_Account]] = {}
        # Lists in here are shared and never changed; a change of the budgets empties the whole.
        self._found: dict[Owners, list[_Account]] = {}
        self._next_turn = math.inf
        self._marks: list[Mark] = []

    def put(self, budget: Budget, spent: int) -> None:
        """Add or replace a budget; ``spent`` is what the ledger says for its current period. Calls in flight keep what they reserved."""
        begin, end = period_of(budget.period, self._clock())
        account = _Account(budget, begin, end, spent)
        old = self._accounts.get(budget.id)
        if old is not None:
            self._unlist(old)
            # The calls in flight settle against the account that they reserved on; it lives on under its new terms.
            old.budget, old.begin, old.end, old.spent, old.next_alert = budget, begin, end, spent, _next_alert(budget, spent)
            account = old
        # Nothing until a share was taken under these terms.
        account.ceiling = spent + account.reserved if self.shared and budget.hard else math.inf
        self._accounts[budget.id] = account
        self._found.clear()
        self._note_turns()
        self._by_subject.setdefault(subject_of(budget), []).append(account)

    def mark(self, id: str) -> Mark | None:
        """Where an account stands now, None for an unknown one. Ends with `correct` or `drop`: calls are noted on it until then."""
        account = self._accounts.get(id)
        if account is None:
            return None
        self._turn(account)
        mark = Mark(account.begin, account.settled, [])
        self._marks.append(mark)
        return mark

    def drop(self, mark: Mark) -> None:
        """Note no more calls on a mark; a second time does nothing."""
        self._marks = [other for other in self._marks if other is not mark]

    def correct(self, id: str, counted: int, mark: Mark) -> None:
        """Take over what the ledger says, ``counted`` without the calls since ``mark``; nothing when the period has turned since.

        What this process settled after the mark is added.
        """
        self.drop(mark)
        account = self._accounts.get(id)
        if account is None:
            return
        self._turn(account)
        if account.begin == mark.begin:
            account.spent = counted + account.settled - mark.settled
            if account.spent >= account.next_alert:
                self._tell(account)

    def plead(self, id: str, mark: Mark, room: float) -> Plea | None:
        """What to say when the share of a budget is renewed, at the moment of ``mark``; lowers a share that is more than twice ``room``
        beyond what is reserved. None when there is nothing to renew."""
        account = self._accounts.get(id)
        if account is None or account.begin != mark.begin or account.ceiling == math.inf:
            return None
        used, busy = account.spent + account.reserved, self._clock() < account.busy_until
        room = room if busy else 0
        if account.ceiling - used > 2 * room:
            account.ceiling = used + room
        needed, account.needed = account.needed, 0
        self.short.discard(id)
        keep = max(account.reserved, math.ceil(account.ceiling - account.spent))
        return Plea(begin=mark.begin, keep=keep, reserved=account.reserved, needed=needed, busy=busy)

    def share(self, id: str, mark: Mark, counted: int, share: int, *, trusted: float, dry_until: float = 0.0) -> None:
        """Take over a renewed share: this process may come to ``counted`` and ``share`` more, until ``trusted``."""
        account = self._accounts.get(id)
        if account is not None and account.begin == mark.begin and account.ceiling != math.inf:
            account.ceiling, account.trusted, account.dry_until = counted + share, trusted, dry_until

    def remove(self, id: str) -> None:
        """Forget a budget; an unknown one is ignored."""
        account = self._accounts.pop(id, None)
        if account is not None:
            self._found.clear()
            self._unlist(account)

    def standing(self, id: str) -> Standing | None:
        """How a budget stands, None when it is unknown."""
        account = self._accounts.get(id)
        if account is None:
            return None
        self._turn(account)
        return Standing(spent=account.spent, reserved=account.reserved, resets_at=account.end)

    def check(self, owners: Owners) -> None:
        """Raise `BudgetExceeded` when a hard budget of these owners is spent already."""
        for account in self._of(owners):
            if account.budget.hard and account.spent >= account.budget.limit:
                raise self._exceeded(account, 0)

    def left(self, owners: Owners) -> int | None:
        """What the tightest hard budget of these owners leaves, in micro-units; None when no hard one applies."""
        rooms = [max(0, a.budget.limit - a.spent - a.reserved) for a in self._of(owners) if a.budget.hard]
        return min(rooms, default=None)

    def reserve(self, owners: Owners, amount: int, *, anyway: bool = False) -> Reservation | None:
        """Set ``amount`` micro-units aside in every budget of these owners, or in none. Raises `BudgetExceeded`.

        None when no budget applies. What costs nothing still needs a budget that is not spent. ``anyway`` refuses nothing.
        """
        accounts = self._of(owners)
        if not accounts:
            return None
        for account in accounts:
            budget = account.budget
            if not anyway and budget.hard and (account.spent + account.reserved + amount > budget.limit or account.spent >= budget.limit):
                raise self._exceeded(account, amount)
        if self.shared and not anyway:
            self._within_shares(accounts, amount)
        for account in accounts:
            account.reserved += amount
        return Reservation(accounts, amount)

    def _within_shares(self, accounts: list[_Account], amount: int) -> None:
        now, short = self._clock(), None
        for account in accounts:
            if account.ceiling == math.inf:
                continue
            account.busy_until = now + BUSY_SECONDS
            if account.spent + account.reserved + amount > account.ceiling or now > account.trusted:
                short = account
                if now >= account.dry_until:
                    account.needed += amount
                    self.short.add(account.budget.id)
        if short is not None:
            raise self._exceeded(short, amount)

    def settle(self, reservation: Reservation | None, owners: Owners, amount: int, *, id: str = "", started: float = math.inf) -> None:
        """Replace what was reserved by what the call ``id`` has spent. Without a reservation (a budget made meanwhile) it still counts.

        A call counts for the period in which it ``started`` (Unix seconds), as on the ledger.
        """
        counted = self._of(owners)
        for mark in self._marks:
            mark.since.append(id)
        if reservation is not None:
            if not reservation.open:
                return
            reservation.open = False
            for account in reservation.accounts:
                account.reserved -= reservation.amount
            if reservation.accounts is not counted:
                counted = list(dict.fromkeys([*reservation.accounts, *counted]))
        if amount:
            for account in counted:
                if started < account.begin:
                    continue
                account.spent += amount
                account.settled += amount
                if account.spent >= account.next_alert:
                    self._tell(account)

    def _of(self, owners: Owners) -> list[_Account]:
        if self._clock() >= self._next_turn:
            for account in self._accounts.values():
                self._turn(account)
            self._note_turns()
        found = self._found.get(owners)
        if found is None:
            found = list[_Account]()
            for subject in subjects(owners):
                found.extend(self._by_subject.get(subject, ()))
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[owners] = found
        return found

    def _note_turns(self) -> None:
        self._next_turn = min((a.end for a in self._accounts.values() if a.end is not None), default=math.inf)

    def _turn(self, account: _Account) -> None:
        now = self._clock()
        if account.end is not None and now >= account.end:
            account.begin, account.end = period_of(account.budget.period, now)
            account.spent = 0
            account.next_alert = _next_alert(account.budget, 0)
            if account.ceiling != math.inf:
                # Of the new period nothing was taken yet; calls in flight count for the old one.
                account.ceiling = account.reserved
                account.dry_until = 0.0

    def _tell(self, account: _Account) -> None:
        budget = account.budget
        reached = max(level for level in _levels(budget) if account.spent >= -(-budget.limit * level // 100))
        account.next_alert = _next_alert(budget, account.spent)
        told = BudgetSpent(budget.id, budget.name, budget.limit, account.spent, reached, budget.organisation)
        self._events.publish(told)

    def _unlist(self, account: _Account) -> None:
        key = subject_of(account.budget)
        self._by_subject[key].remove(account)
        if not self._by_subject[key]:
            del self._by_subject[key]

    def _exceeded(self, account: _Account, amount: int) -> BudgetExceeded:
        budget = account.budget
        left = max(0, budget.limit - account.spent - account.reserved)
        resets = ""
        retry: float | None = None
        if account.end is not None:
            retry = max(1.0, account.end - self._clock())
            resets = f"; it resets at {datetime.datetime.fromtimestamp(account.end, datetime.UTC):%Y-%m-%d %H:%M} UTC"
        needs = f" and this call may cost up to {decimal(amount)}" if amount else ""
        return BudgetExceeded(
            f"budget {budget.name!r} of {decimal(budget.limit)} USD per {budget.period} has {decimal(left)} left{needs}{resets}",
            retry_after=retry,
        )


def subject_of(budget: Budget) -> Subject:
    """Under which of `subjects` a budget is found."""
    return (budget.organisation, budget.subject_kind, budget.subject)

"""Counters for limits: rates as token buckets, and concurrency as slots. In memory here, for one process."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from penstock.kernel.capability import Finding, Service
from penstock.kernel.ports import MetricSource

SWEEP_AT = 1024
"""Buckets that may exist before idle ones are looked for."""

SLACK = 1e-9
"""Seconds forgiven to rounding, so that exactly a burst's worth is granted."""


Renewal = Awaitable[None]
"""Ends when a share was renewed, or could not be."""


class Counters(Protocol):
    """Limits that are shared by whoever shares the implementation. Keys are free text; the caller's business is what they mean.

    Synchronous, so that the line does not wait. `MemoryCounters` holds one process, `penstock.storage.shared` the workers of one machine;
    both know the whole. One on a server that many machines share (`penstock.storage.valkey`) answers from a lease: it takes shares of the
    rate and of the slots ahead, renews them in the background, and what it refuses may be refused only because its own share is
    small. Whoever is refused therefore asks for the `renewal` and, where there is one, once more after it.
    """

    def take(self, key: str, amount: int, per_minute: int, burst: int | None = None) -> float:
        """Take ``amount`` from the bucket ``key`` that refills at ``per_minute`` and holds ``burst`` (default: a minute's worth).

        Returns 0.0 when granted. Otherwise takes nothing and returns the seconds until the same request would be granted if nobody else
        took anything; ``math.inf`` when it never would, because ``amount`` is more than the bucket holds. An amount of 0 is granted unless
        the bucket is overdrawn.
        """
        ...

    def adjust(self, key: str, amount: int, per_minute: int) -> None:
        """Settle an estimate: take ``amount`` more without asking, which may overdraw the bucket; give back when negative.

        A bucket never holds more than its burst, however much is given back.
        """
        ...

    def enter(self, key: str, limit: int) -> bool:
        """Occupy one of ``limit`` slots of ``key``; False when all are occupied."""
        ...

    def leave(self, key: str) -> None:
        """Free a slot. Leaving more often than entering frees nothing."""
        ...

    def occupied(self, key: str) -> int:
        """How many slots of ``key`` are occupied now, as far as this process knows."""
        ...

    def renewal(self, key: str) -> Renewal | None:
        """After ``key`` was refused: what to await before asking once more, None when asking again would change nothing."""
        ...


@runtime_checkable
class ServedCounters(Service, MetricSource, Protocol):
    """Counters that are kept on a server: a service that is measured and examined."""

    async def check(self) -> Sequence[Finding]:
        """For the doctor: whether the server answers."""
        ...


async def take_later(counters: Counters, key: str, amount: int, per_minute: int, wait: float) -> float:
    """Ask once more for what was refused for ``wait`` seconds, after the share was renewed; as `Counters.take`."""
    renewal = counters.renewal(key)
    if renewal is None:
        return wait
    await renewal
    return counters.take(key, amount, per_minute)


async def enter_later(counters: Counters, key: str, limit: int) -> bool:
    """Ask once more for a slot that was refused, after the share was renewed; as `Counters.enter`."""
    renewal = counters.renewal(key)
    if renewal is None:
        return False
    await renewal
    return counters.enter(key, limit)


class MemoryCounters:
    """`Counters` of one process; gone with it. Costs under 2 µs a call and about 150 bytes a bucket that is in use.

    A bucket is one number: the moment at which it will be full again (the theoretical arrival time of the generic cell rate
    algorithm, ITU-T I.371). A full bucket is forgotten, so memory follows the keys that were active within the last burst.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._slots: dict[str, int] = {}
        self._sweep_at = SWEEP_AT

    def take(self, key: str, amount: int, per_minute: int, burst: int | None = None) -> float:
        if per_minute <= 0:
            return math.inf
        now = self._clock()
        seconds = 60.0 / per_minute
        holds = 60.0 if burst is None else burst * seconds
        cost = amount * seconds
        full_at = self._full_at.get(key, now)
        full_at = (full_at if full_at > now else now) + cost
        wait = full_at - now - holds
        if wait > SLACK:
            return wait if cost <= holds + SLACK else math.inf
        if cost > 0:
            self._put(key, full_at, now)
        return 0.0

    def adjust(self, key: str, amount: int, per_minute: int) -> None:
        if per_minute <= 0:
            return
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now) + amount * 60.0 / per_minute
        if full_at > now:
            self._put(key, full_at, now)
        else:
            self._full_at.pop(key, None)

    def enter(self, key: str, limit: int) -> bool:
        taken = self._slots.get(key, 0)
        if taken >= limit:
            return False
        self._slots[key] = taken + 1
        return True

    def leave(self, key: str) -> None:
        taken = self._slots.get(key, 0)
        if taken > 1:
            self._slots[key] = taken - 1
        elif taken:
            del self._slots[key]

    def occupied(self, key: str) -> int:
        return self._slots.get(key, 0)

    def renewal(self, key: str) -> Renewal | None:
        return None

    def __len__(self) -> int:
        """Buckets and slot counts held now."""
        return len(self._full_at) + len(self._slots)

    def _put(self, key: str, full_at: float, now: float) -> None:
        held = self._full_at
        held[key] = full_at
        if len(held) > self._sweep_at:
            self._full_at = {k: at for k, at in held.items() if at > now}
            # Doubling keeps the cost of looking at all of them constant per bucket.
            self._sweep_at = max(SWEEP_AT, 2 * len(self._full_at))

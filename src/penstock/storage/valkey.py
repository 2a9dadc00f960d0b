"""Counters on a Valkey (or Redis) server: one count for any number of processes on any number of machines.

The server holds every bucket and all slots, changed by scripts in one step, so that what all processes together are granted never exceeds
a limit. A process asks in batches, in one conversation; a call waits for an answer (about 0.3 ms on a local network) when its process holds
nothing for its key. Slots and slow buckets are asked for call by call. Of a bucket of at least ``FAST`` a minute a process takes
``AHEAD`` seconds of its own use in advance, may use it for so long and gives back the rest; its burst is smaller by as much, so that
the bound holds with what lies ahead (`penstock.storage.leases`).

While the server does not answer nobody waits: ``down`` decides. ``share``: each process counts for itself against its part of the limit, by
the number of processes that were there last (at least 1 each); ``open``: no limits; ``closed``: whoever has limits is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from penstock.kernel.capability import Finding
from penstock.kernel.errors import SettingsError
from penstock.kernel.ports import Metric
from penstock.storage.counters import MemoryCounters, Renewal
from penstock.storage.leases import AHEAD, FAST, LASTS, TICK, Bucket, Slots, slack
from penstock.storage.scripts import BUCKET, PRESENT, SLOTS

_log = logging.getLogger("penstock.counters")

Down = Literal["share", "open", "closed"]

PATIENCE = 0.25
"""Seconds that a conversation with the server may take before it counts as down."""

AGAIN = 1.0
"""Seconds between two tries to reach a server that is down."""

SLOT_RETRY = 0.004
"""A slot that is left in one process as it is asked for in another comes free within milliseconds; so long later it is asked for again."""

PREFIX = "penstock:"


class ValkeyCounters:
    """`Counters` of one of many processes. A service: `start` begins the conversation, `stop` gives back what this process holds."""

    name = "counters"

    def __init__(self, url: str, *, down: Down = "share", workers: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        """``workers`` is how many processes there are as long as the server has not said. Raises `SettingsError` for a URL that is none."""
        self._client: Any = client(url)
        self._down: Down = down
        self._clock = clock
        self._name = secrets.token_hex(8)
        self._buckets: dict[str, Bucket] = {}
        self._slots: dict[str, Slots] = {}
        self._untold: set[str] = set()
        self._final = ""
        self._wanted = 0
        self._processes = workers
        self._alone = MemoryCounters(clock)
        self._wake = asyncio.Event()
        self._next: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._scripts: tuple[str, str, str] = ("", "", "")
        self._spoke_at = -math.inf
        self.up = False
        self.failures = 0
        self.conversations = 0

    async def start(self) -> None:
        """Meet the server. One that does not answer is told in the log, and looked for again and again."""
        self._next = asyncio.get_running_loop().create_future()
        await self._converse()
        self._task = asyncio.create_task(self._run(), name="counters")

    async def stop(self) -> None:
        """Give back what this process holds, as far as the server takes it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            for bucket in self._buckets.values():
                bucket.charged -= bucket.share
                bucket.share = 0
            if self.up:
                await self._converse(leaving=True)
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
        await self._client.aclose()

    def take(self, key: str, amount: int, per_minute: int, burst: int | None = None) -> float:
        """See `Counters.take`."""
        if per_minute <= 0:
            return math.inf
        if not self.up:
            return self._take_alone(key, amount, per_minute, burst)
        self._final = key
        holds = 60.0 if burst is None else burst * 60.0 / per_minute
        if amount * 60.0 / per_minute > holds + 1e-9:
            return math.inf
        now = self._clock()
        bucket = self._bucket(key, per_minute, now)
        bucket.holds = holds
        # One that takes all that the bucket holds takes what it can hold here, and owes the rest.
        rest = max(0, amount - int((holds - slack(per_minute)) * per_minute / 60 + 1e-6))
        amount -= rest
        if amount == 0 and bucket.passes > 0:
            bucket.passes -= 1
            return 0.0
        if bucket.share >= amount > 0 and now - bucket.since <= AHEAD:
            bucket.share -= amount
            bucket.used += amount
            bucket.charged += rest
            if per_minute >= FAST and bucket.share < bucket.target // 2:
                self._untold.add(key)
                self._wake.set()
            return 0.0
        if now < bucket.ask_at and amount >= bucket.refused:
            return bucket.wait_until - now
        self._final = ""
        self._wanted = amount
        return 0.001

    def adjust(self, key: str, amount: int, per_minute: int) -> None:
        """See `Counters.adjust`."""
        if per_minute <= 0:
            return
        if not self.up:
            self._alone.adjust(key, amount, self._part(per_minute))
        bucket = self._bucket(key, per_minute, self._clock())
        bucket.charged += amount
        if amount < 0:
            bucket.ask_at = 0.0
        self._untold.add(key)
        self._wake.set()

    def enter(self, key: str, limit: int) -> bool:
        """See `Counters.enter`."""
        slots = self._slots.get(key)
        if slots is None:
            slots = self._slots[key] = Slots()
        slots.limit = limit
        if not self.up:
            if self._down == "closed" or (self._down == "share" and slots.occupied >= self._part(limit)):
                return False
            slots.occupied += 1
            slots.untold = True
            return True
        if slots.granted > 0:
            slots.granted -= 1
            slots.occupied += 1
            return True
        self._wanted = 1
        self._final = ""
        return False

    def leave(self, key: str) -> None:
        """See `Counters.leave`."""
        slots = self._slots.get(key)
        if slots is None or slots.occupied == 0:
            return
        slots.occupied -= 1
        slots.untold = True
        self._wake.set()

    def occupied(self, key: str) -> int:
        """See `Counters.occupied`; those of this process."""
        slots = self._slots.get(key)
        return slots.occupied if slots is not None else 0

    def renewal(self, key: str) -> Renewal | None:
        """See `Counters.renewal`."""
        if not self.up or self._next is None or self._final == key:
            return None
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.asked += self._wanted
            bucket.passes += self._wanted == 0
            bucket.least = self._wanted if bucket.least < 0 else min(bucket.least, self._wanted)
            self._untold.add(key)
            self._wake.set()
            return asyncio.shield(self._next)
        slots = self._slots.get(key)
        if slots is None:
            return None
        return self._slot(slots)

    async def check(self) -> Sequence[Finding]:
        """For the doctor: whether the server answers."""
        try:
            async with asyncio.timeout(3):
                await self._client.ping()
        except (OSError, fault_type(), TimeoutError) as fault:
            mend = "start it, or see storage.counters; until then limits are kept as storage.counters_down says"
            return [Finding(name="counters", status="fail", what=f"the Valkey server does not answer: {type(fault).__name__}", mend=mend)]
        return [Finding(name="counters", status="ok", what="the Valkey server of storage.counters answers")]

    def metrics(self) -> Iterable[Metric]:
        """Whether the server answers, and how it went so far."""
        help = "1 while the counters' server answers; 0: limits are kept as storage.counters_down says."
        yield Metric(name="penstock_counters_up", help=help, kind="gauge", samples=(({}, float(self.up)),))
        help = "Batches of questions to the counters' server."
        yield Metric(name="penstock_counters_conversations", help=help, kind="counter", samples=(({}, float(self.conversations)),))
        help = "Batches that it did not answer."
        yield Metric(name="penstock_counters_failures", help=help, kind="counter", samples=(({}, float(self.failures)),))
        help = "Processes that share the counters, as the server said last."
        yield Metric(name="penstock_counters_processes", help=help, kind="gauge", samples=(({}, float(self._processes)),))

    # ---- while the server is down

    def _part(self, limit: int) -> int:
        return max(1, limit // self._processes)

    def _take_alone(self, key: str, amount: int, per_minute: int, burst: int | None) -> float:
        if self._down == "closed":
            return AGAIN
        if self._down == "share":
            part = self._part(per_minute)
            wait = self._alone.take(key, min(amount, part), part, None if burst is None else self._part(burst))
            if wait > 0:
                return wait
        # Told when the server is back.
        self._bucket(key, per_minute, self._clock()).charged += amount
        self._untold.add(key)
        return 0.0

    # ---- the conversation

    def _bucket(self, key: str, per_minute: int, now: float) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(now)
        bucket.per_minute = per_minute
        return bucket

    async def _slot(self, slots: Slots) -> None:
        for attempt in range(2):
            slots.asked += 1
            slots.untold = True
            self._wake.set()
            assert self._next is not None
            await asyncio.shield(self._next)
            if slots.granted > 0 or attempt or not self.up:
                return
            await asyncio.sleep(SLOT_RETRY)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        look_at = loop.time() + AGAIN
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK if self.up else max(0.01, look_at - loop.time())):
                    await self._wake.wait()
            self._wake.clear()
            if not self.up and loop.time() < look_at:
                continue
            done, self._next = self._next, loop.create_future()
            try:
                await self._converse()
            finally:
                look_at = loop.time() + AGAIN
                if done is not None and not done.done():
                    done.set_result(None)

    async def _converse(self, *, leaving: bool = False) -> None:
        """Tell everything that is untold, ask for everything that is asked for, in one round trip."""
        now = self._clock()
        buckets = [(key, one, *said) for key, one in self._buckets.items() if (said := one.collect(now, key in self._untold)) is not None]
        slots = [(key, one, *said) for key, one in self._slots.items() if (said := one.collect(now)) is not None]
        self._untold.clear()
        for key in [key for key, one in self._buckets.items() if one.idle(now)]:
            del self._buckets[key]
        if self.up and not buckets and not slots and not leaving and now - self._spoke_at < AGAIN:
            return
        answers: list[Any]
        try:
            async with asyncio.timeout(PATIENCE if self.up else 2 * AGAIN):
                if not self.up:
                    load: Any = self._client.script_load
                    self._scripts = (await load(BUCKET), await load(SLOTS), await load(PRESENT))
                pipe: Any = self._client.pipeline(transaction=False)
                pipe.evalsha(self._scripts[2], 1, f"{PREFIX}present", self._name, 0 if leaving else LASTS)
                for key, one, charged, least, most in buckets:
                    holds = one.holds - slack(one.per_minute)
                    pipe.evalsha(self._scripts[0], 1, f"{PREFIX}rate:{key}", one.per_minute, holds, charged, least, most)
                for key, one, occupied, asked in slots:
                    pipe.evalsha(self._scripts[1], 1, f"{PREFIX}slots:{key}", self._name, one.limit, occupied, asked, LASTS)
                answers = await pipe.execute()
        except (OSError, fault_type(), TimeoutError) as fault:
            self._failed(fault, buckets, slots)
            return
        self.conversations += 1
        self._processes = max(1, int(answers[0]))
        now = self._spoke_at = self._clock()
        for (_, one, _, least, _), (granted, wait) in zip(buckets, answers[1:], strict=False):
            one.answered(now, int(granted), float(wait), least)
        for (key, one, occupied, _), granted in zip(slots, answers[1 + len(buckets) :], strict=True):
            one.answered(now, int(granted))
            if not occupied and not granted and not one.occupied and not one.asked:
                self._slots.pop(key, None)
        if not self.up:
            _log.info("the counters' server answers", extra={"processes": self._processes})
        self.up = True

    def _failed(self, fault: BaseException, buckets: Sequence[tuple[str, Bucket, int, int, int]], slots: Sequence[tuple[Any, ...]]) -> None:
        self.failures += 1
        if self.up or self.failures == 1:
            _log.error("the counters' server does not answer", extra={"fault": type(fault).__name__, "mode": self._down})
        self.up = False
        for _, one, charged, _, _ in buckets:
            # It may have heard it: charged twice at worst, never granted twice.
            one.charged += max(0, charged)
            one.share = 0
        for _, one, _, _ in slots:
            one.untold = True


def client(url: str) -> Any:
    """A client of the server at ``url``. Raises `SettingsError` without the driver, or for what is no such URL."""
    # The extra, and 0.1 s to import: only where the settings name a server.
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as fault:
        message = "storage.counters names a Valkey server, whose driver is not installed; pip install 'penstock[valkey]'"
        raise SettingsError(message, param="storage.counters") from fault
    scheme, _, rest = url.partition("://")
    schemes = {"valkey": "redis", "valkeys": "rediss", "redis": "redis", "rediss": "rediss"}
    if scheme not in schemes or not rest:
        raise SettingsError(
            "storage.counters: expected valkey://user:password@host:6379/0, or valkeys:// for TLS", param="storage.counters"
        )
    try:
        client: Any = Redis
        return client.from_url(f"{schemes[scheme]}://{rest}", socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 1))
    except ValueError:
        # `from None`: the library's message quotes the URL, password and all.
        raise SettingsError("storage.counters: not a valid URL; expected valkey://host:6379/0", param="storage.counters") from None


def fault_type() -> type[Exception]:
    """What the driver raises."""
    from redis.exceptions import RedisError

    return RedisError

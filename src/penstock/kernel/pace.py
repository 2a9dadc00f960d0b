"""How many calls that nobody waits for are in flight: as many as there is room for beside everything else.

They are the lines of batches and the questions of evaluations, "lines" below.

Each model has a lane whose width is learned: it doubles until the first refusal (429, 503, 529, a time-out), is cut by a third at each, at
most once a second, and grows by one a round afterwards. While interactive calls come in, no lane grows, all together have at most a quarter
of ``most`` in flight, and lines start so far apart that they take no more than the share ``beside`` of the process's time. Free places go
to the organisation that has the fewest lines in flight.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable

from penstock.kernel.ports import ModelAnswer, Traffic

REFUSED = frozenset({429, 503, 529})
"""Statuses of whoever has no room now. Waited out; not held against the line."""
FINAL = frozenset({"insufficient_quota", "model_not_priced"})
"""Refusals that no waiting ends."""
AGAIN = frozenset({408, 500, 502, 504})
FIRST = 8.0
CUT = 0.7
ROUND = 1.0
"""Seconds within which refusals count as one."""
QUIET = 1.0
"""Seconds without an interactive call after which the process counts as idle."""
LONGEST_PAUSE = 60.0
MOST_BYTES = 64 << 20
"""Bytes of requests in flight, so that long lines do not fill the memory."""
GUESS = 1e-3
"""Seconds of the process's time that a line takes, until it is measured."""
_WEIGHT = 0.3
_SAMPLE = 0.25


class Lane:
    """One model: how many lines may be in flight there."""

    __slots__ = ("cut_at", "in_flight", "limit", "paused_until", "settled")

    def __init__(self) -> None:
        self.limit = FIRST
        self.in_flight = 0
        self.paused_until = 0.0
        self.cut_at = -ROUND
        self.settled = False


class Pace:
    """Lets lines in. ``refused`` counts refusals by code, ``cuts`` how often a lane was narrowed."""

    def __init__(
        self,
        most: int,
        beside: float,
        traffic: Traffic | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        work: Callable[[], float] = time.thread_time,
    ) -> None:
        self._most = most
        self._beside = beside
        self._traffic = traffic
        self._clock = clock
        self._work = work
        self._lanes: dict[str, Lane] = {}
        self._waiting: dict[tuple[str, str], deque[tuple[asyncio.Future[None], int]]] = {}
        self._of: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._bytes = 0
        self._started: int = -1
        self._seen_at = -QUIET
        self._next_at = 0.0
        self._sampled = (0.0, 0.0, 0)
        self.cost = GUESS
        self.in_flight = 0
        self.ended = 0
        self.cuts = 0
        self.refused: Counter[str] = Counter()

    def lane(self, model: str) -> Lane:
        """The lane of a model."""
        found = self._lanes.get(model)
        if found is None:
            found = self._lanes[model] = Lane()
        return found

    @property
    def beside_others(self) -> bool:
        """Whether interactive calls came in lately."""
        return self._clock() - self._seen_at < QUIET

    @property
    def limit(self) -> float:
        """How many lines may be in flight now, all lanes together."""
        return min(
            float(self._most if not self.beside_others else max(1, self._most // 4)), sum(lane.limit for lane in self._lanes.values())
        )

    async def enter(self, organisation: str, model: str, size: int) -> None:
        """Wait for a place; whoever has one gives it back with `leave`."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault((organisation, model), deque()).append((place, size))
        self._pump()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave(organisation, model, size)
            raise

    def leave(self, organisation: str, model: str, size: int, *, strained: str | None = None, pause: float = 0.0) -> None:
        """Give a place back. ``strained`` is the code of a refusal, after which the lane may rest for ``pause`` seconds."""
        lane = self.lane(model)
        now = self._clock()
        if strained is not None:
            self.refused[strained] += 1
            if now - lane.cut_at >= ROUND:
                lane.limit = max(1.0, min(lane.limit, lane.in_flight) * CUT)
                lane.cut_at = now
                lane.settled = True
                self.cuts += 1
            lane.paused_until = max(lane.paused_until, now + min(pause, LONGEST_PAUSE))
        elif lane.in_flight >= 0.5 * lane.limit and lane.limit < self._most and not self.beside_others:
            lane.limit = min(float(self._most), lane.limit + (1.0 / lane.limit if lane.settled else 1.0))
        lane.in_flight -= 1
        self.in_flight -= 1
        self._bytes -= size
        self.ended += 1
        self._of[organisation] -= 1
        if not self._of[organisation]:
            del self._of[organisation]
        self._pump()

    def _pump(self) -> None:
        now = self._clock()
        self._look(now)
        wake = float("inf")
        while self._waiting:
            busy = now - self._seen_at < QUIET
            if self.in_flight >= (max(1, self._most // 4) if busy else self._most):
                break
            if busy and now < self._next_at:
                wake = min(wake, self._next_at)
                break
            chosen, soonest = self._choose(now)
            wake = min(wake, soonest)
            if chosen is None:
                break
            self._admit(chosen, now)
        if wake != float("inf"):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(max(0.0, wake - now), self._pump)

    def _choose(self, now: float) -> tuple[tuple[str, str] | None, float]:
        """Whose line is next, and when a lane that rests may be asked again."""
        best: tuple[str, str] | None = None
        soonest = float("inf")
        for key in list(self._waiting):
            queue = self._waiting[key]
            while queue and queue[0][0].done():
                queue.popleft()  # whoever waited has given up
            if not queue:
                del self._waiting[key]
                continue
            lane = self.lane(key[1])
            if lane.paused_until > now:
                soonest = min(soonest, lane.paused_until)
                continue
            if lane.in_flight >= max(1, int(lane.limit)):
                continue
            if self.in_flight and self._bytes + queue[0][1] > MOST_BYTES:
                continue
            if best is None or self._of[key[0]] < self._of[best[0]]:
                best = key
        return best, soonest

    def _admit(self, key: tuple[str, str], now: float) -> None:
        organisation, model = key
        place, size = self._waiting[key].popleft()
        # Whoever was served goes to the back, so that the models of one organisation take turns.
        queue = self._waiting.pop(key)
        if queue:
            self._waiting[key] = queue
        self.lane(model).in_flight += 1
        self.in_flight += 1
        self._bytes += size
        self._of[organisation] += 1
        self._next_at = now + self.cost / self._beside
        place.set_result(None)

    def _look(self, now: float) -> None:
        """Whether interactive calls came in since the last look, and what a call costs of the process's time."""
        traffic = self._traffic
        if traffic is None:
            return
        started: int = traffic.interactive_started
        if started != self._started or traffic.interactive:
            if self._started >= 0 or traffic.interactive:
                self._seen_at = now
            self._started = started
        at, work, calls = self._sampled
        if now - at < _SAMPLE:
            return
        worked, made = self._work(), self.ended + started
        if at and made > calls:
            self.cost += ((worked - work) / (made - calls) - self.cost) * _WEIGHT
        self._sampled = (now, worked, made)


def again(answer: ModelAnswer) -> tuple[bool, bool]:
    """Whether to ask once more, and whether it was refused rather than failed."""
    if answer.error is None or answer.error in FINAL:
        return False, False
    if answer.status in REFUSED:
        return True, True
    return answer.status in AGAIN, False


def rest(strained: str | None, pause: float) -> float:
    """How long the lane rests for all: as long as the line that was refused, but a lane that is only narrowed goes on after a second."""
    return 0.0 if strained is None else min(pause, 1.0 if strained in {"overloaded", "concurrency_limit_exceeded"} else LONGEST_PAUSE)

"""What watches one policy in one process: are the prompts still those of the evidence, and do judged answers still hold the floor?

One budget of false alarms is shared by the gamblers of `penstock.statistics.monitor` (their average is what counts) and by the processes:
each of n processes has its own gamblers over the calls that it sees, and suspends at n / alarm. A sound claim is then suspended by
any of them with probability ``alarm`` at most (union bound), whatever the processes tell each other, and however the calls are spread.

The evidence is finite, and so is what can be bet with it: after as many calls as there are points of the evidence kept (and as `MOST`
scores) the gamblers rest, and the policy is due for a new certificate; `due` says so.
"""

from __future__ import annotations

import zlib
from collections import Counter
from random import Random
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.kernel.evidence import Outcome
from penstock.kernel.tasks import Floor
from penstock.routing.arrays import Fit
from penstock.routing.fitting import distances
from penstock.routing.policy import Policy
from penstock.statistics.monitor import Shortfall, State, Strangeness, Watch, Witness

MOST = 20_000
"""Scores that `Strangeness` holds at most."""
_HALF = np.dtype("<f2")
PAIRS = 2_000
"""Calls whose shadow's judgement is waited for."""


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    stranger: State
    witness: State
    shortfall: State
    calls: int
    labels: int
    scores: bytes | None = None
    """The stranger's scores, sorted, as compressed half floats; older states hold them, and the evidence's, in its numbers instead."""


class Watcher:
    """Bets against a policy's claim. ``alarm`` is this process' share of the chance of a false alarm.

    ``calls`` and ``labels`` count what was bet on. Its state survives restarts: `saved` and `resume`.
    """

    def __init__(self, policy: Policy, fit: Fit, alarm: float, seed: int = 0) -> None:
        assert policy.floor is not None
        self.policy = policy
        self.floor: Floor = policy.floor
        self.calls = 0
        self.labels = 0
        self.dirty = False
        self._fit = fit
        self._alarm = alarm
        self._seed = seed
        self._known = fit.known
        self._random = Random(seed)
        self._sit_down()
        # Candidates and scores alone: what was said is not kept here.
        self._pairs: dict[str, dict[str, tuple[str, float]]] = {}
        self._limit = 1 / alarm

    def _sit_down(self) -> None:
        """Gamblers who have seen nothing. Scores have three digits, calls' like the evidence's, so that what is kept of them is little;
        which of two equal ones is the higher, a coin decides."""
        fit = self._fit
        self._stranger = Strangeness([_rounded(x) for x in fit.scores], self._seed, higher=True)
        self._witness = Witness(fit.points)
        self._shortfall = Shortfall(_level(self.floor))
        self._watch = Watch(self._stranger, self._witness, self._shortfall, alpha=self._alarm)

    @property
    def evidence(self) -> float:
        """What the gamblers have made of each unit they began with; at `limit` the claim is suspended."""
        return self._watch.evidence

    @property
    def limit(self) -> float:
        return self._limit

    @property
    def left(self) -> float:
        """The share of the kept evidence that can still be bet with; at 0 a direction in which prompts change is not seen any more."""
        return self._witness.left

    @property
    def due(self) -> bool:
        """Whether the evidence to bet with is used up, so that a change of the traffic would not be seen any more."""
        return self._witness.exhausted and self._stranger.seen >= MOST

    @property
    def suspended(self) -> bool:
        return self._watch.suspended

    def call(self, vector: NDArray[Any]) -> bool:
        """A call came with this embedding of its prompt; whether the claim stands suspended."""
        self.calls += 1
        self.dirty = True
        if self._stranger.seen < MOST:
            self._stranger.observe(_rounded(distances(self._known, vector[None, :])[0]))
        self._witness.observe(vector)
        return self._watch.check()

    def judged(self, outcome: Outcome, base: float, reference: str, others: int) -> bool:
        """A live answer was judged; whether the claim stands suspended.

        ``base`` is the lowest propensity with which calls of the task are judged: labels that are likelier than that are thinned by
        a coin to it, so that those which count are a plain sample. A relative floor takes pairs: the served answer and that of
        ``reference`` in its shadow, which is one of ``others`` that may be explored.
        """
        if not 0 <= outcome.score <= 1 or (outcome.source == "live" and not self._serves(outcome.candidate)):
            return self.suspended
        if self.floor.kind == "absolute":
            if outcome.source != "live" or self._random.random() >= base / max(outcome.propensity, base):
                return self.suspended
            return self._bet(outcome.score)
        pair = self._pairs.setdefault(outcome.item, {})
        pair[outcome.source] = (outcome.candidate, outcome.score)
        while len(self._pairs) > PAIRS:
            del self._pairs[next(iter(self._pairs))]
        served, shadow = pair.get("live"), pair.get("shadow")
        if served is None or shadow is None:
            return self.suspended
        del self._pairs[outcome.item]
        (candidate, score), (other, strong) = served, shadow
        if candidate == reference:
            # A pair of this kind is as many times likelier as there are candidates that might have been explored.
            return self.suspended if self._random.random() * max(1, others) >= 1 else self._bet(score, score)
        return self._bet(score, strong) if other == reference else self.suspended

    def _serves(self, candidate: str) -> bool:
        """Whether the policy might have picked this candidate; what stood in for its pick says nothing of its claim."""
        policy = self.policy
        if policy.kind == "single":
            return candidate == policy.chosen
        return candidate in (policy.candidates if policy.kind == "router" else (policy.chosen, policy.next))

    def _bet(self, score: float, strong: float | None = None) -> bool:
        self.labels += 1
        self.dirty = True
        level = self.floor.level
        # score - level * strong lies between -level and 1; shifted to 0 to 1, a mean above 0 is one above level / (1 + level).
        self._shortfall.observe(score if strong is None else (score - level * strong + level) / (1 + level))
        return self._watch.check()

    def saved(self) -> bytes:
        """What `resume` goes on from."""
        stranger = self._stranger.state()
        scores = zlib.compress(np.sort(np.array(stranger.numbers, dtype=_HALF)).tobytes(), 1)
        states = (State(money=stranger.money, numbers=[]), self._witness.state(), self._shortfall.state())
        return msgspec.msgpack.encode(_Saved(*states, self.calls, self.labels, scores))

    def resume(self, saved: bytes) -> None:
        """Go on from where another process, or this one before a restart, has left off, before anything was seen here. What cannot be read,
        or is no state of this watch, is a ValueError; the watch is then as if nothing had been seen."""
        try:
            found = msgspec.msgpack.decode(saved, type=_Saved)
            if found.calls < 0 or found.labels < 0:
                raise ValueError("it counts less than nothing")
            self._stranger.resume(State(money=found.stranger.money, numbers=self._scores(found)))
            self._witness.resume(found.witness)
            self._shortfall.resume(found.shortfall)
        except (msgspec.DecodeError, ValueError, zlib.error) as fault:
            self._sit_down()
            raise ValueError(f"the state of a watch cannot be read: {fault}") from fault
        self.calls, self.labels = found.calls, found.labels
        self._watch.check()

    def _scores(self, found: _Saved) -> list[float]:
        """The scores that were seen, the evidence's own not among them."""
        if found.scores is None:
            # As it was kept once: the evidence's with the calls', whole.
            new = Counter(found.stranger.numbers)
            new.subtract(float(x) for x in self._fit.scores)
            if min(new.values(), default=0) < 0:
                raise ValueError("it is of other evidence")
            return [_rounded(score) for score in new.elements()]
        limit = max(0, MOST - len(self._fit.scores)) + 1
        read = zlib.decompressobj()
        scores = np.frombuffer(read.decompress(found.scores, 2 * limit), dtype=_HALF)
        if len(scores) >= limit or read.unconsumed_tail:
            raise ValueError("it holds more scores than are ever kept")
        if not read.eof or read.unused_data:
            raise ValueError("its scores are cut off, or more than scores")
        return [float(score) for score in scores]

    def why(self) -> str:
        """The evidence, in words."""
        told = (
            (self._stranger.evidence, "prompts lie farther from those of the evidence"),
            (self._witness.evidence, "prompts differ in a direction from those of the evidence"),
            (self._shortfall.evidence, "judged answers miss the floor"),
        )
        most = max(told)
        return f"{most[1]}: a bet on that has made {most[0]:.0f} times its stake in {self.calls} calls and {self.labels} labels"


def _rounded(score: Any) -> float:
    return float(np.float16(score))


def _level(floor: Floor) -> float:
    level = floor.level if floor.kind == "absolute" else floor.level / (1 + floor.level)
    return min(level, np.nextafter(1.0, 0.0))


__all__ = ["MOST", "Watcher"]

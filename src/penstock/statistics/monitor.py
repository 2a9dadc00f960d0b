"""When to take a claim back: tests that watch every call and may stop at any moment, with one false alarm rate for the claim's whole life.

Each is a gambler's money that cannot be expected to grow while all is well; at 1/alpha the claim is suspended, which happens to a sound
claim with probability alpha at most, however long it is watched (Ville 1939). Averages of such fortunes are again one, so one budget
pays for several kinds of trouble:

* `Strangeness`: are the new calls' scores like those of the evidence? Conformal p-values in order of arrival (Vovk, Gammerman and Shafer
  2005), against which the *simple jumper* bets, high and low (Vovk, Petej, Nouretdinov, Ahlberg, Carlsson and Gammerman 2021).
* `Witness`: do the new calls point elsewhere than fresh prompts of the evidence? A direction is learned from the calls before and bet
  on for the next pair (sequential two-sample testing by betting, Podkopaev and Ramdas 2023).
* `Shortfall`: do audited calls miss the floor? Bets on each label (Waudby-Smith and Ramdas 2024).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from random import Random
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


_RATES = (1e-3, 1e-2, 1e-1)


class State(msgspec.Struct, frozen=True, array_like=True):
    """What a gambler goes on from after a restart: money, and whatever numbers it has learned."""

    money: list[list[float]]
    numbers: list[float]


def _sound(money: list[list[float]], like: list[list[float]]) -> None:
    """ValueError unless it is money of gamblers with the same bets: amounts from 0 up, all of them numbers."""
    if [len(one) for one in money] != [len(one) for one in like]:
        raise ValueError("this is the state of a gambler with other bets")
    if not all(math.isfinite(amount) and amount >= 0 for one in money for amount in one):
        raise ValueError("money of a gambler is no amount")


class Strangeness:
    """Bets that the scores of new calls are not exchangeable with ``reference``: any one number per prompt, made by a fixed rule.

    With ``higher`` it bets on higher ones alone, for scores of which low ones are no trouble: a prompt that is asked again and again
    lies near to the evidence.
    """

    def __init__(self, reference: list[float], seed: int = 0, *, higher: bool = False) -> None:
        self._seen = sorted(reference)
        self._new: list[float] = []
        self._random = Random(seed)
        # For each rate of jumping, the money on "lower than expected", "as expected" and "higher".
        self._bets = (0.0, 1.0) if higher else (-1.0, 0.0, 1.0)
        self._money = [[1 / len(self._bets) for _ in self._bets] for _ in _RATES]

    @property
    def evidence(self) -> float:
        return sum(sum(money) for money in self._money) / len(self._money)

    def state(self) -> State:
        """What a new one of the same reference goes on from: its numbers are the scores since."""
        return State(money=self._money, numbers=self._new)

    def resume(self, state: State) -> None:
        """Go on from another's `state`, for one that has seen nothing yet; ValueError, and nothing is taken over, for one that bets
        otherwise or holds what is no number."""
        _sound(state.money, self._money)
        if not all(map(math.isfinite, state.numbers)):
            raise ValueError("a score is no number")
        self._money, self._new = state.money, list(state.numbers)
        self._seen = sorted([*self._seen, *self._new])

    @property
    def seen(self) -> int:
        """Scores it holds, the reference's among them; it grows by one with each call."""
        return len(self._seen)

    def observe(self, score: float) -> float:
        below, up_to = bisect_left(self._seen, score), bisect_right(self._seen, score)
        insort(self._seen, score)
        self._new.append(score)
        # Ties are broken by chance, this score among them, so that p is exactly uniform when nothing has changed.
        p = (below + self._random.random() * (up_to - below + 1)) / len(self._seen)
        for rate, money in zip(_RATES, self._money, strict=True):
            whole = sum(money)
            for k, bet in enumerate(self._bets):
                money[k] = (money[k] * (1 - rate) + whole * rate / len(self._bets)) * (1 + 1.9 * bet * (p - 0.5))
        return self.evidence


class Witness:
    """Bets on a direction in which new calls differ from the evidence, learned as they come.

    ``reference`` [n, d] are points of the evidence in an order that does not depend on them; each is used once, one to a call, and
    when they are used up the evidence stays where it is. ``memory`` is over how many calls the direction is learned.
    """

    def __init__(self, reference: Floats, memory: float = 40.0) -> None:
        self._reference = reference
        self._used = 0
        self._decay = 1 - 1 / memory
        self._direction: Floats = np.zeros(reference.shape[1])
        self._gain, self._square = 0.0, 0.25
        # For each rate: the money at home and the money at stake, levelled at that rate, so that a long calm ruins nobody.
        self._money = [[0.5, 0.5] for _ in _RATES]

    @property
    def evidence(self) -> float:
        return sum(sum(money) for money in self._money) / len(self._money)

    @property
    def left(self) -> float:
        """The share of the reference that is not used up."""
        return 1 - self._used / len(self._reference) if len(self._reference) else 0.0

    @property
    def exhausted(self) -> bool:
        return self._used >= len(self._reference)

    def state(self) -> State:
        """What a new one of the same reference goes on from."""
        return State(money=self._money, numbers=[self._used, self._gain, self._square, *self._direction.tolist()])

    def resume(self, state: State) -> None:
        """Go on from another's `state`; ValueError, and nothing is taken over, when that had other points or holds what is no number."""
        _sound(state.money, self._money)
        if len(state.numbers) != 3 + self._direction.size:
            raise ValueError("the direction is of other points")
        if not all(map(math.isfinite, state.numbers)) or not 0 <= state.numbers[0] <= len(self._reference) or state.numbers[2] <= 0:
            raise ValueError("what was learned of a direction is no number")
        used, self._gain, self._square, *direction = state.numbers
        self._money, self._used, self._direction = state.money, int(used), np.array(direction, dtype=np.float64)

    def observe(self, point: Floats) -> float:
        if self.exhausted:
            return self.evidence
        other = self._reference[self._used]
        self._used += 1
        difference = point - other
        length = float(np.linalg.norm(self._direction))
        if length > 0:
            # Swapping the pair changes the sign, so without a difference in distribution the expected payoff is 0.
            payoff = math.tanh(4 * float(self._direction @ difference) / length)
            factor = 1 + min(0.8, max(0.0, self._gain / self._square)) * payoff
            for rate, money in zip(_RATES, self._money, strict=True):
                levelled = sum(money) * rate / 2
                money[0] = money[0] * (1 - rate) + levelled
                money[1] = (money[1] * (1 - rate) + levelled) * factor
            self._gain = self._gain * self._decay + payoff * (1 - self._decay)
            self._square = self._square * self._decay + payoff * payoff * (1 - self._decay)
        self._direction = self._direction * self._decay + difference * (1 - self._decay)
        return self.evidence


class Shortfall:
    """Bets that audited calls reach ``floor`` less often than claimed. Labels lie between 0 and 1."""

    def __init__(self, floor: float) -> None:
        if not 0 < floor < 1:
            raise ValueError(f"a floor lies between 0 and 1, not at {floor}")
        self._floor = floor
        self._stakes = tuple(share / (1 - floor) for share in (0.05, 0.1, 0.2, 0.4))
        self._money = [1.0] * len(self._stakes)

    @property
    def evidence(self) -> float:
        return sum(self._money) / len(self._money)

    def state(self) -> State:
        """What a new one of the same floor goes on from."""
        return State(money=[self._money], numbers=[])

    def resume(self, state: State) -> None:
        """Go on from another's `state`; ValueError, and nothing is taken over, for one that bets otherwise."""
        _sound(state.money, [self._money])
        (self._money,) = state.money

    def observe(self, label: float) -> float:
        off = self._floor - label
        self._money = [money * (1 + stake * off) for money, stake in zip(self._money, self._stakes, strict=True)]
        return self.evidence


class Watch:
    """One budget of false alarms for all the gamblers of a claim: suspended, for good, when their average reaches 1/alpha."""

    def __init__(self, *gamblers: Strangeness | Witness | Shortfall, alpha: float = 0.05) -> None:
        if not gamblers or not 0 < alpha < 1:
            raise ValueError(f"wants somebody who watches, and 0 < alpha < 1, not {alpha}")
        self._gamblers = gamblers
        self._limit = 1 / alpha
        self.suspended = False

    @property
    def evidence(self) -> float:
        return sum(gambler.evidence for gambler in self._gamblers) / len(self._gamblers)

    def check(self) -> bool:
        """To be asked after every observation: whether the claim stands suspended."""
        self.suspended = self.suspended or self.evidence >= self._limit
        return self.suspended

from __future__ import annotations

import random
from collections import Counter

import pytest

from penstock.gateway.balance import entries, order
from penstock.gateway.circuit import Pass
from penstock.gateway.health import Health
from penstock.gateway.settings import ModelSettings, ResilienceSettings, WeightedTarget
from penstock.kernel.call import Target
from penstock.kernel.errors import SettingsError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def group(*weights: float) -> list[Target]:
    return [Target(f"p{n}", "m", "m", 0, weight) for n, weight in enumerate(weights)]


def test_lists_within_the_list_are_groups_of_equal_rank() -> None:
    found = entries("m", ModelSettings(targets=("a/m", ("b/m", WeightedTarget(target="c/m", weight=2)), "d/m")))
    assert [(e.target, e.rank, e.weight) for e in found] == [("a/m", 0, 1), ("b/m", 1, 1), ("c/m", 1, 2), ("d/m", 2, 1)]


@pytest.mark.parametrize(
    ("targets", "hedge", "said"),
    [
        (("a/m", ()), None, r"gateway\.models\.m\.targets\[1\]: a group needs at least one target"),
        ((" ",), None, r"targets\[0\]: a target is empty"),
        (("a/m", ("b/m", "a/m")), None, r"targets\[1\]: 'a/m' is listed twice; give it a weight"),
        (("a/m",), 0.5, r"m\.hedge_seconds: hedging asks a second target, and there is only 'a/m'"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_precisely(targets: tuple[str | tuple[str, ...], ...], hedge: float | None, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        entries("m", ModelSettings(targets=targets, hedge_seconds=hedge))


def test_a_chain_without_groups_keeps_its_order_whatever_the_load() -> None:
    health = Health(ResilienceSettings(), {}, Clock())
    chain = [Target("a", "m", "m", 0), Target("b", "m", "m", 1)]
    health.of(chain[0]).begin(10_000)
    assert order(chain, health.of, 100, 0.0) is chain


def test_equal_targets_share_by_weight_when_they_answer_at_once() -> None:
    clock = Clock()
    health, targets, dice = Health(ResilienceSettings(), {}, clock), group(1, 3), random.Random(3)
    got: Counter[str] = Counter()
    for _ in range(2000):
        clock.now += 0.01
        tokens = dice.randint(50, 500)
        first = order(targets, health.of, tokens, clock.now)[0]
        standing = health.of(first)
        standing.begin(tokens)
        standing.succeeded(tokens, 0.001, 10)
        got[first.provider] += tokens
    assert got["p1"] / got["p0"] == pytest.approx(3, rel=0.1)


def test_a_target_that_holds_its_calls_gets_fewer() -> None:
    clock = Clock()
    health, targets = Health(ResilienceSettings(), {}, clock), group(1, 1)
    slow: list[float] = []
    got: Counter[str] = Counter()
    for _ in range(3000):
        clock.now += 0.02
        while slow and slow[0] <= clock.now:
            slow.pop(0)
            health.of(targets[0]).succeeded(100, 10.0, 10)
        first = order(targets, health.of, 100, clock.now)[0]
        health.of(first).begin(100)
        got[first.provider] += 1
        if first.provider == "p0":
            slow.append(clock.now + 10)  # ten seconds a call
        else:
            health.of(first).succeeded(100, 0.1, 10)
    assert got["p1"] > 2 * got["p0"]


def test_one_that_comes_back_gets_its_share_and_no_more() -> None:
    clock = Clock()
    health, targets, dice = Health(ResilienceSettings(ramp_seconds=5), {}, clock), group(1, 1), random.Random(5)
    back = health.of(targets[0])

    def ask(seconds: float) -> float:
        got: Counter[str] = Counter()
        for _ in range(int(seconds / 0.02)):
            clock.now += 0.02
            for target in order(targets, health.of, 100, clock.now, dice.random):
                if target.provider == "p1" or back.enter() is Pass.FREE:
                    health.of(target).begin(100)
                    health.of(target).succeeded(100, 0.01, 10)
                    got[target.provider] += 1
                    break
        return got["p0"] / got.total()

    assert ask(10) == pytest.approx(0.5, abs=0.02)
    back.circuit.pause(20, "rate limited (429)")
    assert ask(20) == 0
    clock.now += 2
    shares = [ask(1) for _ in range(12)]
    assert shares[0] < 0.25
    assert max(shares) <= 0.6
    assert shares[-1] == pytest.approx(0.5, abs=0.05)


def test_ranks_come_first() -> None:
    health = Health(ResilienceSettings(), {}, Clock())
    targets = [*group(1, 1), Target("spare", "m", "m", 1)]
    health.of(targets[0]).begin(500)
    assert [t.provider for t in order(targets, health.of, 100, 0.0)] == ["p1", "p0", "spare"]

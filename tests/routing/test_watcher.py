"""A watch suspends what is contradicted, and sound claims as rarely as it says, over all processes together."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.routing.simulated import CHEAP, DEAR, directions, outcome, policy

from penstock.kernel.evidence import Outcome
from penstock.kernel.tasks import Floor
from penstock.routing.arrays import Fit
from penstock.routing.fitting import distances
from penstock.routing.policy import Policy
from penstock.routing.watcher import MOST, PAIRS, Watcher

SOUND = policy(floor=Floor(level=0.8, kind="absolute"))
RELATIVE = policy(floor=Floor(level=0.9, kind="relative"), kind="router")


def watcher(of: Policy = SOUND, alarm: float = 0.05, seed: int = 0, vectors: Any = None) -> Watcher:
    known = directions(120) if vectors is None else vectors
    half = len(known) // 2
    fit = Fit(estimators={}, known=known[:20], scores=distances(known[:20], known[20:half]), points=known[half:])
    return Watcher(of, fit, alarm, seed)


def label(score: float, **more: Any) -> Outcome:
    return outcome(str(more.pop("item", "1")), more.pop("candidate", CHEAP), score, **{"source": "live", **more})


def test_many_processes_together_raise_no_more_false_alarms_than_one() -> None:
    """Four processes share the labels of a claim that is just true; what counts is whether any of them suspends."""
    alarms = 0
    for run in range(60):
        rng = np.random.default_rng(run)
        four = [watcher(alarm=0.2 / 4, seed=run * 4 + k) for k in range(4)]
        alarms += any(one.judged(label(float(rng.random() < 0.8)), 1.0, DEAR, 1) for _ in range(150) for one in four)
    assert alarms <= 21  # 20 % of 60 is 12; more than 21 come by chance once in 400


def test_a_floor_that_is_missed_is_seen() -> None:
    rng = np.random.default_rng(1)
    one = watcher()
    seen = next(n for n in range(1000) if one.judged(label(float(rng.random() < 0.6)), 1.0, DEAR, 1))
    assert seen < 250
    assert one.suspended
    assert "judged answers miss the floor" in one.why()
    assert one.judged(label(1.0), 1.0, DEAR, 1)  # for good


def test_labels_that_are_likelier_than_the_rarest_are_thinned() -> None:
    one = watcher()
    for _ in range(2000):
        one.judged(label(1.0, propensity=1.0), 0.1, DEAR, 1)
    assert 140 <= one.labels <= 260
    before = one.labels
    for _ in range(50):
        one.judged(label(1.0, propensity=0.1), 0.1, DEAR, 1)
        one.judged(label(1.0, propensity=0.05), 0.1, DEAR, 1)
    assert one.labels == before + 100


@pytest.mark.parametrize("score", [float("nan"), -0.5, 1.5, float("inf")])
def test_what_is_no_score_is_no_bet(score: float) -> None:
    one = watcher()
    assert not one.judged(label(score), 1.0, DEAR, 1)
    assert (one.labels, one.evidence) == (0, pytest.approx(1.0))


def test_what_stood_in_for_the_pick_says_nothing_of_the_claim() -> None:
    one = watcher()
    for _ in range(300):
        one.judged(label(0.0, candidate=DEAR), 1.0, DEAR, 1)
        one.judged(label(0.0, candidate="gone/model"), 1.0, DEAR, 1)
    assert (one.labels, one.suspended) == (0, False)
    cascade = watcher(policy(kind="cascade", chosen=CHEAP, next=DEAR))
    cascade.judged(label(1.0, candidate=DEAR), 1.0, DEAR, 1)
    cascade.judged(label(1.0, candidate="gone/model"), 1.0, DEAR, 1)
    assert cascade.labels == 1


def test_evaluations_and_shadows_are_no_bets_on_an_absolute_floor() -> None:
    one = watcher()
    one.judged(label(0.0, source="shadow"), 1.0, DEAR, 1)
    one.judged(label(0.0, source="evaluation"), 1.0, DEAR, 1)
    assert one.labels == 0


def test_a_relative_floor_takes_pairs_in_any_order() -> None:
    one = watcher(RELATIVE)
    for n in range(200):
        pair = [label(0.0, item=n), label(1.0, item=n, candidate=DEAR, source="shadow")]
        for said in pair if n % 2 else pair[::-1]:
            one.judged(said, 1.0, DEAR, 1)
    assert (one.labels, one.suspended) == (200, True)
    calm = watcher(RELATIVE)
    for n in range(200):
        calm.judged(label(1.0, item=n), 1.0, DEAR, 1)
        calm.judged(label(1.0, item=n), 1.0, DEAR, 1)  # told twice
        calm.judged(label(0.0, item=n, candidate=CHEAP, source="shadow"), 1.0, DEAR, 1)  # not the reference: no comparison
    assert (calm.labels, calm.suspended) == (0, False)


def test_pairs_with_the_reference_served_are_thinned_to_the_others() -> None:
    one = watcher(RELATIVE)
    for n in range(600):
        one.judged(label(1.0, item=n, candidate=DEAR), 1.0, DEAR, 3)
        one.judged(label(1.0, item=n, candidate=CHEAP, source="shadow"), 1.0, DEAR, 3)
    assert 150 <= one.labels <= 250


def test_calls_that_wait_for_their_shadow_are_few_and_hold_no_text() -> None:
    one = watcher(RELATIVE)
    for n in range(PAIRS + 500):
        one.judged(label(1.0, item=n, prompt="a secret of somebody's"), 1.0, DEAR, 1)
    waiting = one._pairs  # type: ignore[attr-defined]
    assert len(waiting) == PAIRS
    assert "secret" not in repr(waiting)
    one.judged(label(1.0, item=0, candidate=DEAR, source="shadow"), 1.0, DEAR, 1)
    assert one.labels == 0  # its call was let go


def test_other_prompts_suspend_and_the_same_do_not() -> None:
    def around(centre: int, n: int, seed: int) -> Any:
        found = directions(n, seed) * 0.5
        found[:, centre] += 1.5
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    known = around(0, 900, 1)
    same, other = watcher(vectors=known), watcher(vectors=known)
    assert not any(same.call(vector) for vector in around(0, 300, 2))
    assert any(other.call(vector) for vector in around(1, 300, 3))
    assert "prompts" in other.why()
    assert same.calls == 300


def test_what_was_won_goes_on_after_a_restart() -> None:
    rng = np.random.default_rng(3)
    one = watcher()
    for vector in directions(20, 9):
        one.call(vector)
        one.judged(label(float(rng.random() < 0.7)), 1.0, DEAR, 1)
    other = watcher()
    other.resume(one.saved())
    assert (other.evidence, other.calls, other.labels) == (one.evidence, 20, 20)
    while not one.suspended:
        one.judged(label(0.0), 1.0, DEAR, 1)
    other.resume(one.saved())
    assert other.suspended


@pytest.mark.parametrize("saved", [b"", b"\xc1", b"\x90", b"\x95\x01\x02\x03\x04\x05", b"nonsense"])
def test_a_state_that_cannot_be_read_is_said_to_be_so(saved: bytes) -> None:
    one = watcher()
    with pytest.raises(ValueError, match="cannot be read"):
        one.resume(saved)
    assert one.evidence == pytest.approx(1.0)


def test_what_is_kept_of_twenty_thousand_calls_is_little() -> None:
    known = directions(2000, 1, size=384)
    one = watcher(vectors=known)
    for vector in directions(MOST, 2, size=384)[: MOST - 1000]:
        one.call(vector)
    kept = one.saved()
    assert one.calls == MOST - 1000
    assert len(kept) < 16_000  # it was 180,000 bytes when scores were kept as they were
    other = watcher(vectors=known)
    other.resume(kept)
    assert other.evidence == one.evidence
    assert other._stranger.seen == one._stranger.seen  # type: ignore[attr-defined]


def test_a_state_of_the_first_kind_is_taken_up() -> None:
    """It held all scores, those of the evidence among them."""
    one = watcher()
    for vector in directions(20, 9):
        one.call(vector)
    stranger, witness, shortfall, calls, labels, _ = msgspec.msgpack.decode(one.saved())
    scores = sorted([*(float(x) for x in one._fit.scores), *one._stranger.state().numbers])  # type: ignore[attr-defined]
    old = msgspec.msgpack.encode([[stranger[0], scores], witness, shortfall, calls, labels])
    other = watcher()
    other.resume(old)
    assert (other.evidence, other.calls) == (one.evidence, 20)
    assert other._stranger.seen == one._stranger.seen  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="of other evidence"):
        watcher(vectors=directions(120, 5)).resume(old)


def _damaged() -> Iterator[tuple[str, Any]]:
    def of(change: Callable[[list[Any]], None]) -> Callable[[bytes], bytes]:
        def damage(kept: bytes) -> bytes:
            state = msgspec.msgpack.decode(kept)
            change(state)
            return msgspec.msgpack.encode(state)

        return damage

    yield "gamblers", of(lambda state: state[0].__setitem__(0, [[1.0]]))
    yield "money that is none", of(lambda state: state[0][0][0].__setitem__(0, float("nan")))
    yield "debts", of(lambda state: state[2][0][0].__setitem__(0, -1.0))
    yield "fewer stakes", of(lambda state: state[2].__setitem__(0, [[1.0]]))
    yield "no stakes", of(lambda state: state[2].__setitem__(0, []))
    yield "a short direction", of(lambda state: state[1].__setitem__(1, [1.0]))
    yield "no direction", of(lambda state: state[1].__setitem__(1, []))
    yield "a direction that is none", of(lambda state: state[1][1].__setitem__(4, float("inf")))
    yield "more points than there are", of(lambda state: state[1][1].__setitem__(0, 1e9))
    yield "a square of nothing", of(lambda state: state[1][1].__setitem__(2, 0.0))
    yield "fewer than no calls", of(lambda state: state.__setitem__(3, -1))
    yield "scores that are no scores", of(lambda state: state.__setitem__(5, b"rubbish"))
    yield "half a score", of(lambda state: state.__setitem__(5, zlib.compress(b"abc")))
    yield "a score that is no number", of(lambda state: state.__setitem__(5, zlib.compress(b"\x00\x7e")))
    yield "scores that are cut off", of(lambda state: state.__setitem__(5, state[5][:-3]))
    yield "something after the scores", of(lambda state: state.__setitem__(5, state[5] + b"more"))
    yield "scores without end", of(lambda state: state.__setitem__(5, zlib.compress(bytes(4 * MOST))))
    yield "half of it", lambda kept: kept[: len(kept) // 2]


@pytest.mark.parametrize("damage", [pytest.param(damage, id=name) for name, damage in _damaged()])
def test_damage_is_refused_and_leaves_a_watch_that_works(damage: Callable[[bytes], bytes]) -> None:
    before = watcher()
    for vector in directions(30, 9):
        before.call(vector)
        before.judged(label(0.0), 1.0, DEAR, 1)
    one = watcher()
    with pytest.raises(ValueError, match="cannot be read"):
        one.resume(damage(before.saved()))
    assert (one.evidence, one.calls, one.labels, one.left) == (pytest.approx(1.0), 0, 0, 1.0)
    for vector in directions(5, 3):
        one.call(vector)
    assert one.left < 1


def test_evidence_that_is_used_up_makes_the_policy_due() -> None:
    one = watcher()
    assert not one.due
    for vector in directions(65, 4):
        one.call(vector)
    assert one.left == 0
    assert not one.due  # the other gambler still bets

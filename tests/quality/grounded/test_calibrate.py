"""A task's own limits: the promise holds for any scores, few labels give none, plain cases come out by hand."""

from __future__ import annotations

import random

import pytest

from penstock.quality.grounded.calibrate import best_threshold, calibrate, labels_wanted


def labels(rng: random.Random, n: int, overlap: float) -> list[tuple[float, bool]]:
    """Grounded scores from 0 on, ungrounded ones up to 1; in steps, so that there are ties."""
    found: list[tuple[float, bool]] = []
    for index in range(n):
        bad = index % 3 == 0
        spread = round(rng.random() * overlap, 2)
        found.append((1 - spread if bad else spread, bad))
    return found


def test_too_few_labels_leave_everything_unsure() -> None:
    assert labels_wanted(0.1, 0.95) == 36
    found = calibrate([(0.1, False)] * 35 + [(0.9, True)] * 2, detector="d", at=1.0)
    assert found.limits.verdict(0.0) == found.limits.verdict(1.0) == "unsure"
    assert found.unsure == 1
    assert found.why == "Too few labels for a limit: it takes 1 more grounded and 34 more ungrounded replies."
    none = calibrate([], detector="d", at=1.0)
    assert (none.threshold, none.caught, none.unsure) == (None, None, 1.0)


def test_one_class_alone_gives_one_limit() -> None:
    found = calibrate([(0.1, False)] * 40, detector="d", at=1.0)
    assert found.limits.verdict(0.2) == "ungrounded"
    assert found.limits.verdict(0.1) == found.limits.verdict(0.0) == "unsure"
    assert found.threshold is None
    assert found.caught_between == (0.0, 1.0)


def test_classes_far_apart_leave_nothing_unsure() -> None:
    found = calibrate([(0.1, False)] * 40 + [(0.9, True)] * 40, detector="d", at=1.0)
    assert found.limits.low == found.limits.high == 0.5
    assert (found.caught, found.cleared, found.unsure, found.why) == (1.0, 1.0, 0.0, "")
    assert found.caught_between[0] < 1
    assert found.limits.verdict(0.5) == "grounded"


def test_more_labels_narrow_the_limits() -> None:
    widths: list[float] = []
    for n in (150, 600, 3000):
        limits = calibrate(labels(random.Random(1), n, 0.8), detector="d", at=1.0).limits
        widths.append(limits.high - limits.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]


@pytest.mark.parametrize(("n", "overlap"), [(120, 0.9), (120, 0.6), (300, 0.7)])
def test_the_promise_is_broken_as_rarely_as_stated(n: int, overlap: float) -> None:
    """Scores are uniform in steps of .01, so the true error of a limit is known: 200 calibrations, at most 5 % of them off, and chance."""
    rng = random.Random(n)
    broken = 0
    for _ in range(200):
        limits = calibrate(labels(rng, n, overlap), detector="d", at=1.0).limits
        steps = [round(rng.random() * overlap, 2) for _ in range(1500)]
        missed = sum(1 - spread <= limits.low for spread in steps) / len(steps)
        flagged = sum(limits.verdict(spread) == "ungrounded" for spread in steps) / len(steps)
        broken += missed > 0.12 or flagged > 0.12  # .1, and the noise of 1,500 draws
    assert broken <= 20


def test_the_best_threshold_lies_in_the_middle_of_its_gap() -> None:
    assert best_threshold([0.1, 0.2], [0.6, 0.9]) == pytest.approx(0.4)
    assert best_threshold([0.1, 0.5], [0.5, 0.9]) in (pytest.approx(0.3), pytest.approx(0.7))
    assert best_threshold([], [0.5]) is None


@pytest.mark.parametrize(("given", "more"), [([(1.5, True)], {}), ([(0.5, True)], {"error": 0.0}), ([(0.5, True)], {"confidence": 1.0})])
def test_nonsense_is_refused(given: list[tuple[float, bool]], more: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibrate(given, detector="d", at=1.0, **more)

"""A task's own limits, from labels of its own replies: where the detector may say grounded, and where ungrounded.

A detector's scores mean one thing on one kind of text and another on the next (docs/groundedness.md has the figures), so a task that wants
to rely on verdicts labels some of its replies. Two limits come of them, each a distribution-free tolerance limit (Wilks 1941): of
ungrounded replies at most ``error`` score at or below the lower one, of grounded ones at most ``error`` at or above the upper one, with
``confidence`` for both together, whatever the scores are like, as long as labels are drawn like the replies to come. Between the limits the
verdict is ``unsure``. Few labels make the limits wide; with too few there is none, and everything is unsure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from penstock.quality.grounded.judgement import Limits
from penstock.statistics.bounds import binomial_p_value, clopper_pearson

METHOD = "distribution-free tolerance limits for each class (Wilks), exact binomial"
_NEVER, _ALWAYS = -1.0, 2.0


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What the labels support. ``limits`` go into a detector; ``threshold`` is the one score that parts these labels best.

    ``caught`` and ``cleared`` are the shares of ungrounded and grounded labels on the right side of ``threshold``, each with an exact
    interval of its own (``caught_between``, ``cleared_between``); the threshold was picked on the same labels, so they flatter it when
    those are few, while the limits keep their promise. ``unsure`` is the share of the labels between the limits. ``why`` says what is
    missing, and is empty when nothing is. ``at``: when, in Unix seconds; ``detector``: whose scores.
    """

    limits: Limits
    threshold: float | None
    error: float
    confidence: float
    grounded: int
    ungrounded: int
    caught: float | None
    caught_between: tuple[float, float]
    cleared: float | None
    cleared_between: tuple[float, float]
    unsure: float
    detector: str
    at: float
    method: str = METHOD
    why: str = ""


def calibrate(
    labels: Sequence[tuple[float, bool]], *, detector: str, at: float, error: float = 0.1, confidence: float = 0.95
) -> Calibration:
    """Limits from ``labels``: a detector's score of a reply, and whether somebody found it ungrounded."""
    if not (0 < error < 1 and 0 < confidence < 1):
        raise ValueError(f"wants an error and a confidence between 0 and 1, not {error} and {confidence}")
    if not all(0 <= score <= 1 for score, _ in labels):
        raise ValueError("scores lie between 0 and 1")
    bad = sorted(score for score, ungrounded in labels if ungrounded)
    good = sorted(score for score, ungrounded in labels if not ungrounded)
    each = (1 + confidence) / 2
    low = _tolerance(bad, error, each)
    high = _tolerance([-score for score in reversed(good)], error, each)
    lowest = _NEVER if low is None else math.nextafter(low, -1)
    highest = _ALWAYS if high is None else math.nextafter(-high, 2)
    threshold = best_threshold(good, bad)
    if lowest >= highest:
        # The classes are so far apart that one line keeps both promises; any between the two does.
        middle = min(max(threshold if threshold is not None else highest, highest), lowest)
        lowest = highest = middle
    limits = Limits(low=lowest, high=highest)
    caught = sum(1 for score in bad if threshold is not None and score > threshold)
    cleared = sum(1 for score in good if threshold is not None and score <= threshold)
    return Calibration(
        limits=limits,
        threshold=threshold,
        error=error,
        confidence=confidence,
        grounded=len(good),
        ungrounded=len(bad),
        caught=caught / len(bad) if bad and good else None,
        caught_between=clopper_pearson(caught, len(bad), confidence) if good else (0.0, 1.0),
        cleared=cleared / len(good) if bad and good else None,
        cleared_between=clopper_pearson(cleared, len(good), confidence) if bad else (0.0, 1.0),
        unsure=sum(1 for score, _ in labels if limits.verdict(score) == "unsure") / len(labels) if labels else 1.0,
        detector=detector,
        at=at,
        why=_missing(len(good), len(bad), labels_wanted(error, confidence)),
    )


def labels_wanted(error: float, confidence: float) -> int:
    """The fewest labels of a class with which its limit exists: (1 - error)^n is then below the class's share of the risk."""
    return math.ceil(math.log((1 - confidence) / 2) / math.log(1 - error))


def best_threshold(good: Sequence[float], bad: Sequence[float]) -> float | None:
    """The score with the best balanced accuracy, grounded at or below it; in the middle of its gap. None without both classes."""
    if not good or not bad:
        return None
    ranked = sorted([(score, 0) for score in good] + [(score, 1) for score in bad])
    best, found = -1.0, ranked[0][0]
    below = [0, 0]
    for index, (score, label) in enumerate(ranked):
        below[label] += 1
        if index + 1 < len(ranked) and ranked[index + 1][0] == score:
            continue
        gain = below[0] / len(good) + 1 - below[1] / len(bad)
        if gain > best + 1e-12:
            after = ranked[index + 1][0] if index + 1 < len(ranked) else 1.0
            best, found = gain, (score + after) / 2
    return found


def _tolerance(rising: Sequence[float], error: float, confidence: float) -> float | None:
    """A value that at most ``error`` of the population lies strictly below, with ``confidence``; None when the sample is too small.

    With the k+1 smallest value that share is Beta(k+1, n-k) for continuous values and smaller with ties; it is at most ``error`` with the
    probability that a binomial of n and ``error`` reaches k+1.
    """
    n = len(rising)
    found = None
    for k in range(n):
        if binomial_p_value(k + 1, n, error) < confidence:
            break
        found = rising[k]
    return found


def _missing(good: int, bad: int, wanted: int) -> str:
    short = [f"{wanted - count} more {name}" for name, count in (("grounded", good), ("ungrounded", bad)) if count < wanted]
    return f"Too few labels for a limit: it takes {' and '.join(short)} replies." if short else ""

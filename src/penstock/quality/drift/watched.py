"""One task that is watched: its reference, a detector for each feature, and what they have found so far. In memory; decides nothing else.

The calls from the baseline on are the reference, until there are enough; their first half teaches the rules, the other half begins the
detectors. Each later call is observed once. Over all features together a false alarm comes at most once in ``calls`` calls on average, as
long as calls of the task are exchangeable (see `penstock.statistics.changes`): every feature's limit is ``calls`` times their number.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from zlib import crc32

from msgspec import Struct

from penstock.quality.drift.features import FEATURES, Rule, learned
from penstock.quality.samples import Kept
from penstock.statistics.changes import Numbers, changed_at, changed_category


class Seen(Struct, frozen=True):
    """A call as the watch remembers it."""

    id: str
    at: float
    model: str


class Change(Struct, frozen=True, kw_only=True):
    """What a feature's detector has found. ``changed_at`` is when the change seems to have come, ``call`` the first call after it."""

    feature: str
    changed_at: float
    detected_at: float
    call: str
    evidence: float


class Watching:
    """A feature on its way. ``scores`` holds one number for each call since the baseline, NaN where the call has none."""

    def __init__(self, rule: Rule, reference: Sequence[Kept], limit: float, seed: int) -> None:
        self.rule = rule
        self.limit = limit
        self.change: Change | None = None
        self.scores = array("d", (math.nan if (value := rule.score(one)) is None else value for one in reference))
        held = [value for value in self.scores[len(reference) // 2 :] if not math.isnan(value)]
        self.detector = Numbers(held, seed)
        self.path = array("f")  # the evidence after each call behind the reference

    def observe(self, one: Kept, seen: Sequence[Seen], reference: int) -> Change | None:
        """Take a call; the change where this call has made it certain."""
        value = self.rule.score(one)
        self.scores.append(math.nan if value is None else value)
        if value is not None:
            self.detector.observe(value)
        self.path.append(min(3e38, self.detector.evidence))
        if self.change is not None or self.detector.evidence < self.limit:
            return None
        place = self._place(reference)
        self.change = Change(
            feature=self.rule.feature.name,
            changed_at=seen[place].at,
            detected_at=seen[-1].at,
            call=seen[place].id,
            evidence=self.detector.evidence,
        )
        return self.change

    def _place(self, reference: int) -> int:
        """Where the change seems to have come, among all calls since the baseline."""
        # Without those that taught the rule, which they suit better than any others.
        start = reference // 2
        places = [place for place in range(start, len(self.scores)) if not math.isnan(self.scores[place])]
        values = [self.scores[place] for place in places]
        if self.rule.kinds:
            return places[changed_category([int(value) for value in values], len(self.rule.kinds))]
        return places[changed_at(values)]


class Watched:
    """A task. ``reference`` is how many calls make one."""

    def __init__(
        self, organisation: str, task: str, *, baseline: str = "", since: float = 0.0, reference: int = 400, calls: float = 1e4
    ) -> None:
        self.organisation = organisation
        self.task = task
        self.baseline = baseline
        self.since = since
        self.wanted = reference
        self.calls = calls
        self.seen: list[Seen] = []
        self.features: dict[str, Watching] = {}
        self.written: set[str] = set()
        """Features whose change is on the record."""
        self._reference: list[Kept] = []
        self._known: set[str] = set()
        self._vectors: dict[str, object] = {}

    @property
    def ready(self) -> bool:
        """Whether there is a reference."""
        return len(self.seen) >= self.wanted

    @property
    def changes(self) -> list[Change]:
        """What has changed, in the order in which it seems to have."""
        found = [one.change for one in self.features.values() if one.change is not None]
        return sorted(found, key=lambda one: (one.changed_at, one.detected_at, -one.evidence))

    def knows(self, id: str) -> bool:
        """Whether this call was observed."""
        return id in self._known

    def observe(self, one: Kept, vector: object = None) -> list[Change]:
        """Take a call, once, with the embedding of its prompt where there is one; what it has made certain."""
        if one.id in self._known:
            return []
        self._known.add(one.id)
        if vector is not None:
            self._vectors[one.id] = vector
        self.seen.append(Seen(one.id, one.at, one.candidate))
        if len(self.seen) > self.wanted:
            found = [change for each in self.features.values() if (change := each.observe(one, self.seen, self.wanted)) is not None]
            self._vectors.pop(one.id, None)
            return found
        self._reference.append(one)
        if len(self.seen) == self.wanted:
            self._learn()
        return []

    def _learn(self) -> None:
        first = self._reference[: self.wanted // 2]
        rules = [rule for feature in FEATURES if (rule := learned(feature, first, self._vectors)) is not None]
        features: dict[str, Watching] = {}
        for rule in rules:
            seed = crc32(f"{self.organisation}/{self.task}/{self.baseline}/{rule.feature.name}".encode())
            features[rule.feature.name] = Watching(rule, self._reference, self.calls * len(rules), seed)
        self.features = features  # at once: pages and rules read it while this runs on a thread
        self._reference = []
        self._vectors.clear()


def score(evidence: float, limit: float) -> float:
    """Evidence from 0 to 1, where 1 is an alarm: by its logarithm, since evidence multiplies."""
    return min(1.0, math.log1p(evidence) / math.log1p(limit))


__all__ = ["Change", "Seen", "Watched", "Watching", "score"]

"""The answer matches a pattern; where the item has a target, what was matched is compared with it."""

from __future__ import annotations

import re

from penstock.quality.examples import Item
from penstock.quality.graders.grade import Grade, judged, unjudged
from penstock.quality.graders.matching import Matcher, TooSlow


class Regex:
    """Searches for ``pattern``; the last match counts, its first group where it has one."""

    name = "regex"
    compares = False

    def __init__(self, matcher: Matcher, *, pattern: str, ignore_case: bool) -> None:
        self._matcher = matcher
        self._pattern = pattern
        self._flags = re.IGNORECASE if ignore_case else 0

    async def grade(self, item: Item, answer: str, against: str | None = None) -> Grade:
        """1 where it matches (and is a target, where there are any), else 0."""
        try:
            said = await self._matcher.last(self._pattern, answer, self._flags)
        except TooSlow as fault:
            return unjudged(str(fault))
        if said is None:
            return judged(0.0, "nothing in the answer matches the pattern")
        if not item.targets:
            return judged(1.0)
        right = self._plain(said) in {self._plain(target) for target in item.targets}
        return judged(1.0 if right else 0.0, f"read as {said[:80]!r}")

    def _plain(self, text: str) -> str:
        return text.strip().casefold() if self._flags else text.strip()


__all__ = ["Regex"]

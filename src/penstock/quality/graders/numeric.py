"""The answer's number is the target's, within a tolerance."""

from __future__ import annotations

import math
import re

from penstock.quality.examples import Item
from penstock.quality.graders.grade import Grade, judged, unjudged
from penstock.quality.graders.matching import Matcher, TooSlow

_NUMBER = re.compile(r"[-+−]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?")
_ROUNDING = 1e-9


class Numeric:
    """``pattern`` says where in the answer the number stands, the last one without. ``tolerance`` is relative to the target."""

    name = "numeric"
    compares = False

    def __init__(self, matcher: Matcher, *, pattern: str | None, tolerance: float) -> None:
        self._matcher = matcher
        self._pattern = pattern
        self._tolerance = max(tolerance, _ROUNDING)

    async def grade(self, item: Item, answer: str, against: str | None = None) -> Grade:
        """1 for a number within the tolerance, 0 for another or none; `unjudged` where the target is no number."""
        wanted = [n for n in map(last_number, item.targets) if n is not None]
        if not wanted:
            return unjudged("the item's target is no number")
        said: str | None = answer
        if self._pattern is not None:
            try:
                said = await self._matcher.last(self._pattern, answer, re.IGNORECASE)
            except TooSlow as fault:
                return unjudged(str(fault))
        found = last_number(said) if said is not None else None
        if found is None:
            return judged(0.0, "no number in the answer")
        # Of a target of 0 no share can be taken: there the tolerance is absolute.
        right = any(abs(found - each) <= self._tolerance * (abs(each) or 1.0) for each in wanted)
        return judged(1.0 if right else 0.0, f"read as {found:g}")


def last_number(text: str) -> float | None:
    """The last number in a text; thousands may be parted by commas. None without one."""
    found = _NUMBER.findall(text)
    if not found:
        return None
    try:
        number = float(found[-1].replace(",", "").replace("−", "-"))
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


__all__ = ["Numeric", "last_number"]

"""Durations as buckets, each 2 % wider than the one before, so that an engine finds quantiles by counting small integers.

A bucket stands for its middle, so a quantile is within 1 % of a duration that was measured. Counting costs a fraction of what a digest
does, which is what makes a month of calls answerable at once.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

WIDTH = 1.02
LAST = 3000
"""Longer than anything lasts."""


def bucket_of(nanoseconds: int) -> int:
    """The bucket of a duration; 0 for less than a microsecond."""
    return 0 if nanoseconds < 1000 else min(LAST, 1 + int(math.log(nanoseconds / 1000) / math.log(WIDTH)))


def bucket_sql(nanoseconds: str) -> str:
    """The same in SQL, NULL for NULL."""
    wide = math.log(WIDTH)
    return (
        f"CASE WHEN {nanoseconds} IS NULL THEN NULL WHEN {nanoseconds} < 1000 THEN 0 "
        f"ELSE least({LAST}, 1 + floor(ln({nanoseconds} / 1000.0) / {wide!r})) END"
    )


def milliseconds(bucket: int | None) -> float | None:
    """The middle of a bucket."""
    if bucket is None:
        return None
    return 0.0 if bucket == 0 else float(f"{WIDTH ** (bucket - 0.5) / 1000:.4g}")


PACKED = 1 << 40
_COUNT = PACKED - 1


def quantiles(packed: Iterable[int], percents: Sequence[int]) -> list[float | None]:
    """Milliseconds that so many percent of what was counted did not exceed, None where nothing was; by nearest rank.

    ``packed`` has a number for each bucket, in any order: the bucket times `PACKED`, plus how many are in it.
    """
    numbers = sorted(packed)
    upto = list(accumulate(number & _COUNT for number in numbers))
    if not upto or not upto[-1]:
        return [None] * len(percents)
    return [milliseconds(numbers[bisect_left(upto, -(-upto[-1] * percent // 100))] // PACKED) for percent in percents]

"""Which texts an embedding model is asked about, and what its vectors say: few and short ones, since its time grows with them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import mul

from penstock.quality.grounded.features import Context, Part
from penstock.quality.grounded.words import placed

NAMES = ("least_alike", "mean_alike")
"""The figures of `similarities`: the least and the mean cosine of the pairs."""

PAIRS = 2
CLIP = 115
"""At most so many sentences, at most so many characters of each and of its counterpart: together about 110 tokens."""


def compared(parts: Sequence[Part], context: Context, reply: str) -> list[tuple[str, str]]:
    """The reply's most doubtful sentences, each with the part of the context that holds most of its words. At least one pair."""
    doubtful = sorted(parts, key=lambda part: part.share)[:PAIRS]
    return [(reply[part.start : min(part.end, part.start + CLIP)], _counterpart(part, context)) for part in doubtful]


def _counterpart(part: Part, context: Context) -> str:
    number, start, end = context.sentences[max(part.best, 0)]
    text = context.texts[number]
    if end - start > CLIP and part.best >= 0:
        # A long sentence is cut to the stretch in which most of the words stand.
        wanted = set(part.content)
        starts = [first for stem, _, (first, _) in placed(text, start, end) if stem in wanted]
        held = [sum(1 for other in starts[index:] if other < first + CLIP) for index, first in enumerate(starts)]
        start = max(start, min(starts[held.index(max(held))], end - CLIP))
    return text[start : min(end, start + CLIP)]


def similarities(vectors: Sequence[bytes]) -> list[float]:
    """The figures of `NAMES` from the vectors of pairs, one after the other, each of length 1 in float32."""
    read = [array("f", vector) for vector in vectors]
    cosines = [sum(map(mul, left, right)) for left, right in zip(read[::2], read[1::2], strict=True)]
    return [min(cosines), sum(cosines) / len(cosines)]

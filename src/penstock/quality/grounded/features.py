"""What a reply looks like beside its context: the figures that the detector judges by. Standard library only, microseconds a sentence.

All are shares, which mean the same for a reply of one line and one of a page, beside a context of a paragraph or a book. Lengths and
counts were tried too: they help on sets that were learnt from and hurt on those that were not (docs/groundedness.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise

from penstock.quality.grounded.words import (
    CONTENT,
    NEGATION,
    NUMBER,
    OF_ADDRESSED,
    OF_OPINION,
    OF_SPEAKER,
    Word,
    sentences,
    words,
)

NAMES = (
    "content_missing", "content_missing_weighted", "words_present", "pairs_present", "triples_present", "pairs_near", "longest_run",
    "in_order", "numbers_missing", "names_missing", "negation_differs", "speaker", "addressed", "opinion", "question", "best_sentence",
    "worst_sentence", "window", "alike_missing", "unrelated_run", "odd_order",
)  # fmt: skip
"""The figures in their order; docs/groundedness.md says what each is."""

WINDOW = 40
"""Words of the context that are looked at together, for evidence that spreads over sentences."""

_NEAR = 5


class Context:
    """What the reply may rest on, read once: its sentences, where each stem stands, which stems stand side by side."""

    def __init__(self, texts: Sequence[str], weights: Mapping[str, float], rare: float) -> None:
        """``weights`` says how much each stem tells, ``rare`` what one that is not listed does (`Model.weights`)."""
        self.texts = texts
        self.sentences: list[tuple[int, int, int]] = []
        """Text, start and end of each sentence."""
        self.at: dict[str, list[int]] = {}
        """The places of each stem; places count words over all texts."""
        self.sentence_of: list[int] = []
        self.starts: list[int] = []
        """Where in its text each place's word begins."""
        self.negated: set[int] = set()
        order: list[str] = []
        for number, text in enumerate(texts):
            said = words(text)
            for (start, end), (first, last) in parts_of(text, said):
                index = len(self.sentences)
                self.sentences.append((number, start, end))
                self.sentence_of += [index] * (last - first)
                for word in said[first:last]:
                    self.at.setdefault(word.stem, []).append(len(order))
                    order.append(word.stem)
                    self.starts.append(word.start)
                    if word.kind & NEGATION:
                        self.negated.add(index)
        self.length = len(order)
        self.pairs = set(pairwise(order))
        self.triples = set(zip(order, order[1:], order[2:], strict=False))
        self.heads = {stem[:4] for stem in self.at if len(stem) > 3}
        self._weights, self._rare = weights, rare

    def weight(self, stem: str) -> float:
        """How much a stem tells: the rarer, the more."""
        return self._weights.get(stem, self._rare)


class Part:
    """A sentence of a reply: its words, and the context's sentence that holds most of them by weight (-1: none holds any)."""

    __slots__ = ("words", "content", "start", "end", "best", "share")

    def __init__(self, said: Sequence[Word], start: int, end: int, context: Context) -> None:
        self.words, self.start, self.end = said, start, end
        self.content = [word for word in said if word.kind & CONTENT]
        self.best, self.share = best_sentence(self.content, context)


def split(reply: str, context: Context) -> list[Part]:
    """The reply's sentences that have words."""
    said = words(reply)
    return [Part(said[first:last], start, end, context) for (start, end), (first, last) in parts_of(reply, said)]


def measure(parts: Sequence[Part], questions: int, context: Context) -> list[float]:
    """The figures of `NAMES` for these sentences together; ``questions`` is how many question marks they hold."""
    said = [word for part in parts for word in part.words]
    content = [word for part in parts for word in part.content]
    at, weight = context.at, context.weight
    stems = [word.stem for word in said]
    kept = [word.stem for word in content]
    weights = [weight(stem) for stem in kept]
    missing = [word for word in content if word.stem not in at]
    numbers = [word.stem for word in content if word.kind & NUMBER]
    names = [word.stem for part in parts for word in part.words[1:] if word.capital and word.kind & CONTENT]
    absent = [word.stem for word in missing if not word.kind & NUMBER]
    total = sum(weights)
    of = len(said) or 1
    kinds = [word.kind for word in said]
    return [
        len(missing) / len(content) if content else 0.5,
        sum(weight(word.stem) for word in missing) / total if total else 0.5,
        sum(1 for stem in stems if stem in at) / of,
        _share(list(pairwise(stems)), context.pairs),
        _share(list(zip(stems, stems[1:], stems[2:], strict=False)), context.triples),
        _near(kept, at),
        _longest(stems, at) / of,
        _in_order(stems, at, context.length) / of,
        sum(1 for stem in numbers if stem not in at) / len(numbers) if numbers else 0.0,
        sum(1 for stem in names if stem not in at) / len(names) if names else 0.0,
        sum(1 for part in parts if part.share > 0.5 and _negated(part) != (part.best in context.negated)) / (len(parts) or 1),
        sum(1 for kind in kinds if kind & OF_SPEAKER) / of,
        sum(1 for kind in kinds if kind & OF_ADDRESSED) / of,
        sum(1 for kind in kinds if kind & OF_OPINION) / of,
        questions / (len(parts) or 1),
        max((part.share for part in parts), default=0.0),
        min((part.share for part in parts), default=0.0),
        _window(kept, context),
        sum(1 for stem in absent if len(stem) > 3 and stem[:4] in context.heads) / len(absent) if absent else 0.0,
        _absent_run(said, at) / of,
        _odd_order(kept, at),
    ]


def best_sentence(content: Sequence[Word], context: Context) -> tuple[int, float]:
    """The context's sentence that holds most of these words by weight, and its share of their weight; -1 when none holds any."""
    gained: dict[int, float] = {}
    total = 0.0
    for word in content:
        weight = context.weight(word.stem)
        total += weight
        places = context.at.get(word.stem)
        if places is not None:
            for index in {context.sentence_of[place] for place in places}:
                gained[index] = gained.get(index, 0.0) + weight
    if not gained:
        return -1, 0.0
    best = max(gained, key=gained.__getitem__)
    return best, gained[best] / total


def parts_of(text: str, said: Sequence[Word]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The sentences of a text: where each stands, and which of its words it holds; those without a word are left out."""
    found: list[tuple[tuple[int, int], tuple[int, int]]] = []
    index, n = 0, len(said)
    for start, end in sentences(text):
        first = index
        while index < n and said[index].end <= end:
            index += 1
        if index > first:
            found.append(((start, end), (first, index)))
    return found


def _negated(part: Part) -> bool:
    return any(word.kind & NEGATION for word in part.words)


def _share(grams: Sequence[object], found: AbstractSet[object]) -> float:
    return sum(1 for gram in grams if gram in found) / len(grams) if grams else 0.5


def _near(kept: Sequence[str], at: Mapping[str, list[int]]) -> float:
    """Of neighbouring content words, how many stand within `_NEAR` words of each other in the context, in the same order."""
    if len(kept) < 2:
        return 0.5
    hits = 0
    for left, right in pairwise(kept):
        places = at.get(right)
        if places and left in at:
            after = set(places)
            hits += any(place + step in after for place in at[left] for step in range(1, _NEAR + 1))
    return hits / (len(kept) - 1)


def _longest(stems: Sequence[str], at: Mapping[str, list[int]]) -> int:
    """The length of the longest run of words that stands in the context word for word."""
    best = 0
    running: dict[int, int] = {}
    for stem in stems:
        places = at.get(stem)
        if places is None:
            running = {}
        else:
            running = {place: running.get(place - 1, 0) + 1 for place in places}
            best = max(best, *running.values())
    return best


def _in_order(stems: Sequence[str], at: Mapping[str, list[int]], length: int) -> int:
    """The longest common subsequence with the context (ROUGE-L's), by bits of one integer (Hyyrö 2004, "Bit-parallel LCS-length")."""
    full = (1 << length) - 1
    row = full
    masks: dict[str, int] = {}
    for stem in stems:
        places = at.get(stem)
        if places is not None:
            mask = masks.get(stem)
            if mask is None:
                mask = masks[stem] = sum(1 << place for place in places)
            met = row & mask
            row = ((row + met) | (row - met)) & full
    return length - row.bit_count()


def _window(kept: Sequence[str], context: Context) -> float:
    """The largest share of the content words, by weight, that stands within `WINDOW` words of the context."""
    wanted = set(kept)
    if not wanted:
        return 0.5
    total = sum(context.weight(stem) for stem in wanted)
    places = sorted((place, stem) for stem in wanted for place in context.at.get(stem, ()))
    inside: dict[str, int] = {}
    held = best = 0.0
    tail = 0
    for place, stem in places:
        count = inside.get(stem, 0)
        inside[stem] = count + 1
        held += 0.0 if count else context.weight(stem)
        while places[tail][0] < place - WINDOW:
            old = places[tail][1]
            inside[old] -= 1
            held -= 0.0 if inside[old] else context.weight(old)
            tail += 1
        best = max(best, held)
    return best / total


def _absent_run(said: Sequence[Word], at: Mapping[str, list[int]]) -> int:
    """The longest stretch of words whose content words are all absent from the context."""
    best = run = tail = 0
    for word in said:
        if not word.kind & CONTENT:
            tail += run > 0
        elif word.stem in at:
            run = tail = 0
        else:
            run += 1 + tail
            tail = 0
            best = max(best, run)
    return best


def _odd_order(kept: Sequence[str], at: Mapping[str, list[int]]) -> float:
    """Of neighbouring content words that the context has, how many stand there only in the other order."""
    present = [stem for stem in kept if stem in at]
    pairs = [(a, b) for a, b in pairwise(present) if a != b]
    return sum(1 for a, b in pairs if at[a][0] > at[b][-1]) / len(pairs) if pairs else 0.0

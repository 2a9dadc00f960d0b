"""What a reply looks like beside its context: the figures that the detector judges by. Standard library only, tens of microseconds.

Nearly all are shares, so that they mean the same for a reply of one line and one of a page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from penstock.quality.grounded.words import ADDRESSED, FUNCTION, NEGATIONS, OPINION, SPEAKER, Word, sentences, words

NAMES = (
    "content_missing", "content_missing_weighted", "missing_count", "missing_heaviest", "words_present", "pairs_present", "triples_present",
    "pairs_near", "longest_run", "in_order", "numbers_missing", "numbers", "names_missing", "names", "negation_differs", "speaker",
    "addressed", "opinion", "question", "length", "content_share", "best_sentence", "worst_sentence", "window", "alike_missing",
    "context_length", "context_used", "unrelated_run", "odd_order",
)  # fmt: skip

_UNKNOWN = 9.0
_WINDOW = 40


class Context:
    """What the reply may rest on, read once: its sentences, where each stem stands, which stems stand side by side."""

    def __init__(self, texts: Sequence[str], weights: Mapping[str, float]) -> None:
        self.weights = weights
        self.sentences: list[tuple[int, int, int]] = []
        """Text, start and end of each sentence."""
        self.at: dict[str, list[int]] = {}
        """The places of each stem; places count words over all texts."""
        self.first: list[int] = []
        """The place at which each sentence begins."""
        self.order: list[str] = []
        self.lower: set[str] = set()
        self.negated: list[int] = []
        for number, text in enumerate(texts):
            for start, end in sentences(text):
                self.sentences.append((number, start, end))
                self.first.append(len(self.order))
                self.negated.append(0)
                for word in words(text[start:end]):
                    self.at.setdefault(word.stem, []).append(len(self.order))
                    self.order.append(word.stem)
                    self.lower.add(word.lower)
                    if word.lower in NEGATIONS or word.lower.endswith("n't"):
                        self.negated[-1] += 1
        order = self.order
        self.sentence_of = [0] * len(order)
        bounds = [*self.first[1:], len(order)]
        for index, (begin, close) in enumerate(zip(self.first, bounds, strict=True)):
            self.sentence_of[begin:close] = [index] * (close - begin)
        self.pairs = set(zip(order, order[1:], strict=False))
        self.triples = set(zip(order, order[1:], order[2:], strict=False))
        self.heads = {stem[:4] for stem in self.at if len(stem) > 3}

    def weight(self, stem: str) -> float:
        return self.weights.get(stem, _UNKNOWN)


def is_content(word: Word) -> bool:
    return word.lower not in FUNCTION and (len(word.lower) > 1 or word.lower.isdigit())


def is_number(word: Word) -> bool:
    return word.text[0].isdigit()


def measure(reply: str, said: Sequence[Word], parts: Sequence[tuple[int, int]], context: Context) -> list[float]:
    """The figures of `NAMES`. ``said`` are the reply's words, ``parts`` its sentences as first and last-but-one word."""
    n = len(said)
    at = context.at
    content = [w for w in said if is_content(w)]
    missing = [w for w in content if w.stem not in at]
    weights = [context.weight(w.stem) for w in content]
    total = sum(weights) or 1.0
    lost = sum(context.weight(w.stem) for w in missing)
    numbers = [w for w in content if is_number(w)]
    starts = {said[a].start for a, b in parts if b > a}
    names = [w for w in content if w.text[0].isupper() and w.start not in starts]
    stems = [w.stem for w in said]
    pairs = list(zip(stems, stems[1:], strict=False))
    triples = list(zip(stems, stems[1:], stems[2:], strict=False))
    kept = [w.stem for w in content]
    near = _near(kept, at)
    best = [best_sentence([w for w in said[a:b] if is_content(w)], context) for a, b in parts]
    shares = [share for _, share in best]
    differs = 0
    for (a, b), (index, share) in zip(parts, best, strict=True):
        if index >= 0 and share > 0.5:
            mine = sum(1 for w in said[a:b] if w.lower in NEGATIONS or w.lower.endswith("n't"))
            differs += (mine > 0) != (context.negated[index] > 0)
    absent = [w for w in missing if not is_number(w)]
    alike = sum(1 for w in absent if len(w.stem) > 3 and w.stem[:4] in context.heads)
    return [
        len(missing) / len(content) if content else 0.5,
        lost / total if content else 0.5,
        math.log1p(len(missing)),
        max((context.weight(w.stem) for w in missing), default=0.0),
        sum(1 for s in stems if s in at) / n if n else 0.5,
        _share(pairs, context.pairs),
        _share(triples, context.triples),
        near,
        _longest(stems, at, context.order) / n if n else 0.0,
        _in_order(stems, at, len(context.order)) / n if n else 0.0,
        sum(1 for w in numbers if w.stem not in at) / len(numbers) if numbers else 0.0,
        math.log1p(len(numbers)),
        sum(1 for w in names if w.stem not in at) / len(names) if names else 0.0,
        math.log1p(len(names)),
        differs / len(parts) if parts else 0.0,
        sum(1 for w in said if w.lower in SPEAKER) / n if n else 0.0,
        sum(1 for w in said if w.lower in ADDRESSED) / n if n else 0.0,
        sum(1 for w in said if w.lower in OPINION) / n if n else 0.0,
        reply.count("?") / len(parts) if parts else 0.0,
        math.log1p(n),
        len(content) / n if n else 0.0,
        max(shares, default=0.0),
        min(shares, default=0.0),
        _window(kept, context),
        alike / len(absent) if absent else 0.0,
        math.log1p(len(context.order)),
        len(set(stems) & at.keys()) / len(at) if at else 0.0,
        _absent_run(said, at) / n if n else 0.0,
        _odd_order(kept, at),
    ]


def best_sentence(content: Sequence[Word], context: Context) -> tuple[int, float]:
    """The context's sentence that holds most of these words by weight, and its share of it; -1 when none holds any."""
    gained: dict[int, float] = {}
    total = 0.0
    for word in content:
        weight = context.weight(word.stem)
        total += weight
        for index in {context.sentence_of[place] for place in context.at.get(word.stem, ())}:
            gained[index] = gained.get(index, 0.0) + weight
    if not gained:
        return -1, 0.0
    best = max(gained, key=lambda index: (gained[index], -index))
    return best, gained[best] / total


def _share(grams: Sequence[object], found: set[tuple[str, str]] | set[tuple[str, str, str]]) -> float:
    return sum(1 for gram in grams if gram in found) / len(grams) if grams else 0.5


def _near(kept: Sequence[str], at: Mapping[str, list[int]]) -> float:
    """Of neighbouring content words, how many stand within five words of each other in the context, in the same order."""
    pairs = list(zip(kept, kept[1:], strict=False))
    if not pairs:
        return 0.5
    hits = 0
    for left, right in pairs:
        places = at.get(right)
        if places and left in at:
            hits += any(any(0 < q - p <= 5 for q in places) for p in at[left])
    return hits / len(pairs)


def _longest(stems: Sequence[str], at: Mapping[str, list[int]], order: Sequence[str]) -> int:
    """The length of the longest run of words that stands in the context word for word."""
    best = 0
    running: dict[int, int] = {}
    for stem in stems:
        running = {place: running.get(place - 1, 0) + 1 for place in at.get(stem, ())}
        if running:
            best = max(best, max(running.values()))
    return best


def _in_order(stems: Sequence[str], at: Mapping[str, list[int]], length: int) -> int:
    """The longest common subsequence with the context (ROUGE-L's), by bits of one integer (Hyyrö 2004, "Bit-parallel LCS-length")."""
    if not length:
        return 0
    masks = {stem: sum(1 << place for place in places) for stem in set(stems) if (places := at.get(stem))}
    full = (1 << length) - 1
    row = full
    for stem in stems:
        mask = masks.get(stem)
        if mask is not None:
            met = row & mask
            row = ((row + met) | (row - met)) & full
    return length - row.bit_count()


def _window(kept: Sequence[str], context: Context) -> float:
    """The largest share of the content words, by weight, that stands within `_WINDOW` words of the context."""
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
        while places[tail][0] < place - _WINDOW:
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
        if word.stem in at and is_content(word):
            run = tail = 0
        elif is_content(word):
            run += 1 + tail
            tail = 0
            best = max(best, run)
        elif run:
            tail += 1
    return best


def _odd_order(kept: Sequence[str], at: Mapping[str, list[int]]) -> float:
    """Of neighbouring content words that the context has, how many stand there only in the other order."""
    present = [stem for stem in kept if stem in at]
    pairs = [(a, b) for a, b in zip(present, present[1:], strict=False) if a != b]
    if not pairs:
        return 0.0
    return sum(1 for a, b in pairs if at[a][0] > at[b][-1]) / len(pairs)


def parts_of(text: str, said: Sequence[Word]) -> list[tuple[int, int]]:
    """The sentences of a text as ranges of its words; those without a word are left out."""
    found: list[tuple[int, int]] = []
    index = 0
    for _, end in sentences(text):
        first = index
        while index < len(said) and said[index].end <= end:
            index += 1
        if index > first:
            found.append((first, index))
    return found


def weights_of(counts: Iterable[tuple[str, int]], documents: int) -> dict[str, float]:
    """Inverse document frequencies, the largest of them for words not listed."""
    return {stem: math.log((documents + 1) / (count + 1)) for stem, count in counts}

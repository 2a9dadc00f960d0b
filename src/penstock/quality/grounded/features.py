"""What a reply looks like beside its context: the figures that the detector judges by. Standard library only, under a millisecond.

All are shares, which mean the same for a reply of one line and one of a page, beside a context of a paragraph or a book. Lengths and
counts were tried too: they help on sets that were learnt from and hurt on those that were not (docs/groundedness.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise

from penstock.quality.grounded.words import (
    CAPITAL,
    CONTENT,
    NEGATION,
    OF_ADDRESSED,
    OF_OPINION,
    OF_SPEAKER,
    placed,
    sentences,
    words,
)

NAMES = (
    "content_missing_weighted", "words_present", "pairs_present", "in_order", "numbers_missing", "names_missing", "negation_differs",
    "speaker", "addressed", "opinion", "question", "best_sentence", "worst_sentence", "window",
)  # fmt: skip
"""The figures in their order; docs/groundedness.md says what each is."""

GLANCED = (
    "content_missing_weighted", "words_present", "pairs_present", "numbers_missing", "negation_differs", "speaker", "opinion", "question",
    "best_sentence",
)  # fmt: skip
"""The figures of `glance`, which are cheap enough for every sentence."""

WINDOW = 40
"""Words of the context that are looked at together, for evidence that spreads over sentences."""

_TONE = OF_SPEAKER | OF_ADDRESSED | OF_OPINION | NEGATION
_MOST = 1000
_BITS = tuple(1 << place for place in range(2048))


class Context:
    """What the reply may rest on, read once: its sentences, where each stem stands, which stems stand side by side."""

    def __init__(self, texts: Sequence[str], weights: Mapping[str, float], rare: float) -> None:
        """``weights`` says how much each stem tells, ``rare`` what one that is not listed does (`Model.weights`)."""
        self.texts = texts
        self.sentences: list[tuple[int, int, int]] = []
        """Text, start and end of each sentence that has words."""
        self.sentence_of: list[int] = []
        """The sentence of each place; places count words over all texts."""
        self._first: list[int] = []
        found: list[tuple[str, int]] = []
        for number, text in enumerate(texts):
            for start, end in sentences(text):
                said = words(text, start, end)
                if said:
                    self._first.append(len(found))
                    self.sentence_of += [len(self.sentences)] * len(said)
                    self.sentences.append((number, start, end))
                    found += said
        self.order, self._kinds = zip(*found, strict=True) if found else ((), ())
        """The stems one after the other."""
        order = self.order
        self.at: dict[str, list[int]] = {}
        """The places of each stem."""
        at = self.at
        for place, stem in enumerate(order):
            if stem in at:
                at[stem].append(place)
            else:
                at[stem] = [place]
        self.pairs = set(pairwise(order))
        self._weights, self._rare = weights, rare
        self._masks: dict[str, int] = {}
        self._holding: dict[str, set[int]] = {}
        self._negated: dict[int, bool] = {}

    def weighed(self, stems: Sequence[str]) -> list[float]:
        """How much each stem tells: the rarer, the more."""
        get, rare = self._weights.get, self._rare
        return [get(stem, rare) for stem in stems]

    def negated(self, sentence: int) -> bool:
        """Whether the sentence says no to something."""
        found = self._negated.get(sentence)
        if found is None:
            first = self._first[sentence]
            last = self._first[sentence + 1] if sentence + 1 < len(self._first) else None
            found = self._negated[sentence] = any(kind & NEGATION for kind in self._kinds[first:last])
        return found

    def holding(self, stem: str) -> AbstractSet[int]:
        """The sentences that hold a stem; of one that stands everywhere, those of its first places, lest time grow with both texts."""
        found = self._holding.get(stem)
        if found is None:
            sentence_of = self.sentence_of
            found = self._holding[stem] = {sentence_of[place] for place in self.at.get(stem, ())[:_MOST]}
        return found

    def mask(self, stem: str) -> int:
        """The places of a stem as bits of one integer."""
        mask = self._masks.get(stem)
        if mask is None:
            mask = 0
            for place in self.at.get(stem, ()):
                mask |= _BITS[place] if place < 2048 else 1 << place
            self._masks[stem] = mask
        return mask


class Part:
    """A sentence of a reply, held against the context. ``best``: the context's sentence that holds most of its words by weight, -1 for
    none, and ``share``: how much of them it holds."""

    __slots__ = (
        "stems", "kinds", "spans", "content", "weights", "start", "end", "best", "share",
        "missing", "lost", "total", "present", "pairs", "numbers", "numbers_lost", "speaker", "addressed", "opinion", "differs",
    )  # fmt: skip

    def __init__(self, said: Sequence[tuple[str, int, tuple[int, int]]], start: int, end: int, context: Context) -> None:
        at = context.at
        stems, kinds, self.spans = zip(*said, strict=True)
        self.stems: tuple[str, ...] = stems
        self.kinds: tuple[int, ...] = kinds
        self.start, self.end = start, end
        self.content = [stem for stem, kind in zip(stems, kinds, strict=True) if kind & CONTENT]
        self.weights = context.weighed(self.content)
        self.best, self.share = best_sentence(self.content, self.weights, context)
        self.missing = [stem for stem in self.content if stem not in at]
        self.lost, self.total = sum(context.weighed(self.missing)), sum(self.weights)
        self.present = sum([stem in at for stem in stems])
        self.pairs = [pair in context.pairs for pair in pairwise(stems)]
        numbers = [stem for stem in self.content if stem[0].isdigit()]
        self.numbers, self.numbers_lost = len(numbers), sum([stem not in at for stem in numbers])
        self.speaker = self.addressed = self.opinion = 0
        negated = False
        for kind in kinds:
            if kind & _TONE:
                self.speaker += kind & OF_SPEAKER > 0
                self.addressed += kind & OF_ADDRESSED > 0
                self.opinion += kind & OF_OPINION > 0
                negated |= kind & NEGATION > 0
        self.differs = self.share > 0.5 and negated != context.negated(self.best)


def split(reply: str, context: Context) -> list[Part]:
    """The reply's sentences that have words."""
    read = [(placed(reply, start, end), start, end) for start, end in sentences(reply)]
    return [Part(said, start, end, context) for said, start, end in read if said]


def measure(parts: Sequence[Part], questions: int, context: Context) -> list[float]:
    """The figures of `NAMES` for these sentences together; ``questions`` is how many question marks they hold."""
    at = context.at
    stems = [stem for part in parts for stem in part.stems]
    kept = [stem for part in parts for stem in part.content]
    weights = [weight for part in parts for weight in part.weights]
    of = len(stems) or 1
    pairs = [there for part in parts for there in part.pairs]
    names, names_lost = _names(parts, at)
    shares = [part.share for part in parts]
    return [
        _ratio(_sum(parts, "lost"), sum(weights), 0.5),
        _sum(parts, "present") / of,
        sum(pairs) / len(pairs) if pairs else 0.5,
        _in_order(stems, context) / of,
        _ratio(_sum(parts, "numbers_lost"), _sum(parts, "numbers"), 0.0),
        _ratio(names_lost, names, 0.0),
        _ratio(_sum(parts, "differs"), len(parts), 0.0),
        _sum(parts, "speaker") / of,
        _sum(parts, "addressed") / of,
        _sum(parts, "opinion") / of,
        _ratio(questions, len(parts), 0.0),
        max(shares, default=0.0),
        min(shares, default=0.0),
        _window(kept, weights, context),
    ]


def glance(part: Part, questions: int) -> list[float]:
    """The figures of `GLANCED` for one sentence, each as `measure` has it."""
    of = len(part.stems)
    return [
        _ratio(part.lost, part.total, 0.5),
        part.present / of,
        sum(part.pairs) / len(part.pairs) if part.pairs else 0.5,
        _ratio(part.numbers_lost, part.numbers, 0.0),
        float(part.differs),
        part.speaker / of,
        part.opinion / of,
        float(questions),
        part.share,
    ]


def best_sentence(content: Sequence[str], weights: Sequence[float], context: Context) -> tuple[int, float]:
    """The context's sentence that holds most of these stems by weight, and its share of their weight; -1 when none holds any."""
    gained: dict[int, float] = {}
    for stem, weight in zip(content, weights, strict=True):
        for index in context.holding(stem):
            gained[index] = gained.get(index, 0.0) + weight
    if not gained:
        return -1, 0.0
    best = max(gained, key=gained.__getitem__)
    return best, gained[best] / sum(weights)


def _ratio(above: float, below: float, empty: float) -> float:
    return above / below if below else empty


def _sum(parts: Sequence[Part], name: str) -> float:
    return sum([getattr(part, name) for part in parts])


def _names(parts: Sequence[Part], at: Mapping[str, list[int]]) -> tuple[int, int]:
    """How many words are written with a capital that no beginning of a sentence asks for, and how many of them the context lacks."""
    wanted = CAPITAL | CONTENT
    names = [stem for part in parts for stem, kind in zip(part.stems[1:], part.kinds[1:], strict=True) if kind & wanted == wanted]
    return len(names), sum([stem not in at for stem in names])


def _in_order(stems: Sequence[str], context: Context) -> int:
    """The longest common subsequence with the context (ROUGE-L's), by bits of one integer (Hyyrö 2004, "Bit-parallel LCS-length")."""
    length = len(context.order)
    row = full = (1 << length) - 1
    for stem in stems:
        mask = context.mask(stem)
        if mask:
            met = row & mask
            row = ((row + met) | (row - met)) & full
    return length - row.bit_count()


def _window(kept: Sequence[str], weights: Sequence[float], context: Context) -> float:
    """The largest share of the content words, by weight, that stands within `WINDOW` words of the context."""
    wanted = dict(zip(kept, weights, strict=True))
    if not wanted:
        return 0.5
    places = sorted([(place, stem) for stem in wanted for place in context.at.get(stem, ())])
    inside: dict[str, int] = {}
    held = best = 0.0
    tail = 0
    for place, stem in places:
        count = inside.get(stem, 0)
        inside[stem] = count + 1
        if not count:
            held += wanted[stem]
        while places[tail][0] < place - WINDOW:
            old = places[tail][1]
            inside[old] -= 1
            if not inside[old]:
                held -= wanted[old]
            tail += 1
        best = max(held, best)
    return min(1.0, best / sum(wanted.values()))

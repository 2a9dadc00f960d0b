"""Texts as words and sentences: what a reply and its context are compared by. English in the lists, any script in the splitting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_WORD = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|\d*[^\W_]+")
_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=\S)|\n+")
_ABBREVIATED = re.compile(r"(?:^|[\s(])(?:[A-Za-z]|Mr|Mrs|Ms|Dr|St|Prof|Jr|Sr|vs|etc|e\.g|i\.e|No|Inc|Ltd|Co|Mt|Lt|Gen|Col|Capt|Sgt)\.$")

_FUNCTION = """
    a about above after again against all also although always am an and another any anybody anyone anything are aren around as at away
    be became because been before being below between both but by came can cannot could couldn d did didn do does doesn doing don done
    down during each either else ever every everybody everyone everything few for from further get gets getting go goes going gone got
    had hadn has hasn have haven having he her here hers herself him himself his how however i if in instead into is isn it its itself
    just kind least less let like ll lot lots m made make makes many may maybe me might mine more most much must my myself n neither
    never no nobody none nor not nothing now nt o of off often oh ok okay on once one ones only or other others ought our ours ourselves
    out over own perhaps quite rather re really s same shall she should shouldn since so some somebody someone something sometimes
    somewhat soon sort still such sure t than that the their theirs them themselves then there these they thing things this those though
    through thus to too toward towards under until up upon us used usually ve very want was wasn way we well went were weren what
    whatever when where whether which while who whole whom whose why will with within without won would wouldn yeah yes yet you your
    yours yourself
"""
FUNCTION = frozenset(_FUNCTION.split())
"""Words that carry structure and hardly any content."""

_NEGATIONS = """
    no not never none nobody nothing neither nor without cannot nt n't hardly barely
"""
NEGATIONS = frozenset(_NEGATIONS.split())
_SPEAKER = """
    i me my mine myself we us our ours
"""
SPEAKER = frozenset(_SPEAKER.split())
_ADDRESSED = """
    you your yours yourself
"""
ADDRESSED = frozenset(_ADDRESSED.split())
_OPINION = """
    think guess believe feel hope love loved hate hated like liked enjoy enjoyed wish prefer favorite favourite agree bet wonder imagine
    suppose sure definitely absolutely probably maybe perhaps awesome amazing cool great nice interesting funny best haha lol wow yeah
    yes yep nope oh hmm well honestly personally remember heard know mean seem seems sounds
"""
OPINION = frozenset(_OPINION.split())
"""What people say of themselves rather than of the matter, in lower case."""


CONTENT, NUMBER, NEGATION, OF_SPEAKER, OF_ADDRESSED, OF_OPINION = 1, 2, 4, 8, 16, 32
"""What a word is, as bits of `Word.kind`."""


class Word(NamedTuple):
    """A word where it stands: ``stem`` is what is compared, ``kind`` holds the bits above, offsets are those of the text."""

    stem: str
    kind: int
    capital: bool
    start: int
    end: int


def words(text: str) -> list[Word]:
    """The words of a text in order. Numbers are words of their own; "3,500" equals "3500"."""
    found: list[Word] = []
    for match in _WORD.finditer(text):
        word = match[0]
        stem, kind = known(word.lower())
        found.append(Word(stem, kind, word[0].isupper(), match.start(), match.end()))
    return found


@lru_cache(maxsize=16_384)
def known(lower: str) -> tuple[str, int]:
    """Stem and kind of a word in lower case; kept for the next time, since few words make most of a text."""
    if lower[0].isdigit():
        return lower.replace(",", ""), CONTENT | NUMBER
    lower = lower.replace("’", "'")
    head = lower.partition("'")[0]
    kind = CONTENT if head not in FUNCTION and len(head) > 1 else 0
    kind |= NEGATION if lower in NEGATIONS or lower.endswith("n't") else 0
    kind |= OF_SPEAKER if head in SPEAKER else 0
    kind |= OF_ADDRESSED if head in ADDRESSED else 0
    kind |= OF_OPINION if head in OPINION else 0
    return stem(lower), kind


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence or line that is not empty, the white space around it left out."""
    start = 0
    for match in _END.finditer(text):
        head = text[start : match.start()]
        if "\n" not in match[0] and _ABBREVIATED.search(head):
            continue
        yield from _trimmed(text, start, match.start())
        start = match.end()
    yield from _trimmed(text, start, len(text))


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    inner = piece.strip()
    if inner:
        start += len(piece) - len(piece.lstrip())
        yield start, start + len(inner)


def stem(word: str) -> str:
    """The word without its commonest English endings, so that "jumps" meets "jumping". Coarse; both sides go through it."""
    if word.endswith("'s"):
        word = word[:-2]
    if len(word) <= 3:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "i"
    for ending in ("ingly", "edly", "ing", "ed", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return _undoubled(word[: -len(ending)])
    if word.endswith("es") and len(word) > 4:
        return word[:-2] if word[-3] in "sxzh" else _undoubled(word[:-2])
    if word.endswith("s") and not word.endswith("ss"):
        return _last(word[:-1])
    return _last(word)


def _undoubled(word: str) -> str:
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return _last(word)


def _last(word: str) -> str:
    if len(word) > 3 and word[-1] == "e":
        return word[:-1]
    return word[:-1] + "i" if len(word) > 3 and word[-1] == "y" else word

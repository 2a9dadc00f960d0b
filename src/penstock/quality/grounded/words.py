"""Texts as words and sentences: what a reply and its context are compared by. English in the lists, any script in the splitting."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"\w+(?:['’]\w+|(?<=\d)[.,:/]\d+)*")
_END = re.compile(r"[.!?\n][\"'”’)\]]*(?:\s+|(?<=\n))")
_ABBREVIATED = re.compile(r"(?<![^\W\d_])(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Prof|Jr|Sr|vs|etc|e\.g|i\.e|No|Inc|Ltd|Co|Mt|Lt|Gen|Col|Capt|Sgt)\.\Z")

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


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What may follow a number within a word: "1960s" equals "1960"."""

CONTENT, NUMBER, NEGATION, OF_SPEAKER, OF_ADDRESSED, OF_OPINION, CAPITAL = 1, 2, 4, 8, 16, 32, 64
"""What a word is, as bits."""


def words(text: str, start: int, end: int) -> list[tuple[str, int]]:
    """Stem and kind of each word between two offsets. Numbers are words of their own; "3,500" equals "3500"."""
    return list(map(known, _WORD.findall(text, start, end)))


def placed(text: str, start: int, end: int) -> list[tuple[str, int, tuple[int, int]]]:
    """The same with where each stands, by offsets in the text."""
    return [(*known(match[0]), match.span()) for match in _WORD.finditer(text, start, end)]


@lru_cache(maxsize=16_384)
def known(word: str) -> tuple[str, int]:
    """Stem and kind of a word; kept for the next time, since few words make most of a text."""
    if word[0].isdigit():
        return word.replace(",", "").rstrip(_LETTERS) or word, CONTENT | NUMBER
    lower = word.lower()
    head = lower
    if "'" in lower or "’" in lower:
        lower = lower.replace("’", "'")
        head = lower.partition("'")[0]
    kind = _KINDS.get(head, CONTENT if len(head) > 1 else 0)
    if lower.endswith("n't"):
        kind |= NEGATION
    return stem(lower), kind | CAPITAL if word[0].isupper() else kind


def _kinds() -> dict[str, int]:
    """What is known of the listed words; all others are content."""
    listed = FUNCTION | NEGATIONS | SPEAKER | ADDRESSED | OPINION
    bits = ((NEGATIONS, NEGATION), (SPEAKER, OF_SPEAKER), (ADDRESSED, OF_ADDRESSED), (OPINION, OF_OPINION))
    return {
        word: sum((bit for words, bit in bits if word in words), 0 if word in FUNCTION or len(word) < 2 else CONTENT) for word in listed
    }


_KINDS = _kinds()


def sentences(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence or line that is not empty, the white space around it left out."""
    found: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        at, after = match.span()
        if text[at] == "." and _ABBREVIATED.search(text, max(start, at - 6), at + 1) and "\n" not in match[0]:
            continue
        _add(found, text, start, after)
        start = after
    _add(found, text, start, len(text))
    return found


def _add(found: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    inner = piece.strip()
    if inner:
        start += piece.index(inner[0])
        found.append((start, start + len(inner)))


def stem(word: str) -> str:
    """A word of lower case without its commonest English endings, so that "jumps" meets "jumping". Coarse; both sides go through it."""
    if word.endswith("'s"):
        word = word[:-2]
    size = len(word)
    if size <= 3:
        return word
    last = word[-1]
    if last == "s":
        return _singular(word)
    if last == "g" and size > 5 and word.endswith("ing"):
        return _undoubled(word[:-3])
    if last == "d" and size > 4 and word.endswith("ed"):
        return _undoubled(word[:-2])
    if last == "y" and size > 4 and word.endswith("ly"):
        for ending in ("ingly", "edly"):
            if size > len(ending) + 2 and word.endswith(ending):
                return _undoubled(word[: -len(ending)])
        return _undoubled(word[:-2])
    return _last(word)


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "i"
    if len(word) > 4 and word.endswith("es"):
        return word[:-2] if word[-3] in "sxzh" else _undoubled(word[:-2])
    return word if word.endswith("ss") else _last(word[:-1])


def _undoubled(word: str) -> str:
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return _last(word)


def _last(word: str) -> str:
    if len(word) > 3:
        last = word[-1]
        if last == "e":
            return word[:-1]
        if last == "y":
            return word[:-1] + "i"
    return word

"""What can be told of a prompt by looking at it: length, numbers, code, choices, the kind of question. A few microseconds each.

Cheap features say how long and of what kind a task is; what it is about is in the embedding. Counts enter as log(1 + count), so that a
prompt of 50,000 characters does not drown the rest. Only the first 3,000 and the last 1,000 characters are looked at.
"""

from __future__ import annotations

import math
import re
from typing import Final

_HEAD: Final = 3_000
_TAIL: Final = 1_000

_NUMBER: Final = re.compile(r"\d[\d,]*(?:\.\d+)?")
_CODE: Final = ("def ", "class ", "return ", "import ", "assert ")
_CODE_SIGNS: Final = {"`": "```", ">": "=> ", "#": "#include"}
_CODE_LINES: Final = (";\n", "{\n", "}\n")
_CHOICE: Final = re.compile(r"\n[A-E][.)]")
_APART: Final = bytes(byte if byte in b"abcdefghijklmnopqrstuvwxyz'" else 32 for byte in bytes(range(256)).lower())
"""Leaves words of a text, in small letters, and blanks between them."""
_FIGURES: Final = bytes(byte if byte in b"0123456789.," else 32 for byte in range(256))
"""Leaves what numbers are written with."""
_PLAIN: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .'"
"""What is not counted by itself; without it, little is left to count in."""

_SIGNS: Final = {
    sign: number for number, signs in enumerate(("%", "$€£", "/", "=^+", "\\", "?", '"', "_", ",", "(", "\n", "!", "`>#")) for sign in signs
}
_ALL_SIGNS: Final = frozenset(_SIGNS)

_GROUPS: Final[tuple[tuple[str, frozenset[str]], ...]] = tuple(
    (name, frozenset(words.split()))
    for name, words in (
        ("compares", "than more less fewer most least older younger taller larger smaller greater"),
        ("distributes", "each every per apiece equally respectively"),
        ("scales", "half twice double triple quarter third times thirds percent ratio average"),
        ("remains", "left remain remains remaining rest remainder"),
        ("conditions", "if unless when until assuming suppose given provided"),
        ("negates", "not no except never neither nor cannot without"),
        ("asks_how_many", "many much long often far"),
        ("instructs", "write find compute calculate explain list translate summarize solve show prove describe give"),
        ("programs", "function python code string array list integer return program method input output"),
        ("reasons", "because therefore hence thus so since why reason conclude"),
    )
)
_GROUP_OF: Final = {word.encode(): number for number, (_, words) in enumerate(_GROUPS, 1) for word in words}
"""From 1, so that a word of no group is what `filter` leaves out."""
_ASKS: Final = ("what", "who", "when", "where", "which", "how", "why", "is")
_ASKED: Final = {word.encode(): number for number, word in enumerate(_ASKS)}
_ASKING: Final = frozenset(_ASKED)

PROMPT_FEATURES: Final[tuple[str, ...]] = (
    *("characters", "words", "lines", "word_length", "variety", "numbers", "distinct_numbers", "largest_number", "decimals"),
    *("percents", "currency", "slashes", "equations", "latex", "code", "choices", "questions", "ends_asking", "capitals"),
    *("not_ascii", "quotes", "blanks", "commas", "brackets", "sentence_length"),
    *(name for name, _ in _GROUPS),
    *(f"asks_{word}" for word in _ASKS),
)


_LOG: Final = tuple(map(math.log1p, range(_HEAD + _TAIL + 2)))
"""log(1 + n) of whatever can be counted in the characters that are looked at."""


_NO_NUMBERS: Final = (0.0, 0.0, 0.0, 0.0)


def prompt_features(text: str) -> list[float]:
    """One number for each name of `PROMPT_FEATURES`, all finite, for any text."""
    length = len(text)
    if length > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    count, log = text.count, _LOG
    # Quicker than a pattern: whatever is not a letter of English, or an apostrophe, becomes a blank.
    if text.isascii():
        plain = text.encode("ascii")
        marks = plain.translate(None, _PLAIN).decode("ascii")
        numbers = _NUMBER.findall(b" ".join(plain.translate(_FIGURES).split()).decode("ascii"))
        foreign = 0.0
    else:
        # Some letters of other alphabets are of this one when they are small.
        plain = text.lower().encode("ascii", "replace")
        marks = text
        numbers = _NUMBER.findall(text)
        foreign = 1 - len(text.encode("ascii", "ignore")) / len(text)
    words = plain.translate(_APART).split()
    apart = text.split()
    distinct = set(words)
    told = len(apart)
    many = told or 1
    signs = [0] * 13
    code = sum(map(count, _CODE))
    for sign in _ALL_SIGNS.intersection(marks):
        signs[_SIGNS[sign]] += marks.count(sign)
        if sign in _CODE_SIGNS:
            code += count(_CODE_SIGNS[sign])
    percents, currency, slashes, equations, backslashes, questions, quotes, underscores, commas, brackets, lines, exclamations, *_ = signs
    sentences = 1 + count(". ") + (questions and count("? ")) + (exclamations and count("! "))
    choices = 0
    if lines:
        code += sum(map(count, _CODE_LINES))
        choices = len(_CHOICE.findall(text))
    grouped = [0] * (len(_GROUPS) + 1)
    for group in filter(None, map(_GROUP_OF.get, words)):
        grouped[group] += 1
    asks = [0.0] * len(_ASKS)
    for word in _ASKING & distinct:
        asks[_ASKED[word]] = 1.0 if word == words[0] else 0.5
    return [
        math.log1p(length),
        log[told],
        log[lines],
        len("".join(apart)) / many,
        len(distinct) / many,
        *(_of_numbers(numbers) if numbers else _NO_NUMBERS),
        log[percents],
        log[currency],
        log[slashes],
        log[equations],
        log[backslashes],
        log[code],
        log[choices],
        log[questions],
        1.0 if text.rstrip()[-1:] == "?" else 0.0,
        list(map(str.istitle, apart)).count(True) / many,  # a sum of truths is slow
        foreign,
        log[quotes],
        log[count("__")] if underscores else 0.0,
        commas / many,
        log[brackets],
        math.log1p(told / sentences),
        *map(log.__getitem__, grouped[1:]),
        *asks,
    ]


def _of_numbers(numbers: list[str]) -> tuple[float, float, float, float]:
    return _LOG[len(numbers)], _LOG[len(set(numbers))], _LOG[max(map(len, numbers))], _LOG["".join(numbers).count(".")]

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
_CODE: Final = ("```", "def ", "class ", "return ", "import ", "assert ", "=> ", "#include")
_CODE_LINES: Final = (";\n", "{\n", "}\n")
_CHOICE: Final = re.compile(r"\n[A-E][.)]")
_APART: Final = bytes(byte if byte in b"abcdefghijklmnopqrstuvwxyz'" else 32 for byte in range(256))
"""Leaves words of a text in small letters, and blanks between them."""
_PLAIN: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .'"
"""What is not counted by itself; without it, little is left to count in."""

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
_GROUP_OF: Final = {word: number for number, (_, words) in enumerate(_GROUPS) for word in words}
_ASKS: Final = ("what", "who", "when", "where", "which", "how", "why", "is")

PROMPT_FEATURES: Final[tuple[str, ...]] = (
    *("characters", "words", "lines", "word_length", "variety", "numbers", "distinct_numbers", "largest_number", "decimals"),
    *("percents", "currency", "slashes", "equations", "latex", "code", "choices", "questions", "ends_asking", "capitals"),
    *("not_ascii", "quotes", "blanks", "commas", "brackets", "sentence_length"),
    *(name for name, _ in _GROUPS),
    *(f"asks_{word}" for word in _ASKS),
)


def prompt_features(text: str) -> list[float]:
    """One number for each name of `PROMPT_FEATURES`, all finite, for any text."""
    length = len(text)
    if length > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    ascii_only = text.isascii()
    lower = text.lower()
    # Quicker than a pattern: whatever is not a letter of English, or an apostrophe, becomes a blank.
    words = lower.encode("ascii", "replace").translate(_APART).decode("ascii").split()
    apart = text.split()
    distinct = set(words)
    numbers = _NUMBER.findall(text)
    many = max(1, len(apart))
    shown = max(1, len(text))
    sentences = 1 + lower.count(". ") + lower.count("? ") + lower.count("! ")
    marks = (text.encode("ascii").translate(None, _PLAIN).decode("ascii") if ascii_only else text).count
    lines = marks("\n")
    code = sum(map(text.count, _CODE))
    choices = 0
    if lines:
        code += sum(map(text.count, _CODE_LINES))
        choices = len(_CHOICE.findall(text))
    blanks = text.count("__") if marks("_") else 0
    log1p = math.log1p
    found = [
        log1p(length),
        log1p(len(apart)),
        log1p(lines),
        len("".join(apart)) / many,
        len(distinct) / many,
        log1p(len(numbers)),
        log1p(len(set(numbers))),
        log1p(max(map(len, numbers), default=0)),
        log1p("".join(numbers).count(".")),
        log1p(marks("%")),
        log1p(marks("$") + marks("€") + marks("£")),
        log1p(marks("/")),
        log1p(marks("=") + marks("^") + marks("+")),
        log1p(marks("\\")),
        log1p(code),
        log1p(choices),
        log1p(marks("?")),
        float(text.rstrip().endswith("?")),
        sum(map(str.istitle, apart)) / many,
        0.0 if ascii_only else 1 - len(text.encode("ascii", "ignore")) / shown,
        log1p(marks('"')),
        log1p(blanks),
        marks(",") / many,
        log1p(marks("(")),
        log1p(len(apart) / sentences),
    ]
    grouped = [0] * len(_GROUPS)
    for group in map(_GROUP_OF.get, words):
        if group is not None:
            grouped[group] += 1
    found += map(log1p, grouped)
    first = words[0] if words else ""
    found += [1.0 if first == word else 0.5 * (word in distinct) for word in _ASKS]
    return found

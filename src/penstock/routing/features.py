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
_WORD: Final = re.compile(r"[a-z']+")
_CODE: Final = ("```", "def ", "class ", "return ", "import ", "assert ", ";\n", "{\n", "}\n", "=> ", "#include")
_CHOICES: Final = tuple(f"\n{letter}{mark}" for letter in "ABCDE" for mark in ".)")

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
    lower = text.lower()
    words = _WORD.findall(lower)
    apart = text.split()
    distinct = set(words)
    numbers = _NUMBER.findall(text)
    many = max(1, len(apart))
    shown = max(1, len(text))
    sentences = 1 + lower.count(". ") + lower.count("? ") + lower.count("! ")
    stripped = text.rstrip()
    found = [
        math.log1p(length),
        math.log1p(len(apart)),
        math.log1p(text.count("\n")),
        sum(map(len, apart)) / many,
        len(distinct) / many,
        math.log1p(len(numbers)),
        math.log1p(len(set(numbers))),
        math.log1p(max(map(len, numbers), default=0)),
        math.log1p("".join(numbers).count(".")),
        math.log1p(text.count("%")),
        math.log1p(text.count("$") + text.count("€") + text.count("£")),
        math.log1p(text.count("/")),
        math.log1p(text.count("=") + text.count("^") + text.count("+")),
        math.log1p(text.count("\\")),
        math.log1p(sum(map(text.count, _CODE))),
        math.log1p(sum(map(text.count, _CHOICES))),
        math.log1p(text.count("?")),
        float(stripped.endswith("?")),
        sum(map(str.istitle, apart)) / many,
        0.0 if text.isascii() else 1 - len(text.encode("ascii", "ignore")) / shown,
        math.log1p(text.count('"')),
        math.log1p(text.count("__")),
        text.count(",") / many,
        math.log1p(text.count("(")),
        math.log1p(len(apart) / sentences),
    ]
    grouped = [0] * len(_GROUPS)
    for word in words:
        if (group := _GROUP_OF.get(word)) is not None:
            grouped[group] += 1
    found += map(math.log1p, grouped)
    first = words[0] if words else ""
    found += [1.0 if first == word else 0.5 * (word in distinct) for word in _ASKS]
    return found

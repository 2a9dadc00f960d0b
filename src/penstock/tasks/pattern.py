"""Whether a regular expression that somebody declared may be run on what models write.

Python's engine backtracks: some patterns take time exponential in the length of a text that almost matches. What makes them so is
recognised in the parsed pattern, on the careful side: a repetition of another one (unless what follows the inner one begins otherwise) or
of branches that can begin alike, many repetitions after each other that can share a text in more than one way, references back to a
group.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from re import _constants as words  # pyright: ignore[reportPrivateUsage,reportAttributeAccessIssue,reportUnknownVariableType]
from re import _parser as parser  # pyright: ignore[reportPrivateUsage,reportAttributeAccessIssue,reportUnknownVariableType]
from typing import Any, cast

_MANY = 64
"""Repetitions up to which one is small, whatever it holds."""
_CLASSES = {
    "CATEGORY_DIGIT": frozenset(map(ord, string.digits)),
    "CATEGORY_SPACE": frozenset(map(ord, string.whitespace)),
    "CATEGORY_WORD": frozenset(map(ord, string.ascii_letters + string.digits + "_")),
}
"""What ``\\d``, ``\\s`` and ``\\w`` stand for, as far as characters of other scripts do not matter."""
_ENDLESS, _SMALL = 3, 8
"""So many endless repetitions, and so many small ones or choices, may be followed by what can begin alike: cubic time, and 256 ways."""


def fault_of(pattern: str) -> str | None:
    """What is wrong with a pattern, None when nothing is."""
    try:
        re.compile(pattern)
        tree = cast("Any", parser).parse(pattern)
    except (re.error, RecursionError, OverflowError) as fault:
        return f"is no regular expression: {fault}"
    counts = Counter[str]()
    found = _sequence(list(tree), None, counts)
    if found is None and (counts["endless"] > _ENDLESS or counts["small"] > _SMALL):
        return "can split a text in too many ways between its parts, which takes too long on long texts"
    return found


def _sequence(items: Sequence[Any], after: Sequence[Any] | None, counts: Counter[str]) -> str | None:
    """The fault of a sequence. ``after`` is what stands behind it where it is part of a repetition, else None."""
    for place, (op, value) in enumerate(items):
        name, rest = str(op), [*items[place + 1 :], *(after or ())]
        if name in ("GROUPREF", "GROUPREF_EXISTS", "GROUPREF_IGNORE"):
            return "refers back to a group, which can take time without end on long texts"
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, given = value
            body = list(given)
            endless = most == cast("Any", words).MAXREPEAT or most > _MANY
            loose = least != most and bool(rest) and not _apart(_first(body), _first(rest))
            if after is not None and most > 1 and loose:
                return "repeats a repetition, such as (a+)+, which can take time without end on long texts"
            if most > 1 and least != most and (found := _alike(body)) is not None:
                return found
            counts["endless" if endless else "small"] += loose
            if (found := _sequence(body, [*body, *rest] if most > 1 else after and rest, counts)) is not None:
                return found
        else:
            counts["small"] += name == "BRANCH" and _alike([(op, value)]) is not None
            for body in _bodies(name, value):
                if (found := _sequence(body, rest if after is not None else None, counts)) is not None:
                    return found
    return None


def _apart(one: frozenset[int] | None, other: frozenset[int] | None) -> bool:
    return one is not None and other is not None and not one & other


def _bodies(name: str, value: Any) -> Iterable[list[Any]]:
    if name == "SUBPATTERN":
        yield list(value[-1])
    elif name == "BRANCH":
        for body in value[1]:
            yield list(body)
    elif name in ("ASSERT", "ASSERT_NOT"):
        yield list(value[1])
    elif name == "ATOMIC_GROUP":
        yield list(value)


def _alike(items: Sequence[Any]) -> str | None:
    """Branches of an endless repetition that can begin with the same character, or with what is not known."""
    for op, value in items:
        name = str(op)
        if name == "SUBPATTERN":
            if (found := _alike(list(value[-1]))) is not None:
                return found
        elif name == "BRANCH":
            begins = [_first(list(body)) for body in value[1]]
            seen: set[int] = set()
            for one in begins:
                if one is None or one & seen:
                    return "repeats branches that can begin alike, such as (a|ab)*, which can take time without end on long texts"
                seen |= one
    return None


def _first(items: Sequence[Any]) -> frozenset[int] | None:
    """The characters with which a sequence begins; None for many, for any, or where it may be empty."""
    for op, value in items:
        name = str(op)
        if name == "LITERAL":
            return frozenset((value,))
        if name == "IN" and len(value) <= _MANY:
            found: set[int] = set()
            for kind, one in value:
                if str(kind) == "LITERAL":
                    found.add(one)
                elif str(kind) == "CATEGORY" and str(one) in _CLASSES:
                    found |= _CLASSES[str(one)]
                elif str(kind) == "RANGE" and one[1] - one[0] <= 128:
                    found.update(range(one[0], one[1] + 1))
                else:
                    return None
            return frozenset(found)
        if name == "SUBPATTERN":
            return _first(list(value[-1]))
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and value[0] > 0:
            return _first(list(value[2]))
        if name == "AT":
            continue
        return None
    return None

"""When two replies count as the same answer."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

Equality = Literal["text", "json", "number"]
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_FENCE = re.compile(r"^```\w*\n(.*)\n```$", re.DOTALL)


def same(one: str, other: str, equality: Equality) -> bool:
    """Whether two replies say the same.

    ``text``: the same words, whatever the case, the white space and the signs around them. ``json``: the same value, whatever the order of
    keys; what is no JSON is compared as text. ``number``: the same last number; where one has none, as text.
    """
    if equality == "json":
        values = _value(one), _value(other)
        if None not in values:
            return values[0] == values[1]
    elif equality == "number":
        numbers = _number(one), _number(other)
        if None not in numbers:
            return numbers[0] == numbers[1]
    return _words(one) == _words(other)


def _words(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'`*")


def _value(text: str) -> object:
    text = text.strip()
    fenced = _FENCE.match(text)
    try:
        return msgspec.json.decode(fenced[1] if fenced else text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _number(text: str) -> float | None:
    found = _NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None

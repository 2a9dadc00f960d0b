"""When two replies count as the same answer: when what they come to is the same."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

import msgspec

_encode = msgspec.json.Encoder(order="sorted").encode
Equality = Literal["text", "json", "number"]
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_FENCE = re.compile(r"^```\w*\n(.*)\n```$", re.DOTALL)


def answer_of(text: str, equality: Equality) -> bytes:
    """A digest of what a reply says: equal for two replies that say the same.

    ``text``: the same words, whatever the case, the white space and the signs around them. ``json``: the same value, whatever the order of
    keys; what is no JSON is compared as text. ``number``: the same last number; where one has none, as text.
    """
    what: object = None
    if equality == "json":
        what = _value(text)
    elif equality == "number":
        what = _number(text)
    said = _encode((equality, "text", _words(text)) if what is None else (equality, "value", what))
    return hashlib.blake2b(said, digest_size=12).digest()


def _words(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'`*").encode("utf-8", "replace").decode()


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

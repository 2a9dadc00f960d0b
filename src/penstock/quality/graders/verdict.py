"""What a judge's model is asked, and how its verdict is read: strictly. Whatever is no verdict is no score."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

import msgspec
from msgspec import Struct

_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
MAX_TOKENS = 512
GRADES = 5


class Marked(Struct, frozen=True):
    """The verdict on one answer."""

    grade: Literal[1, 2, 3, 4, 5]
    reason: str = ""


class Compared(Struct, frozen=True):
    """The verdict on two."""

    better: Literal["A", "B", "tie"]
    reason: str = ""


_marked = msgspec.json.Decoder(Marked)
_compared = msgspec.json.Decoder(Compared)


def read_mark(reply: str) -> Marked | None:
    """The verdict, None where the reply is anything else than one."""
    try:
        return _marked.decode(_bare(reply))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_comparison(reply: str) -> Compared | None:
    """The verdict, None where the reply is anything else than one."""
    try:
        return _compared.decode(_bare(reply))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _bare(reply: str) -> str:
    fenced = _FENCE.match(reply)
    return fenced[1] if fenced is not None else reply.strip()


def enclosed(name: str, text: str) -> str:
    """A text between marks that hold its own digest, so that nothing in it can pretend to be their end."""
    mark = f"{name}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"
    return f"<{mark}>\n{text}\n</{mark}>"


__all__ = ["GRADES", "MAX_TOKENS", "Compared", "Marked", "enclosed", "read_comparison", "read_mark"]

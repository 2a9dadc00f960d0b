"""Bodies as the hot path sees them: the top level only, every value still the client's own bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Optional, TypeVar

import msgspec
from msgspec import Meta, Raw

from penstock.gateway.shapes.shape import Fields
from penstock.kernel.errors import MalformedRequest

T = TypeVar("T")

MAX_NESTING = 100
"""Levels of arrays and objects in a request. Real ones have under 20; far deeper ones are meant to exhaust a parser's stack."""

_TOP = msgspec.json.Decoder(dict[str, Raw])
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_BRACKET_OR_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
TRUE = Raw(b"true")
FALSE = Raw(b"false")

MODEL: msgspec.json.Decoder[str] = msgspec.json.Decoder(Annotated[str, Meta(min_length=1, max_length=512)])
FLAG = msgspec.json.Decoder(bool | None)
# Token counts end up in 64-bit columns and are multiplied by prices; 2^31 - 1 tokens is beyond any model.
CAP: msgspec.json.Decoder[int | None] = msgspec.json.Decoder(Optional[Annotated[int, Meta(ge=1, le=2**31 - 1)]])  # noqa: UP045 - Annotated takes no |
CAP_FROM_ZERO: msgspec.json.Decoder[int | None] = msgspec.json.Decoder(Optional[Annotated[int, Meta(ge=0, le=2**31 - 1)]])  # noqa: UP045 - Annotated takes no |
COUNT: msgspec.json.Decoder[int | None] = msgspec.json.Decoder(Optional[Annotated[int, Meta(ge=1, le=128)]])  # noqa: UP045 - Annotated takes no |


def top_level(body: bytes) -> Fields:
    """The top level of a request body. Raises `MalformedRequest` unless it is valid UTF-8 and valid JSON with an object at the top.

    Of duplicate keys the last one wins. Nesting deeper than `MAX_NESTING` is refused.
    """
    try:
        # Values are skipped over, not decoded, below; so this is where invalid UTF-8 inside them is seen.
        body.decode()
    except UnicodeDecodeError as fault:
        raise MalformedRequest(f"The body is not valid UTF-8: invalid byte at position {fault.start}.") from None
    if body.count(b"[") + body.count(b"{") > MAX_NESTING and _is_too_deep(body):
        raise MalformedRequest(f"The body is nested too deeply: at most {MAX_NESTING} levels.")
    return decode(_TOP, body, "The body", None)


def _is_too_deep(body: bytes) -> bool:
    # Cancelling innermost pairs takes away one level at a time, at memory speed. Brackets inside of strings may stay over: what is left
    # and the levels taken bound the depth from above, and only where the bound is too high are the strings looked at.
    left = body.translate(None, _NO_BRACKETS)
    for level in range(MAX_NESTING):
        if level + len(left) <= MAX_NESTING:
            return False
        fewer = left.replace(b"[]", b"").replace(b"{}", b"")
        if len(fewer) == len(left):
            break
        left = fewer
    depth = 0
    for token in _BRACKET_OR_STRING.finditer(body):
        mark = token[0]
        if mark in b"[{":
            depth += 1
            if depth > MAX_NESTING:
                return True
        elif mark in b"]}":
            depth -= 1
    return False


def decode(decoder: msgspec.json.Decoder[T], raw: bytes | Raw, what: str, param: str | None) -> T:
    """``raw`` through ``decoder``; whatever is wrong with it becomes a `MalformedRequest` that begins with ``what``."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as fault:
        raise MalformedRequest(f"{what} has the wrong type or value: {str(fault).lower().replace('`', '')}.", param=param) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        reason = str(fault)
        if reason == "Input data was truncated" and raw and bytes(raw).rstrip()[-1:] in (b"}", b"]", b'"'):
            # msgspec reports half of a surrogate pair at the end of a string this way.
            reason = "it ends early, or holds half of a surrogate pair"
        raise MalformedRequest(f"{what} is not valid JSON: {reason}.", param=param) from None
    except RecursionError:
        raise MalformedRequest(f"{what} is nested too deeply.", param=param) from None


def head(fields: Mapping[str, Raw], name: str, decoder: msgspec.json.Decoder[T]) -> T | None:
    """One field of the head; None when it is absent."""
    raw = fields.get(name)
    return None if raw is None else decode(decoder, raw, f"'{name}'", name)


def model_of(fields: Mapping[str, Raw]) -> str:
    """The model that was asked for, which every request must name."""
    raw = fields.get("model")
    if raw is None:
        raise MalformedRequest("The field 'model' is missing.", param="model")
    return decode(MODEL, raw, "'model'", "model")


def expect(fields: Mapping[str, Raw], name: str, openers: bytes, *, unless: str = "") -> None:
    """Check that ``name`` is there and is an array or string, by its first byte, without looking further.

    It may be missing where the field ``unless`` is there.
    """
    raw = fields.get(name)
    if raw is None:
        if unless in fields:
            return
        raise MalformedRequest(f"The field '{name}' is missing.", param=name)
    if memoryview(raw)[0] not in openers:
        kinds = " or ".join(word for mark, word in ((b"[", "an array"), (b'"', "a string")) if mark in openers)
        raise MalformedRequest(f"'{name}' must be {kinds}.", param=name)


def rewritten(fields: Fields, *, model: str, stream: bool) -> dict[str, Any]:
    """A copy of the top level for a provider of the same shape, with the model named as the provider knows it."""
    out: dict[str, Any] = dict(fields)
    out["model"] = model
    if stream:
        out["stream"] = TRUE
    elif "stream" in out:
        out["stream"] = FALSE
    return out

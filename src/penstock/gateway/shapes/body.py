"""Bodies as the hot path sees them: the top level only, every value still the client's own bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Optional, TypeVar

import msgspec
from msgspec import Meta, Raw

from penstock.gateway.shapes.shape import Fields
from penstock.kernel.errors import MalformedRequest

T = TypeVar("T")

_TOP = msgspec.json.Decoder(dict[str, Raw])
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

    Of duplicate keys the last one wins. Nesting is limited by the interpreter's own guard: about 1,000 levels less what the stack takes.
    """
    try:
        # Values are skipped over, not decoded, below; so this is where invalid UTF-8 inside them is seen.
        body.decode()
    except UnicodeDecodeError as fault:
        raise MalformedRequest(f"The body is not valid UTF-8: invalid byte at position {fault.start}.") from None
    return decode(_TOP, body, "The body", None)


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


def expect(fields: Mapping[str, Raw], name: str, openers: bytes) -> None:
    """Check that ``name`` is there and is an array or string, by its first byte, without looking further."""
    raw = fields.get(name)
    if raw is None:
        raise MalformedRequest(f"The field '{name}' is missing.", param=name)
    if memoryview(raw)[0] not in openers:
        kinds = " or ".join(word for mark, word in ((b"[", "an array"), (b'"', "a string")) if mark in openers)
        raise MalformedRequest(f"'{name}' must be {kinds}.", param=name)


def rewritten(fields: Fields, *, model: str, stream: bool, drop: frozenset[str], set: Mapping[str, Raw] | None) -> dict[str, Any]:
    """A copy of the top level for a provider of the same shape, with the model named as the provider knows it."""
    out: dict[str, Any] = dict(fields)
    out["model"] = model
    if stream:
        out["stream"] = TRUE
    elif "stream" in out:
        out["stream"] = FALSE
    for name in drop:
        out.pop(name, None)
    if set:
        out.update(set)
    return out

"""Safetensors: eight bytes of length, a JSON header, then tensors without gaps.

Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from typing import Any, BinaryIO, NoReturn, cast

from penstock.registry.scan.report import Refused
from penstock.registry.scan.text import CODE_WORDS

MAX_HEADER = 100_000_000
_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E5M2FNUZ": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E8M0": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
}


def read_safetensors(file: BinaryIO, size: int) -> None:
    """Raise `Refused` unless every byte of the file is accounted for by its header."""
    length = int.from_bytes(file.read(8), "little")
    if size < 10 or length > MAX_HEADER or length > size - 8:
        _no("the header is longer than the file or than any header")
    raw = file.read(length)
    if not raw.startswith(b"{"):
        _no("the header does not begin as it must")
    try:
        header: Any = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_constant)
    except (ValueError, RecursionError) as fault:
        raise Refused("safetensors_malformed", f"the header is no JSON: {str(fault)[:120]}") from fault
    spans: list[tuple[int, int, str]] = []
    for name, told in cast("dict[str, Any]", header).items():
        if name == "__metadata__":
            if not isinstance(told, dict) or not all(isinstance(v, str) for v in cast("dict[str, object]", told).values()):
                _no("__metadata__ holds something else than texts")
            if any(CODE_WORDS.search(v) or CODE_WORDS.fullmatch(k) for k, v in cast("dict[str, str]", told).items()):
                raise Refused("config_code", "__metadata__ tells a loader to run code that comes with the model")
            continue
        spans.append((*_span(name, told), name))
    end = 0
    for begin, stop, name in sorted(spans):
        if begin != end:
            _no(f"tensor {name[:80]!r} {'overlaps another' if begin < end else 'leaves a gap before it'}")
        end = stop
    if 8 + length + end != size:
        _no(f"{size - 8 - length - end} bytes at the end belong to no tensor")


def _span(name: str, told: object) -> tuple[int, int]:
    if not isinstance(told, dict) or set(cast("dict[str, Any]", told)) != {"dtype", "shape", "data_offsets"}:
        _no(f"tensor {name[:80]!r} is not described by type, shape and place")
    about = cast("dict[str, Any]", told)
    shape, place = about["shape"], about["data_offsets"]
    bits = _BITS.get(about["dtype"]) if isinstance(about["dtype"], str) else None
    if bits is None:
        _no(f"tensor {name[:80]!r} has an unknown type")
    if not _numbers(shape) or not _numbers(place) or len(cast("list[int]", place)) != 2:
        _no(f"tensor {name[:80]!r} has no proper shape or place")
    begin, stop = cast("list[int]", place)
    if (stop - begin) * 8 != math.prod(cast("list[int]", shape)) * bits:
        _no(f"tensor {name[:80]!r} does not fill its place")
    return begin, stop


def _numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in cast("list[object]", value))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _no(message: str) -> NoReturn:
    raise Refused("safetensors_malformed", message)

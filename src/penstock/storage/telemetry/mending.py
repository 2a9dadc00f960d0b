"""A batch that an engine does not take, made so that it does: texts without what no database holds, numbers that fit, ids that are ids."""

from __future__ import annotations

from pathlib import Path

import msgspec

from penstock.storage.telemetry.span import FIELDS, Payload, Span

_LARGEST = 2**63 - 1
_HEX = frozenset("0123456789abcdef")


def mended(path: Path) -> int:
    """Write the batch anew, in its place, without the spans that cannot be kept; how many those were."""
    kept: list[Span] = []
    lost = 0
    for line in path.read_bytes().splitlines():
        try:
            span = msgspec.json.decode(line, type=Span)
        except (msgspec.DecodeError, UnicodeDecodeError):
            lost += 1
            continue
        if mend(span):
            kept.append(span)
        else:
            lost += 1
    fresh = path.with_suffix(".part")
    fresh.write_bytes(msgspec.json.Encoder().encode_lines(kept))
    fresh.replace(path)
    return lost


def mend(span: Span) -> bool:
    """Make the span one that can be stored; False when its ids or times are none."""
    for name in FIELDS:
        value = getattr(span, name)
        if isinstance(value, str):
            setattr(span, name, _clean(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            setattr(span, name, max(-_LARGEST, min(_LARGEST, value)))
    if span.payload is not None:
        span.payload = Payload(input=_clean(span.payload.input), output=_clean(span.payload.output))
    if not _hex(span.parent_id, 16):
        span.parent_id = ""
    return _hex(span.trace_id, 32) and _hex(span.span_id, 16) and 0 <= span.start_ns <= span.end_ns < _LARGEST


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _hex(text: str, digits: int) -> bool:
    return len(text) == digits and _HEX.issuperset(text)

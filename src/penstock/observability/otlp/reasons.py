"""Why spans are refused, and what is repaired in them: the names in metrics, answers and pages, with what a reader is told."""

from __future__ import annotations

from collections import Counter

REFUSED: dict[str, str] = {
    "malformed_span": "the span's bytes cannot be read",
    "invalid_id": "the trace or span id is missing, zero, or of the wrong length",
    "time_out_of_range": "the span lies before 2000 or beyond 2262",
    "duplicate": "a span with the same ids, but other contents, came in the same request",
}
"""Reasons for which one span is left out; the rest of its request is kept."""

REPAIRED: dict[str, str] = {
    "invalid_utf8": "text that is no UTF-8 had its wrong bytes replaced",
    "nul": "NUL characters in text were replaced",
    "text_cut": "a text beyond observability.otlp.attribute_max_bytes was cut",
    "attributes_dropped": "attributes beyond the most that one span, event or list may have were left out",
    "events_dropped": "events or links beyond the most that one span may have were left out",
    "too_deep": "lists or dictionaries nested too deep were left out",
    "invalid_parent": "a parent id of the wrong length was removed",
    "cyclic_parent": "a span that was its own ancestor became a root",
    "duplicate_dropped": "the same span came twice; one was kept",
    "no_time": "a span without times got the moment at which it came",
    "end_before_start": "a span that ended before it began got its start as its end",
    "future": "a span from the future was moved back to the moment at which it came",
    "clock_skew": "all spans of a program whose clock is ahead were moved back together",
    "token_count": "a count of tokens that is no whole number from 0 on was left out",
    "message_unreadable": "messages that could not be taken apart were kept as one text",
}
"""What was changed in spans that were kept. Each counts once for each time."""


def told(refused: Counter[str], repaired: Counter[str]) -> str:
    """What a sender is told; empty when nothing was wrong."""
    said: list[str] = []
    if refused:
        said.append("refused: " + "; ".join(f"{n} {name} ({REFUSED[name]})" for name, n in sorted(refused.items())))
    if repaired:
        said.append("repaired: " + "; ".join(f"{n} {name} ({REPAIRED[name]})" for name, n in sorted(repaired.items())))
    return ". ".join(said)

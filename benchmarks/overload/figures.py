"""The overload's result as the performance page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROWS = (
    ("peak_per_second", "peak, replies a second", "", "{:,.0f}"),
    ("goodput_share", "replies under overload, part of the peak", "at least 90 %", "{:.0%}"),
    ("unloaded_p99_ms", "interactive p99 unloaded, ms", "", "{:,.0f}"),
    ("interactive_p99_ms", "interactive p99 under overload, ms", "", "{:,.0f}"),
    ("interactive_slower", "the one in terms of the other", "at most 2", "{:.2f}"),
    ("interactive_p99_ms_at_first", "interactive p99 in the first five seconds, ms", "", "{:,.0f}"),
    ("interactive_answered", "interactive calls answered", "", "{:.1%}"),
    ("batch_answered", "batch calls answered", "", "{:.1%}"),
    ("refused_p50_ms", "a refusal takes, p50, ms", "", "{:.1f}"),
    ("refused_p99_ms", "a refusal takes, p99, ms", "at most 5", "{:.1f}"),
    ("generator_late_p99_ms", "the generator's own lateness, p99, ms", "", "{:.1f}"),
)


def table(found: Mapping[str, Any]) -> str:
    """A row for each figure, a column for each contestant; then what was missed."""
    contestants: Mapping[str, Mapping[str, Any]] = found["contestants"]
    settings = found["settings"]
    lines = [
        f"{settings['slots']} slots of {settings['milliseconds']:.0f} ms.",
        "",
        f"| | {' | '.join(contestants)} | promise |",
        f"| --- |{' ---: |' * len(contestants)} --- |",
    ]
    for figure, title, promise, form in _ROWS:
        cells = ["-" if one[figure] is None else form.format(one[figure]) for one in contestants.values()]
        lines.append(f"| {title} | {' | '.join(cells)} | {promise} |")
    missed = "; ".join(found["missed"])
    return "\n".join([*lines, "", f"**Missed here**: {missed}." if missed else "Every promise holds."])

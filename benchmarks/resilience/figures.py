"""The failure drill's result as the performance page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ROWS = (
    ("success", "calls answered in full", "at least 99.9 %", "{:.3%}"),
    ("success_whole", "of those that were no streams", "", "{:.3%}"),
    ("success_streams", "of the streams", "", "{:.3%}"),
    ("amplification", "requests to providers for a call", "at most 1.1", "{:.3f}"),
    ("herd", "herd: most that one who came back was asked, in fair shares", "at most 1.5", "{:.2f}"),
    ("troubled", "what those in trouble were asked, in fair shares", "", "{:.3f}"),
    ("p50_ms", "median, ms", "", "{:,.0f}"),
    ("p99_ms", "99th percentile, ms", "", "{:,.0f}"),
)


def table(found: Mapping[str, Any]) -> str:
    """A row for each figure, a column for each contestant."""
    contestants: Mapping[str, Mapping[str, Any]] = found["contestants"]
    names = [f"{name} {found['litellm']}" if name == "litellm" else name for name in contestants]
    lines = [
        f"{found['minutes']:.0f} minutes at {found['rate']:.0f} calls a second for each contestant, every fifth a stream.",
        "",
        f"| | {' | '.join(names)} | promise |",
        f"| --- |{' ---: |' * len(names)} --- |",
    ]
    for figure, title, promise, form in _ROWS:
        lines.append(f"| {title} | {' | '.join(form.format(one[figure]) for one in contestants.values())} | {promise} |")
    for name, one in contestants.items():
        failures = ", ".join(f"{count:,} {said}" for said, count in one["failures"].items())
        lines += ["", f"Failures of {name}: {failures or 'none'}."]
    return "\n".join(lines)

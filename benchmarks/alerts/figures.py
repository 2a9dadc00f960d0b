"""The figures of the detectors as a table of the page on performance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def table(found: Mapping[str, Any]) -> str:
    """A row for each contestant, and for each sensitivity of ours."""
    machine, lines = found["machine"], list[str]()
    events = next(iter(found["contestants"].values()))["events"]
    lines.append(f"{machine['series']} series of two weeks in each half, {events} events; river {machine['river']}.\n")
    lines.append("| detector | F1 | found | of alarms true | false a week and series | spikes, shifts found | minutes to find |")
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for name, one in found["contestants"].items():
        lines.append(_row(name, one))
        lines += [_row(f"– {word}", each) for word, each in one.get("sensitivities", {}).items()]
    return "\n".join(lines)


def _row(name: str, one: Mapping[str, Any]) -> str:
    delays = one["delay_minutes"]
    cells = [
        name,
        f"{one['f1']:.2f}",
        _share(one["recall"], one["recall_interval"]),
        _share(one["precision"], one["precision_interval"]),
        f"{one['false_a_week']:.2f} ({one['false_a_week_interval'][0]:.2f} to {one['false_a_week_interval'][1]:.2f})",
        ", ".join(f"{one['recall_of'].get(kind, 0) * 100:.0f} %" for kind in ("spike", "shift")),
        ", ".join(f"{delays[kind]:.0f}" if kind in delays else "–" for kind in ("spike", "shift")),
    ]
    return "| " + " | ".join(cells) + " |"


def _share(value: float, interval: tuple[float, float]) -> str:
    return f"{value * 100:.0f} % ({interval[0] * 100:.0f} to {interval[1] * 100:.0f})"

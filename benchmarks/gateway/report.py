"""The report: a table for people, ``benchmarks/results/gateway.json`` for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.gateway.bars import Bar, added, bars, medians, ratio
from benchmarks.gateway.measure import Sample

COLUMNS = (
    ("+p5", "c1.p5", "added"), ("+p50", "c1.p50", "added"), ("+p99", "c1.p99", "added"),
    ("c32/s", "c32.per_second", "median"), ("c256/s", "c256.per_second", "median"), ("CPU ms", "c32.cpu_ms", "median"),
    ("100k +p50", "c1_100k.p50", "added"), ("100k c32/s", "c32_100k.per_second", "median"), ("100k CPU", "c32_100k.cpu_ms", "median"),
    ("stream +first", "c1_stream.first_p50", "added"), ("stream +p50", "c1_stream.p50", "added"),
    ("stream c32/s", "c32_stream.per_second", "median"), ("stream CPU", "c32_stream.cpu_ms", "median"),
    ("start CPU s", "start.cpu_seconds", "median"), ("start s", "start.wall_seconds", "median"),
    ("idle MB", "rss.idle_mb", "median"), ("after MB", "rss.after_mb", "median"),
)  # fmt: skip


@dataclass
class Outcome:
    """What became of one contestant. ``failure``: why it has no figures, or fewer rounds than asked; None when all went well."""

    version: str
    samples: list[Sample]
    failure: str | None = None


def table(outcomes: Mapping[str, Outcome]) -> str:
    """Plain text: a row for each figure. Latencies at c=1 are what a gateway adds to the mock; the mock's own are absolute."""
    mock = outcomes["mock"].samples if "mock" in outcomes else []
    header = ["", *outcomes]
    rows = [["version", *(outcome.version for outcome in outcomes.values())]]
    for title, figure, kind in COLUMNS:
        cells: list[str] = []
        for name, outcome in outcomes.items():
            values = added(outcome.samples, mock) if kind == "added" and name != "mock" else medians(outcome.samples)
            cells.append(_number(values.get(figure)))
        rows.append([title, *cells])
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in [header, *rows]
    ]
    failures = [f"{name}: {outcome.failure}" for name, outcome in outcomes.items() if outcome.failure]
    return "\n".join([*lines, *(["", "Could not be measured:", *failures] if failures else [])])


def verdicts(found: Sequence[Bar]) -> str:
    state = {True: "pass", False: "MISS", None: "not measured"}
    return "\n".join(f"{state[bar.holds]:>12}  {bar.text}: {_number(bar.measured)} {bar.unit}" for bar in found)


def write(path: Path, outcomes: Mapping[str, Outcome], *, machine: Mapping[str, object], settings: Mapping[str, object]) -> None:
    samples = {name: outcome.samples for name, outcome in outcomes.items()}
    ours = samples.get("penstock", [])
    document = {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "settings": settings,
        "bars": [asdict(bar) for bar in bars(samples)],
        "contestants": {
            name: {
                "version": outcome.version,
                "failure": outcome.failure,
                "median": _rounded(medians(outcome.samples)),
                "added_ms": _rounded(added(outcome.samples, samples.get("mock", []))),
                "penstock_times_its_throughput": {
                    key: ratio(ours, outcome.samples, f"{key}.per_second") for key in ("c32", "c256", "c32_100k", "c32_stream")
                },
                "rounds": [_rounded(sample) for sample in outcome.samples],
            }
            for name, outcome in outcomes.items()
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def _rounded(sample: Sample) -> Sample:
    return {name: round(value, 4) for name, value in sample.items()}


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}"

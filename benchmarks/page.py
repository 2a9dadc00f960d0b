"""``python -m benchmarks.page``: puts the figures of ``benchmarks/results`` into docs/performance.md,
docs/routing.md and docs/groundedness.md; ``--check`` says whether they are in.

The page's words are written by hand; between ``<!-- figures: NAME -->`` and ``<!-- end -->`` stands what this makes of a result.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.alerts.figures import table as alerts_table
from benchmarks.gateway.bars import bars
from benchmarks.gateway.report import COLUMNS
from benchmarks.groundedness.figures import TABLES as GROUNDEDNESS
from benchmarks.overload.figures import table as overload_table
from benchmarks.resilience.figures import table
from benchmarks.routing import report

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "docs" / "performance.md", ROOT / "docs" / "routing.md", ROOT / "docs" / "groundedness.md")
RESULTS = ROOT / "benchmarks" / "results"

_TITLES = {
    "+p5": "1 KB, one at a time, p5", "+p50": "the same, p50", "+p99": "the same, p99", "c32/s": "requests/s, 32 at once",
    "c256/s": "requests/s, 256 at once", "CPU ms": "CPU-ms a request, 32 at once", "100k +p50": "100 KB, one at a time, p50",
    "100k c32/s": "100 KB, requests/s, 32 at once", "100k CPU": "100 KB, CPU-ms a request", "stream +first": "stream, first byte, p50",
    "stream +p50": "stream, last byte, p50", "stream c32/s": "streams/s, 32 at once", "stream CPU": "CPU-ms a stream",
    "start CPU s": "cold start, CPU-s", "start s": "cold start, s", "idle MB": "RSS idle, MB", "after MB": "RSS after the load, MB",
}  # fmt: skip


def gateway() -> str:
    """A row for each figure, a column for each contestant; then the promises."""
    found = _result("gateway")
    contestants: Mapping[str, Any] = found["contestants"]
    lines = [
        f"{_machine(found)} Medians of {found['settings']['rounds']} interleaved rounds; latencies are what is added to the mock's own.",
        "",
        f"| | {' | '.join(contestants)} |",
        f"| --- |{' ---: |' * len(contestants)}",
    ]
    for title, figure, kind in COLUMNS:
        cells = [
            _number((one["added_ms"] if kind == "added" and name != "mock" else one["median"]).get(figure))
            for name, one in contestants.items()
        ]
        unit = ", ms added" if kind == "added" else ""
        lines.append(f"| {_TITLES[title]}{unit} | {' | '.join(cells)} |")
    lines += ["", "| promise | measured | |", "| --- | ---: | --- |"]
    for bar in bars({name: one["rounds"] for name, one in contestants.items()}):
        verdict = {True: "holds", False: "**missed here**", None: "not measured"}[bar.holds]
        lines.append(f"| {bar.text} | {_number(bar.measured)} {bar.unit} | {verdict} |")
    failures = [f"{name}: {one['failure']}" for name, one in contestants.items() if one["failure"]]
    if failures:
        lines += ["", "Could not be measured: " + " ".join(failures)]
    return "\n".join(lines)


def account() -> str:
    """What each station spends."""
    found = _result("account")
    lines = [_machine(found), "", "| station | µs of CPU |", "| --- | ---: |"]
    lines += [f"| {name} | {value:.0f} |" for name, value in found["microseconds"].items()]
    return "\n".join(lines)


def memory() -> str:
    """Flat or not, in a sentence."""
    found = _result("memory")
    return (
        f"{_machine(found)} Resident memory over 200,000 requests at 32 at once and 2,000 streams that their clients reset: the median"
        f" of all readings is {found['median_mb']:.0f} MB, the farthest reading is {found['largest_distance']:.1%} away from it, the trend"
        f" over the requests {found['trend_requests']:+.1%}, over the aborted streams {found['trend_aborts']:+.1%}; streams left open"
        f" upstream: {found['streams_left_open']}."
    )


def batches() -> str:
    """The batch that was killed, and what it did to others, in two sentences."""
    if not (RESULTS / "batches.json").exists():
        return "Not measured yet."
    found = _result("batches")
    phases = found["phases"]
    beside = [phase for phase in phases if phase["batch"]]
    exact = found["results"] == found["lines"] and not (found["missing"] or found["doubled"] or found["wrong"])
    alone = _number(found["idle_lines_per_second"])
    ended = "exactly one result for each line" if exact else "**results missing, doubled or wrong**"
    text = (
        f"{_machine(found)} The provider answered in {found['upstream_seconds'] * 1e3:.0f} ms; the load average at the start was"
        f" {found['machine']['load_average']:.1f}. A batch of {found['lines']:,} lines, killed {found['kills']} times, ended with"
        f" {ended}; {found['repeated_calls']} calls were made twice, and the ledger has {found['ledger_rows']:,} rows. The process took at"
        f" most {found['rss_megabytes']:.0f} MB. With nobody else there it did {alone} lines a second, kills and starts included."
    )
    if beside:
        pace = sum(phase["lines"] for phase in beside) / sum(phase["seconds"] for phase in beside)
        text += (
            f" Beside interactive calls it did {_number(pace)}: of {sum(phase['calls'] for phase in phases):,} of those, half while the"
            f" batch was paused, the 99th percentile went from {_number(found['p99_without'])} to {_number(found['p99_with'])} ms"
            f" ({found['p99_rise']:+.0%}; {'holds' if found['p99_rise'] <= 0.2 else '**missed here**'}: at most +20%)."
        )
    return text


def resilience() -> str:
    """The failure drill, a column for each contestant."""
    found = _result("resilience")
    return f"{_machine(found)} {table(found)}"


def overload() -> str:
    """What callers notice when three times what an engine can do is asked for."""
    if not (RESULTS / "overload.json").exists():
        return "Not measured yet."
    found = _result("overload")
    return f"{_machine(found)} {overload_table(found)}"


def cache() -> str:
    """Hits and false hits of fixed thresholds and of calibrated ones, for each task; intervals are exact, 95 %, two-sided."""
    found = _result("cache")
    lines = [
        f"Vectors: {found['embedder']}, for all. Calibrated to at most {found['bound']:.0%} false hits with"
        f" {found['confidence']:.0%} confidence."
    ]
    for name, task in found["tasks"].items():
        lines += [
            "",
            f"**{name}**: {task['stored']:,} questions stored, {task['calibrate']:,} to calibrate on, {task['report']:,} in the report.",
            "",
            "| how | hits | of them false | |",
            "| --- | ---: | ---: | --- |",
        ]
        for one in task["fixed"]:
            lines.append(f"| cosine {one['threshold']:g}, fixed | {_hits(one)} | {one['whose']} |")
        for how, one in task["calibrated"].items():
            what = f"calibrated: {how}"
            if one["report"] is None:
                lines.append(f"| {what} | off | | {one['reason']} |")
            else:
                told = f"threshold {one['threshold']:g}; on the pairs to calibrate on: {one['false']} of {one['hits']} false"
                lines.append(f"| {what} | {_hits(one['report'])} | {told} |")
    lines += [
        "",
        f"What the station costs. {_machine({'machine': found['account_machine']})}",
        "",
        "| a call of 1 KB | µs of CPU |",
        "| --- | ---: |",
    ]
    lines += [f"| {name} | {value:.1f} |" for name, value in found["account_us"].items()]
    ours = {name: task["calibrated"]["score and wording"]["report"] for name, task in found["tasks"].items()}
    kept = all(one is None or one["false_rate"] <= found["bound"] for one in ours.values())
    verdict = "holds" if kept else "**missed here**"
    return "\n".join([*lines, "", f"The promise, at most 1 % of the hits false with what Penstock does (score and wording): {verdict}."])


def _hits(one: Mapping[str, Any]) -> str:
    hits = f"{one['hit_rate']:.1%} ({one['hit_low']:.1%} to {one['hit_high']:.1%})"
    return f"{hits} | {one['false_rate']:.2%} ({one['false_low']:.2%} to {one['false_high']:.2%}; {one['false']} of {one['hits']:,})"


def realtime() -> str:
    """What a message of a session is delayed by."""
    found = _result("realtime")
    titles = {
        "text p50": "200 B, p50",
        "text p95": "200 B, p95",
        "sound p50": "12.8 KB, p50",
        "sound p95": "12.8 KB, p95",
        "open": "opening, p50",
    }
    lines = [
        f"{_machine(found)} The load average was {found['machine']['load_average']:.1f}: other work ran beside it."
        f" Medians of {found['rounds']} interleaved rounds of {found['messages']} round trips; what is added to the echo's own.",
        "",
        f"| ms added to a round trip | {' | '.join(found['added_ms'])} |",
        f"| --- |{' ---: |' * len(found['added_ms'])}",
    ]
    for figure, title in titles.items():
        lines.append(f"| {title} | {' | '.join(_number(one[figure]) for one in found['added_ms'].values())} |")
    return "\n".join(lines)


def _routing(name: str) -> Callable[[], str]:
    return lambda: getattr(report, name)(_result("routing"))


def _groundedness(name: str) -> Callable[[], str]:
    return lambda: GROUNDEDNESS[name](_result("groundedness"))


BLOCKS: Mapping[str, Callable[[], str]] = {
    "gateway": gateway,
    "account": account,
    "memory": memory,
    "resilience": resilience,
    "overload": overload,
    "alerts": lambda: alerts_table(_result("alerts")),
    "batches": batches,
    "cache": cache,
    "realtime": realtime,
    **{f"routing_{name}": _routing(name) for name in ("bars", "two", "many", "floors", "shift")},
    **{f"groundedness_{name}": _groundedness(name) for name in GROUNDEDNESS},
}


def filled(page: str) -> str:
    """The page with every block made anew. Raises `KeyError` for a block that nobody makes."""
    return re.sub(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{BLOCKS[m[2]]()}\n{m[3]}", page, flags=re.DOTALL)


def _result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


def _machine(found: Mapping[str, Any]) -> str:
    machine = found["machine"]
    return (
        f"On {machine['cores']} cores of an {machine['cpu']}, Python {machine['python']}; a method call in a Python loop takes"
        f" {machine['python_loop_ns']:.0f} ns there and a round trip over loopback {machine['loopback_us']:.0f} µs."
    )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> int:
    """Write, or compare and return 1 when the page lags behind the results."""
    for page in PAGES:
        text = page.read_text()
        made = filled(text)
        if "--check" not in sys.argv[1:]:
            page.write_text(made)
        elif made != text:
            print(f"{page} lags behind benchmarks/results: run `make docs`")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

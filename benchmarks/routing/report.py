"""The figures of ``benchmarks/results/routing.json`` as the tables of docs/routing.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SETS = {"gsm8k": "GSM8K", "mmlu": "MMLU"}
_FIGURES = {
    "cpt50": "half the gap",
    "cpt80": "80 % of the gap",
    "share90": "90 %",
    "share95": "95 %",
    "share98": "98 %",
    "share100": "100 %",
}


def bars(found: Mapping[str, Any]) -> str:
    lines = ["| promise | measured | |", "| --- | --- | --- |"]

    def row(promise: str, measured: str, holds: bool) -> None:
        lines.append(f"| {promise} | {measured} | {'holds' if holds else '**missed**'} |")

    for key, name in ((key, name) for key, name in _SETS.items() if key in found):
        for method in ("ours, router", "ours, cascade"):
            if not (figures := found[key]["rows"].get(method)):
                continue
            verdict, apgr = found[key]["bars"][method], figures["figures"]["apgr"]
            short, best = method.removeprefix("ours, "), found[key]["bars"]["best_published"]
            row(f"{name}, {short}: better than random mixing", f"gap recovered {_interval(apgr)} against .500", verdict["beats_random"])
            single = figures["figures"]["share100"]
            row(f"{name}, {short}: the strong model's quality with fewer calls to it", f"{_percents(single)}", verdict["beats_single"])
            for figure, words in (("cpt50", "half the gap"), ("cpt80", "80 % of the gap")):
                measured = f"{_percents(figures['figures'][figure])} of calls, RouteLLM's best {best[figure]:.1%}"
                row(f"{name}, {short}: {words} with fewer calls than RouteLLM", measured, verdict[f"beats_published_{figure}"])
    many = found["nine"]
    ours = many["rows"]["ours, router"]
    row(
        "nine models: better than the best single",
        f"{ours['above_single'][0]:+.3f} ({_span(ours['above_single'], '+.3f')})",
        many["bars"]["beats_single"],
    )
    row(
        "nine models: at least half of what a rival reaches",
        f"{ours['of_the_way']:.1%} of the way to the oracle",
        many["bars"]["half_of_best_rival"],
    )
    claims = [case for cases in found["floors"].values() for case in cases.values()]
    worst = max(case["violated"] for case in claims)
    row("certified floors violated in at most 5 % of resplits", f"{worst:.1%} in the worst of {len(claims)} cases", worst <= 0.05)
    shift = found["shift"]
    row(
        "other traffic: suspended before 200 calls",
        f"{shift['within_200']:.0%} of the {shift['streams'] - shift['before_the_change']} streams not suspended before",
        shift["within_200"] == 1,
    )
    cost = sum(found["serving"][name] for name in list(found["serving"])[:2])
    row("estimate and choice: at most 150 µs of CPU a call with 20 candidates", f"{cost:.0f} µs", cost <= 150)
    station = found["stage"]
    by_evidence = station["single"]["p50_us"]
    row("the whole station, one candidate certified: at most 150 µs of CPU a call", f"{by_evidence:.0f} µs", by_evidence <= 150)
    for name, words in (
        ("router", "a router that reads the prompt"),
        ("cascade_accepted", "a cascade whose small answer is looked at and accepted"),
        ("cascade_escalated", "one that is looked at and escalated"),
    ):
        figures = station[name]
        measured = f"{figures['p50_us']:.0f} µs; {figures['least_us']:.0f} in the quietest round"
        row(f"the whole station, {words}: the same", measured, figures["p50_us"] <= 150)
    row(
        "a call without a task, at this station: at most 0.3 µs",
        f"{station['without_a_task_us']:.2f} µs",
        station["without_a_task_us"] <= 0.3,
    )
    machine, minutes = found["machine"], sum(found["seconds"].values()) / 60
    lines += [
        "",
        f"{minutes:.0f} minutes on {machine['cores']} cores of an {machine['cpu']}, at a load average of {machine['load_average']:.0f}; "
        f"the station at {found['stage_machine']['load_average']:.0f}.",
    ]
    return "\n".join(lines)


def two(found: Mapping[str, Any]) -> str:
    lines: list[str] = []
    for key, name in ((key, name) for key, name in _SETS.items() if key in found):
        one = found[key]
        lines += [
            f"**{name}**: {one['prompts']:,} prompts, Mixtral-8x7B right on {one['small']:.1%}, GPT-4 on {one['large']:.1%}.",
            "",
            f"| share of calls to GPT-4 for | {' | '.join(_FIGURES.values())} | gap recovered |",
            f"| --- |{' ---: |' * (len(_FIGURES) + 1)}",
        ]
        for label in ("random", "oracle"):
            cells = [f"{one[label][figure]:.1%}" if figure in one[label] else "-" for figure in _FIGURES]
            lines.append(f"| {label} | {' | '.join(cells)} | {one[label]['apgr']:.3f} |")
        for label, published in one["routellm"].items():
            cells = [f"{published[figure]:.1%}" if figure in published else "-" for figure in _FIGURES]
            lines.append(f"| RouteLLM's {label}, as published | {' | '.join(cells)} | {published['apgr']:.3f} |")
        for label, row in one["rows"].items():
            cells = [_percents(row["figures"][figure]) for figure in _FIGURES]
            lines.append(f"| {label} | {' | '.join(cells)} | {_interval(row['figures']['apgr'])} |")
        costs = [f"{label} {row['cost_of_all_strong']['share95']:.1%}" for label, row in one["rows"].items() if label.startswith("ours")]
        lines += ["", f"Cost at 95 % of GPT-4, calls to both models paid, of the cost of GPT-4 alone: {'; '.join(costs)}.", ""]
    return "\n".join(lines).rstrip()


def many(found: Mapping[str, Any]) -> str:
    one = found["nine"]
    lines = [
        f"{one['prompts']:,} prompts. Random {one['random']:.3f}, best single {one['single']:.3f}, oracle {one['oracle']:.3f}.",
        "",
        "| | quality | above the best single | of the way to the oracle |",
        "| --- | ---: | ---: | ---: |",
    ]
    for label, row in one["rows"].items():
        above = row["above_single"]
        lines.append(f"| {label} | {row['quality']:.3f} | {above[0]:+.3f} ({_span(above, '+.3f')}) | {row['of_the_way']:.1%} |")
    return "\n".join(lines)


def floors(found: Mapping[str, Any]) -> str:
    lines = [
        "| set and floor | labels | violated | cannot certify | plug-in violated | cost certified | cost plug-in |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, cases in found["floors"].items():
        for label, case in cases.items():
            low, high = case["violated_interval"]
            cost = "-" if case["cost"] is None else f"{case['cost']:.0%}"
            lines.append(
                f"| {name}: {label} | {case['labels']} | {case['violated']:.1%} ({low:.1%} to {high:.1%}) | {case['cannot_certify']:.1%}"
                f" | {case['plug_in_violated']:.1%} | {cost} | {case['plug_in_cost']:.0%} |"
            )
    return "\n".join(lines)


def shift(found: Mapping[str, Any]) -> str:
    one = found["shift"]
    low, high = one["false_alarms_interval"]
    return (
        f"{one['streams']} streams: suspended {one['median']:.0f} calls after the change in the median, {one['p90']:.0f} at the 90th"
        f" percentile, {one['worst']:.0f} at most; before the change {one['before_the_change']} times, never {one['never']} times."
        f" Without a change, over {one['quiet_calls']:,} calls: {one['false_alarms']:.1%} suspended ({low:.1%} to {high:.1%}; promised is"
        f" 5 % at most)."
    )


def _percents(three: list[float]) -> str:
    return f"{three[0]:.1%} ({three[1]:.1%} to {three[2]:.1%})"


def _interval(three: list[float]) -> str:
    return f"{three[0]:.3f} ({_span(three, '.3f')})"


def _span(three: list[float], form: str) -> str:
    return f"{three[1]:{form}} to {three[2]:{form}}"

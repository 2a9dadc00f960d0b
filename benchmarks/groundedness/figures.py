"""The figures of ``benchmarks/results/groundedness.json`` as the tables of docs/groundedness.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

TITLES = {
    "wow": "BEGIN, Wizard of Wikipedia",
    "cmu": "BEGIN, CMU-DoG",
    "factcheck": "FactCheckGPT",
    "wice": "WiCE",
    "halueval": "HaluEval, general",
}
NAMES = {"lexical": "words", "full": "words and meaning", "coverage": "1 - content coverage", "rouge_l": "1 - ROUGE-L precision"}
BARS = (("auroc", 0.94, "AUROC at least .94"), ("balanced", 0.86, "balanced accuracy at least 86 %"))


def bars(found: Mapping[str, Any]) -> str:
    lines = ["| promise | measured | |", "| --- | --- | --- |"]
    ours = found["test"]["wow"]["lexical"]
    for figure, least, words in BARS:
        lines.append(f"| {TITLES['wow']}, test part: {words} | {_interval(ours[figure])} | {_verdict(ours[figure][0] >= least)} |")
    for name, most in (("words", 1.0), ("meaning", 25.0)):
        median, high, first = found["speed"][name]
        told = f"{median:.2f} ms, 95th percentile {high:.2f}; first of seven runs {first:.2f}"
        lines.append(f"| CPU of a judgement, {name}: at most {most:g} ms in the median | {told} | {_verdict(median <= most)} |")
    machine = found["machine"]
    lines += [
        "",
        f"On {machine['cores']} cores of an {machine['cpu']}, Python {machine['python']}, where a method call in a Python loop took",
    ]
    lines[-1] += f" {machine['python_loop_ns']:.0f} ns, at a load average of {machine['load_average']:.1f}. Model {found['model']}."
    return "\n".join(lines)


def test(found: Mapping[str, Any]) -> str:
    lines: list[str] = []
    for name, rows in found["test"].items():
        lines += [f"**{TITLES[name]}**, {found['sizes'][name][1]:,} replies of the test part:", ""]
        lines += ["| | AUROC | balanced accuracy |", "| --- | ---: | ---: |"]
        lines += [f"| {title} | {_interval(rows[key]['auroc'])} | {_interval(rows[key]['balanced'])} |" for key, title in NAMES.items()]
        lines.append("")
    return "\n".join(lines[:-1])


def left_out(found: Mapping[str, Any]) -> str:
    lines = [
        f"| set left out | replies | {' | '.join(NAMES.values())} | words, balanced accuracy at .5 | learnt with it: words |",
        "| --- | ---: |" + " ---: |" * (len(NAMES) + 2),
    ]
    for name, row in found["left_out"].items():
        own = found["cross_validated"].get(name)
        cells = [_interval(row[key]) for key in NAMES] + [_interval(row["balanced_at_half"]), _interval(own["lexical"]) if own else "-"]
        lines.append(f"| {TITLES[name]} | {row['rows']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def few_labels(found: Mapping[str, Any]) -> str:
    lines = [
        "| set, never learnt from | labels | promise broken | unsure | balanced accuracy of one threshold | without labels |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, sizes in found["few_labels"].items():
        for size, row in sizes.items():
            if size.isdigit():
                cells = f"{row['broken']:.1%} | {row['unsure']:.0%} | {_interval(row['balanced'])} | {sizes['half']:.3f}"
                lines.append(f"| {TITLES[name]} | {size} | {cells} |")
    return "\n".join(lines)


def support(found: Mapping[str, Any]) -> str:
    one = found["support"]
    return (
        f"On {one['claims']} claims of WiCE's test part: of the sentences named as support {_interval(one['named'])} are among those"
        f" that people marked; of sentences taken at random it would be {one['chance']:.3f}."
    )


TABLES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "bars": bars,
    "test": test,
    "left_out": left_out,
    "few_labels": few_labels,
    "support": support,
}


def _interval(figure: list[float]) -> str:
    middle, low, high = figure
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def _verdict(holds: bool) -> str:
    return "holds" if holds else "**missed**"

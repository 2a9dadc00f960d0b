"""``python -m benchmarks.routing --data DIR``: what routing saves on recorded outcomes, and whether what it certifies holds.

Writes ``benchmarks/results/routing.json``. Needs the extra ``local`` and the data; docs/routing.md says where that is from. The first
run embeds 18,000 prompts, which takes some minutes; later ones find them in ``.bench/routing``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.gateway.machine import describe
from benchmarks.routing import floors, frontier, serving, shift, stage
from benchmarks.routing.data import gsm8k, mmlu, nine

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "routing.json"
PARTS = ("stage", "floors", "shift", "serving", "nine", "gsm8k", "mmlu")
PROMPTS = ["The largest animal to have ever lived on earth is the blue whale. How many tons may its tongue of 6000 pounds weigh?"] * 200


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description=__doc__)
    parser.add_argument("--data", type=Path, help="The folder with routellm/ and llmrouter/; only the part 'stage' does without.")
    parser.add_argument("--seeds", type=int, default=5, help="Default 5.")
    parser.add_argument("--resplits", type=int, default=500, help="For the floors. Default 500.")
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS, help="Measure these and keep the file's other figures.")
    parser.add_argument("--output", type=Path, default=RESULT, help=f"Default {RESULT.relative_to(ROOT)}.")
    chosen = parser.parse_args()
    measure: dict[str, Callable[[], object]] = {"stage": stage.measure}
    if list(chosen.only) != ["stage"]:
        if chosen.data is None:
            parser.error("--data is needed")
        measure |= recorded(chosen.data, chosen.seeds, chosen.resplits)
    for name in chosen.only:
        began = time.perf_counter()
        figures = measure[name]()
        seconds = time.perf_counter() - began
        found = json.loads(chosen.output.read_text()) if chosen.output.exists() else {}
        told = {"stage_machine": describe()} if name == "stage" else {"machine": describe()}
        found |= {**told, name: figures, "seconds": found.get("seconds", {}) | {name: round(seconds, 1)}}
        chosen.output.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{name}: {seconds:.0f} s", flush=True)
    print(f"Written to {chosen.output}")
    return 0


def recorded(data: Path, seeds: int, resplits: int) -> dict[str, Callable[[], object]]:
    """What is measured on the recorded outcomes."""
    words, knowledge, models = gsm8k(data), mmlu(data), nine(data)
    fits = max(1, resplits // 50)
    return {
        "floors": lambda: {one.name: floors.run(one, fits, resplits // fits) for one in (words, knowledge)},
        "shift": lambda: shift.run(knowledge, groups=10, streams=8),
        "serving": lambda: serving.microseconds(words, PROMPTS, frontier.RECIPES),
        "nine": lambda: frontier.many(models, 5, seeds),
        "gsm8k": lambda: frontier.two(words, 5, seeds),
        # MMLU is large: two parts leave 7,000 prompts to learn from.
        "mmlu": lambda: frontier.two(knowledge, 2, seeds),
    }


if __name__ == "__main__":
    sys.exit(main())

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
from benchmarks.routing import floors, frontier, serving, shift
from benchmarks.routing.data import gsm8k, mmlu, nine

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "routing.json"
PARTS = ("floors", "shift", "serving", "nine", "gsm8k", "mmlu")
PROMPTS = ["The largest animal to have ever lived on earth is the blue whale. How many tons may its tongue of 6000 pounds weigh?"] * 200


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="The folder with routellm/ and llmrouter/.")
    parser.add_argument("--seeds", type=int, default=5, help="Default 5.")
    parser.add_argument("--resplits", type=int, default=500, help="For the floors. Default 500.")
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS, help="Measure these and keep the file's other figures.")
    parser.add_argument("--output", type=Path, default=RESULT, help=f"Default {RESULT.relative_to(ROOT)}.")
    chosen = parser.parse_args()
    words, knowledge, models = gsm8k(chosen.data), mmlu(chosen.data), nine(chosen.data)
    fits = max(1, chosen.resplits // 50)
    measure: dict[str, Callable[[], object]] = {
        "floors": lambda: {one.name: floors.run(one, fits, chosen.resplits // fits) for one in (words, knowledge)},
        "shift": lambda: shift.run(knowledge, groups=10, streams=8),
        "serving": lambda: serving.microseconds(words, PROMPTS, frontier.RECIPES),
        "nine": lambda: frontier.many(models, 5, chosen.seeds),
        "gsm8k": lambda: frontier.two(words, 5, chosen.seeds),
        # MMLU is large: two parts leave 7,000 prompts to learn from.
        "mmlu": lambda: frontier.two(knowledge, 2, chosen.seeds),
    }
    for name in chosen.only:
        began = time.perf_counter()
        figures = measure[name]()
        seconds = time.perf_counter() - began
        found = json.loads(chosen.output.read_text()) if chosen.output.exists() else {}
        found |= {"machine": describe(), name: figures, "seconds": found.get("seconds", {}) | {name: round(seconds, 1)}}
        chosen.output.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{name}: {seconds:.0f} s", flush=True)
    print(f"Written to {chosen.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

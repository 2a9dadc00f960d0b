"""``python -m benchmarks.embeddings``: what a local embedding costs on this machine, now, in int8 and in fp32.

Prints a table and writes ``benchmarks/results/embeddings.json``. One thread. The two precisions take turns query by query, so that a
busy machine slows both and their ratio holds; p5 is what the code costs, p50 and p99 also show the machine's other work. Export,
load and memory are each measured in a fresh process. Needs the extra ``local`` and the package that carries the model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import cast

from benchmarks.gateway.machine import describe
from penstock.gateway.minilm import LocalModelError, MiniLM, exported_path
from penstock.gateway.minilm.graph import Precision

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "embeddings.json"
PRECISIONS: tuple[Precision, ...] = ("int8", "fp32")

TEXTS = {
    "three words": "reset my password",
    "a question": "how do I get a refund for an order that I cancelled?",
    "a paragraph": "The parcel was handed to the carrier on Monday and should have been here by Wednesday, but the tracking page has "
    "said 'in transit' ever since. I have written to support twice and only ever had the automatic reply.",
    "the longest": "word " * 300,
}

# Runs in a fresh process: what the first start of a machine and every later one cost. VmHWM is the height of the memory, VmRSS its level.
CHILD = """
import json, sys, time
from pathlib import Path

def memory(key):
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key)) / 1024

directory, precision = Path(sys.argv[1]), sys.argv[2]
began = time.perf_counter()
import penstock.gateway.minilm as minilm
found = {"import_ms": (time.perf_counter() - began) * 1e3, "rss_before_mb": memory("VmRSS")}
if not minilm.exported_path(directory, precision).exists():
    began = time.perf_counter()
    files = minilm.locate()
    found["check_s"] = time.perf_counter() - began
    began = time.perf_counter()
    minilm.export(files, directory, precision)
    found["export_s"] = time.perf_counter() - began
    found["export_peak_mb"] = memory("VmHWM")
else:
    model = minilm.MiniLM(directory, precision=precision)
    began = time.perf_counter()
    model.load()
    found["load_s"] = time.perf_counter() - began
    model.embed(["how do I get a refund?"])
    found["rss_mb"] = memory("VmRSS")
print(json.dumps(found))
"""


def fresh_process(directory: Path, precision: Precision) -> dict[str, float]:
    ran = subprocess.run([sys.executable, "-c", CHILD, str(directory), precision], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(ran.stdout)


def first_and_later_starts(directory: Path) -> dict[str, dict[str, float]]:
    """One export each, then the median of three loads."""
    found: dict[str, dict[str, float]] = {}
    for precision in PRECISIONS:
        first = fresh_process(directory, precision)
        loads = [fresh_process(directory, precision) for _ in range(3)]
        found[precision] = {
            **{name: first[name] for name in ("check_s", "export_s", "export_peak_mb")},
            **{name: statistics.median(load[name] for load in loads) for name in ("import_ms", "load_s", "rss_before_mb", "rss_mb")},
            "file_mb": exported_path(directory, precision).stat().st_size / 1e6,
        }
    return found


def latencies(directory: Path, seconds: float) -> list[dict[str, object]]:
    """Milliseconds a text, tokenising included, for each length of text and each precision, taking turns."""
    models = {precision: MiniLM(directory, precision=precision) for precision in PRECISIONS}
    rows: list[dict[str, object]] = []
    for label, text in TEXTS.items():
        embedded = {precision: models[precision].embed([text] * 3) for precision in PRECISIONS}  # and warm
        samples: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for precision, model in models.items():
                began = time.perf_counter()
                model.embed([text])
                samples[precision].append((time.perf_counter() - began) * 1e3)
        figures: dict[str, dict[str, float]] = {}
        for precision in PRECISIONS:
            centiles = statistics.quantiles(samples[precision], n=100)
            figures[precision] = {"p5": centiles[4], "p50": centiles[49], "p99": centiles[98], "samples": len(samples[precision])}
        row: dict[str, object] = {"text": label, "tokens": embedded["int8"].tokens[0], **figures}
        for centile in ("p5", "p50"):
            row[f"fp32_over_int8_{centile}"] = figures["fp32"][centile] / figures["int8"][centile]
        row["cosine"] = float(embedded["int8"].vectors[0] @ embedded["fp32"].vectors[0])
        rows.append(row)
    return rows


def table(rows: list[dict[str, object]], starts: dict[str, dict[str, float]]) -> str:
    head = "".join(f"{f'{precision} p5':>11}{'p50':>8}{'p99':>8}" for precision in PRECISIONS)
    lines = [f"{'ms a text':14}{'tokens':>7}{head}   {'fp32/int8':>9}{'cosine':>8}"]
    for row in rows:
        figures = [
            "".join(f"{cast('dict[str, float]', row[precision])[name]:8.2f}" for name in ("p5", "p50", "p99")) for precision in PRECISIONS
        ]
        lines.append(
            f"{row['text']:14}{row['tokens']:>7}   {figures[0]}   {figures[1]}   {row['fp32_over_int8_p5']:9.2f}{row['cosine']:8.4f}"
        )
    lines += ["", f"{'':32}{'int8':>10}{'fp32':>10}"]
    names = {
        "import_ms": "import of the package, ms",
        "check_s": "first start: check digests, s",
        "export_s": "first start: export, s",
        "export_peak_mb": "first start: memory at most, MB",
        "file_mb": "exported file, MB",
        "load_s": "later starts: load, s",
        "rss_before_mb": "memory before loading, MB",
        "rss_mb": "memory after one query, MB",
    }
    lines += [f"{label:32}{starts['int8'][name]:10.2f}{starts['fp32'][name]:10.2f}" for name, label in names.items()]
    return "\n".join(lines)


def cpu_integer_instructions() -> list[str]:
    """The instruction sets that integer kernels look for: figures from processors with and without VNNI are not comparable."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = " ".join(line for line in lines if line.startswith("flags")).split()
    return [flag for flag in ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8") if flag in flags]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embeddings", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="For each of the four lengths of text. Default 5.")
    parser.add_argument("--output", type=Path, default=RESULT, help=f"Where the JSON goes. Default {RESULT.relative_to(ROOT)}.")
    chosen = parser.parse_args()
    machine = describe() | {"integer_instructions": cpu_integer_instructions()}
    with tempfile.TemporaryDirectory(prefix="penstock-embeddings-") as folder:
        try:
            starts = first_and_later_starts(Path(folder))
            rows = latencies(Path(folder), chosen.seconds)
        except (LocalModelError, subprocess.CalledProcessError) as error:
            print(error, file=sys.stderr)
            return 1
    print(table(rows, starts))
    packages = {name: version(name) for name in ("onnxruntime", "onnx", "tokenizers", "numpy")}
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(json.dumps({"machine": machine, "packages": packages, "starts": starts, "latency_ms": rows}, indent=1) + "\n")
    print(f"\nWritten to {chosen.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m benchmarks.registry``: malicious and benign weights, through our scanner and through others, in one table.

The others and the libraries that write the benign files live in an environment of their own, made on the first run and kept in the folder
that ``--environment`` names. Writes ``benchmarks/results/registry.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections import defaultdict
from pathlib import Path

from tests.registry.bypasses import bypasses
from tests.registry.corpus import samples

from penstock.registry.scan import scan

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ["picklescan", "modelscan", "fickling", "numpy", "onnx", "safetensors", "gguf", "torch==2.13.0+cpu"]
PEERS = ("picklescan", "picklescan --strict", "modelscan", "fickling")


def environment(folder: Path) -> Path:
    """The python of the benchmark's environment."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.registry")
    parser.add_argument("--environment", type=Path, default=Path(tempfile.gettempdir()) / "penstock-bench-registry")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "registry.json")
    arguments = parser.parse_args()
    python = environment(arguments.environment)
    verdicts: dict[str, dict[str, bool]] = {}
    groups: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as place:
        bad, written, good = Path(place) / "bad", Path(place) / "written", Path(place) / "good"
        for folder in (bad, written, good):
            folder.mkdir()
        for number, sample in enumerate([*samples(), *bypasses()]):
            one = bad / f"{number:04}"
            one.mkdir()
            (one / sample.file).write_bytes(sample.data)
            groups[one.name] = sample.group
        subprocess.run([python, "-W", "ignore", "-m", "benchmarks.registry.benign", str(written)], cwd=ROOT, check=True)
        for file in sorted(written.iterdir()):
            if file.suffix != ".data":
                one = good / file.name
                one.mkdir()
                file.rename(one / file.name)
                outside = file.with_name(file.name + ".data")
                if outside.exists():
                    outside.rename(one / outside.name)
        began = time.perf_counter()
        weights = {f.name: {g.name for g in f.iterdir()} for f in good.iterdir()}
        verdicts["penstock"] = {one.name: not _accepted(one) for folder in (bad, good) for one in sorted(folder.iterdir())}
        seconds = time.perf_counter() - began
        for peer in PEERS:
            found: dict[str, bool] = {}
            for folder in (bad, good):
                command = [python, "-m", "benchmarks.registry.peers", peer, str(folder)]
                said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                found |= dict(json.loads(line) for line in said.stdout.splitlines() if line.startswith('["'))
            verdicts[peer] = found
    table: dict[str, dict[str, str]] = defaultdict(dict)
    for name, found in verdicts.items():
        for group in dict.fromkeys(groups.values()):
            members = [n for n, g in groups.items() if g == group]
            table[f"malicious: {group}"][name] = f"{sum(found[n] for n in members)}/{len(members)}"
        table["malicious: all"][name] = f"{sum(found[n] for n in groups)}/{len(groups)}"
        table["benign refused"][name] = f"{sum(found[n] for n in weights)}/{len(weights)}"
    print(f"{'':24}" + "".join(f"{name:>21}" for name in verdicts))
    for row, cells in table.items():
        print(f"{row:24}" + "".join(f"{cells[name]:>21}" for name in verdicts))
    print(f"ours: {seconds * 1e3 / (len(groups) + len(weights)):.1f} ms a file")
    versions = subprocess.run([python, "-m", "pip", "freeze"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    wanted = tuple(p.partition("=")[0] for p in PACKAGES)
    report = {"table": table, "versions": sorted(v for v in versions if v.partition("==")[0] in wanted), "python": sys.version.split()[0]}
    report["missed"] = {name: [n for n in groups if not found[n]] for name, found in verdicts.items() if name == "penstock"}
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    if not all(verdicts["penstock"][n] for n in groups):
        sys.exit(1)


def _accepted(folder: Path) -> bool:
    report = scan(folder)
    return not [f for f in report.findings if f.code != "no_weights"]


if __name__ == "__main__":
    main()

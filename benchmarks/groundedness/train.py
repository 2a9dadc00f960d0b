"""``python -m benchmarks.groundedness.train DATA``: makes ``src/penstock/quality/grounded/model.json`` from the training parts of the sets.

The same data gives the same file. No test part is read.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.groundedness.data import TRAIN, Row, Vectors, load
from benchmarks.groundedness.learn import fit, see_all
from penstock.gateway.minilm import exported_path
from penstock.quality.grounded.model import FILE, Model


def make(sets: Mapping[str, Sequence[Row]], vectors: Vectors) -> Model:
    """The model that these rows teach; its id is a digest of what it says."""
    seen, (stems, tells, rare) = see_all(sets, vectors)
    heads = fit(seen)
    words, embedder = " ".join(stems), exported_path(Path()).stem
    model = Model("", words, tuple(tells), rare, heads["lexical"], heads["full"], heads["sentence"], embedder)
    digest = hashlib.sha256(msgspec.json.encode(model)).hexdigest()[:8]
    return msgspec.structs.replace(model, id=f"penstock-grounded-1-{digest}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.groundedness.train", description=__doc__)
    parser.add_argument("data", type=Path, help="The folder with begin_*.tsv, factcheckgpt_*, wice_*, halueval_*.")
    parser.add_argument("--output", type=Path, default=FILE)
    given = parser.parse_args()
    sets = load(given.data)
    model = make({name: sets[name].train for name in TRAIN}, Vectors())
    given.output.write_bytes(msgspec.json.encode(model) + b"\n")
    print(f"{model.id}: {given.output.stat().st_size / 1000:.0f} kB, written to {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Fetch the console's browser libraries from npm and pin them in the tree.

    python scripts/vendor_console.py          fetch, copy, rewrite MANIFEST.json
    python scripts/vendor_console.py --check  verify the files in the tree, offline

The console has no build step and loads nothing from elsewhere, so its three libraries live in the repository. To move to a new
version, change `PACKAGES`, run this with `npm` on the path, look at the console, and commit what changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

VENDOR = Path(__file__).resolve().parent.parent / "src" / "penstock" / "console" / "static" / "vendor"


class Package(NamedTuple):
    name: str
    version: str
    licence: str
    """SPDX identifier; the text itself is copied beside the files."""
    source: str
    files: dict[str, str]
    """Path inside the npm package to file name in the vendor folder."""


PACKAGES = (
    Package(
        "htmx.org",
        "2.0.11",
        "0BSD",
        "https://github.com/bigskysoftware/htmx",
        {"dist/htmx.min.js": "htmx.min.js", "LICENSE": "htmx.LICENSE.txt"},
    ),
    Package(
        "htmx-ext-sse",
        "2.2.4",
        "0BSD",
        "https://github.com/bigskysoftware/htmx-extensions",
        {"dist/sse.min.js": "htmx-ext-sse.min.js", "LICENSE": "htmx-ext-sse.LICENSE.txt"},
    ),
    Package(
        "uplot",
        "1.6.32",
        "MIT",
        "https://github.com/leeoniya/uPlot",
        {
            "dist/uPlot.iife.min.js": "uPlot.iife.min.js",
            "dist/uPlot.min.css": "uPlot.min.css",
            "LICENSE": "uPlot.LICENSE.txt",
        },
    ),
)


def fetch() -> None:
    """Download every package with `npm pack` (which checks the registry's own digest) and write files and manifest."""
    VENDOR.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, str]] = []
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                ["npm", "pack", "--silent", f"{package.name}@{package.version}"],
                cwd=folder,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as tar:
                for inside, name in package.files.items():
                    member = tar.extractfile(f"package/{inside}")
                    if member is None:
                        raise SystemExit(f"{package.name} {package.version} has no file {inside}")
                    content = member.read()
                    (VENDOR / name).write_bytes(content)
                    entries.append(
                        {
                            "name": package.name,
                            "version": package.version,
                            "licence": package.licence,
                            "source": package.source,
                            "file": name,
                            "sha256": hashlib.sha256(content).hexdigest(),
                        }
                    )
    (VENDOR / "MANIFEST.json").write_text(json.dumps(entries, indent=2) + "\n")


def check() -> list[str]:
    """Return one line for each file that is missing, changed, or not in the manifest; empty when all is well."""
    entries: list[dict[str, str]] = json.loads((VENDOR / "MANIFEST.json").read_text())
    problems: list[str] = []
    for entry in entries:
        path = VENDOR / entry["file"]
        if not path.is_file():
            problems.append(f"{entry['file']}: missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            problems.append(f"{entry['file']}: differs from {entry['name']} {entry['version']}")
    known = {entry["file"] for entry in entries} | {"MANIFEST.json"}
    problems += [f"{path.name}: not in MANIFEST.json" for path in VENDOR.iterdir() if path.name not in known]
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="verify the files in the tree without the network")
    if not parser.parse_args().check:
        fetch()
    problems = check()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())

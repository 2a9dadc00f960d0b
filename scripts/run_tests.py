"""All tests in parallel; the few that fail are asked once more, one at a time on a quiet machine, and named either way.

Some tests start servers, kill them and wait on what follows; with a machine full of others like them one may run into its time limit. A
test that passes alone is not broken, and is not well either: it is listed, so that it is mended. Many failures are never load.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MOST = 8
"""As many failures (a thousandth of the suite) may be load; more are a fault of the code."""

FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main(arguments: Sequence[str]) -> int:
    """Run pytest in the current folder with ``arguments`` and again alone where few failed; pytest's exit status."""
    status = _pytest("-n", "auto", "--cache-clear", *arguments)
    if status != 1:
        return status
    failed = sorted(json.loads(FAILED.read_text("utf-8")))
    if not 0 < len(failed) <= MOST:
        return status
    print(f"\n{len(failed)} failed among others and are asked again alone:", *failed, sep="\n  ", flush=True)
    # By their names alone: what `arguments` select was selected before.
    status = _pytest("-p", "no:xdist", "-q", *failed)
    told = "passed alone: they depend on load or on their neighbours, and want mending" if status == 0 else "failed alone too"
    print(f"\nFAILED AMONG OTHERS, {told}:", *failed, sep="\n  ", flush=True)
    return status


def _pytest(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

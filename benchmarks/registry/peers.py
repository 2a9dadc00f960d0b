"""What the other scanners say of every file under a folder, as JSON lines. Run in the benchmark's environment: PEER FOLDER.

A file counts as caught when the scanner calls it unsafe, and also when it says that it could not read it; a file that it skips or calls
harmless is not.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path


def picklescan() -> Callable[[Path], bool]:
    from picklescan.scanner import scan_directory_path

    def caught(folder: Path) -> bool:
        result = scan_directory_path(str(folder))
        return result.infected_files > 0 or result.scan_err

    return caught


def picklescan_strict() -> Callable[[Path], bool]:
    from picklescan.scanner import scan_directory_path

    def caught(folder: Path) -> bool:
        result = scan_directory_path(str(folder), strict=True)
        return result.infected_files > 0 or result.scan_err

    return caught


def modelscan() -> Callable[[Path], bool]:
    from modelscan.modelscan import ModelScan

    def caught(folder: Path) -> bool:
        with redirect_stdout(io.StringIO()):
            found = ModelScan().scan(folder)
        return found["summary"]["total_issues"] > 0 or bool(found["errors"])

    return caught


def fickling() -> Callable[[Path], bool]:
    import fickling as peer

    def caught(folder: Path) -> bool:
        file = next(f for f in sorted(folder.iterdir()) if f.is_file())
        try:
            return not peer.is_likely_safe(str(file))
        except Exception:  # whatever it raises, the file was not let through
            return True

    return caught


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    name, folder = sys.argv[1], Path(sys.argv[2])
    caught = {"picklescan": picklescan, "picklescan --strict": picklescan_strict, "modelscan": modelscan, "fickling": fickling}[name]()
    for one in sorted(folder.iterdir()):
        try:
            said = caught(one)
        except Exception as fault:  # a scanner that falls over has not let the file through
            said = True
            sys.stderr.write(f"{name}: {one.name}: {type(fault).__name__}\n")
        sys.stdout.write(json.dumps([one.name, said]) + "\n")


if __name__ == "__main__":
    main()

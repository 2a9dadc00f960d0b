"""The import contracts hold, and each of them would notice: a violation is planted in a copy of the tree, and seen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--config", str(root / "pyproject.toml"), "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("file", "planted", "broken"),
    [
        ("kernel/ids.py", "import penstock.console", "imports run one way"),
        ("storage/counters.py", "import penstock.finops", "imports run one way"),
        ("console/formats.py", "import penstock.storage.records", "imports run one way"),
        ("gateway/choose.py", "import penstock.finops.money", "imports run one way"),
        ("identity/model.py", "import penstock.app", "imports run one way"),
        ("gateway/choose.py", "import sqlite3", "database drivers"),
        ("finops/money.py", "import psycopg", "database drivers"),
        ("kernel/ids.py", "import penstock.kernel.call", "no cycles"),
        ("gateway/providers/profiles.py", "import penstock.gateway.send", "no cycles"),
    ],
)
def test_a_planted_violation_is_seen(tmp_path: Path, file: str, planted: str, broken: str) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "static", "templates", "recordings"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    target = tmp_path / "src/penstock" / file
    first = "from __future__ import annotations\n"
    target.write_text(target.read_text().replace(first, f"{first}\n{planted}\n", 1))
    found = lint(tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    assert any(broken in line and "BROKEN" in line for line in found.stdout.splitlines()), found.stdout


def test_the_tree_as_it_is_breaks_nothing() -> None:
    found = lint(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr

"""What fails among others is asked again alone, said either way, and fails the run when it fails again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import run_tests

SCRIPT = Path(run_tests.__file__)

LOADED = """
from pathlib import Path
import pytest
def test_of_load():
    seen = Path(__file__).with_name("seen")
    first = not seen.exists()
    seen.touch()
    assert not first
"""
BROKEN = "import pytest\n@pytest.mark.parametrize('n', range({}))\ndef test_broken(n): assert n < 0\n"


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (LOADED, 0, "passed alone"),
        (BROKEN.format(1), 1, "failed alone too"),
        (BROKEN.format(run_tests.MOST + 1), 1, None),
    ],
)
def test_only_what_depends_on_load_is_forgiven(tmp_path: Path, text: str, status: int, said: str | None) -> None:
    (tmp_path / "test_it.py").write_text(text, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    run = subprocess.run([sys.executable, SCRIPT, "-q", "-n", "1"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == status, run.stdout + run.stderr
    if said is None:
        assert "AMONG OTHERS" not in run.stdout
    else:
        assert f"FAILED AMONG OTHERS, {said}" in run.stdout
        assert "test_it.py::test_" in run.stdout.rsplit("AMONG OTHERS", 1)[1]

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.demo.folder import MARK, fresh
from penstock.kernel.errors import SettingsError


def test_made_anew(tmp_path: Path):
    folder = fresh(tmp_path / "a" / "demo")
    assert [f.name for f in folder.iterdir()] == [MARK]
    (folder / "left over").write_text("x")
    assert [f.name for f in fresh(folder).iterdir()] == [MARK]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_an_empty_folder_may_be_taken(tmp_path: Path):
    assert (fresh(tmp_path) / MARK).is_file()


def test_what_the_demo_did_not_make_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SettingsError, match="did not make"):
        fresh(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    with pytest.raises(SettingsError, match="did not make"):
        fresh(tmp_path / "thesis.tex")

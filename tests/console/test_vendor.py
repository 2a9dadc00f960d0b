"""What is vendored is what npm published, with its licence, and nothing else."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "vendor_console.py"


@pytest.fixture
def vendoring() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor_console", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_has_the_digest_of_the_manifest(vendoring: ModuleType) -> None:
    assert vendoring.check() == []


def test_the_manifest_names_the_pinned_packages_and_a_licence_for_each(vendoring: ModuleType) -> None:
    entries = json.loads((vendoring.VENDOR / "MANIFEST.json").read_text())
    assert {(e["name"], e["version"], e["licence"]) for e in entries} == {(p.name, p.version, p.licence) for p in vendoring.PACKAGES}
    assert {e["file"] for e in entries} == {name for p in vendoring.PACKAGES for name in p.files.values()}
    for package in vendoring.PACKAGES:
        assert any(name.endswith(".LICENSE.txt") for name in package.files.values()), package.name


def test_a_changed_a_missing_and_a_foreign_file_are_each_told(
    vendoring: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "vendor"
    shutil.copytree(vendoring.VENDOR, copy)
    monkeypatch.setattr(vendoring, "VENDOR", copy)
    (copy / "htmx.min.js").write_bytes((copy / "htmx.min.js").read_bytes() + b" ")
    (copy / "uPlot.min.css").unlink()
    (copy / "tracker.js").write_text("")
    assert vendoring.check() == [
        "htmx.min.js: differs from htmx.org 2.0.11",
        "uPlot.min.css: missing",
        "tracker.js: not in MANIFEST.json",
    ]

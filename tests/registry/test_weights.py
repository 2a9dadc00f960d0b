"""Where weights may lie."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from tests.registry.people import weights

from penstock.kernel.errors import RequestError
from penstock.kernel.weights import WeightScan
from penstock.registry.weights import FolderScan, Weights


@pytest.mark.parametrize("path", ["", "/etc", "../up", "a/../../up", "nul\0", "0" * 5000, "nowhere"])
def test_a_path_that_is_no_folder_below_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(RequestError, match="path: "):
        Weights(tmp_path, ()).place(path)


def test_a_folder_below_is_found(tmp_path: Path) -> None:
    (tmp_path / "model" / "1").mkdir(parents=True)
    assert Weights(tmp_path, ()).place("model/1") == tmp_path / "model" / "1"


def test_a_folder_that_another_room_loads_goes_through_the_same_scan(tmp_path: Path) -> None:
    scan: WeightScan = FolderScan()
    folder = weights(tmp_path / "tiny")
    digest, faults = scan.inspect(folder)
    assert (digest, list(faults)) == (Weights(tmp_path, ()).scan("tiny").digest, [])
    (folder / "extra.pkl").write_bytes(pickle.dumps(print))
    _, faults = scan.inspect(folder)
    assert [fault.split(": ")[0] for fault in faults] == ["extra.pkl"]

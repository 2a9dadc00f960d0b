from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.gateway.minilm import ExportFailed, LocalExtraMissing, MiniLM, ModelFiles, export, exported_path
from penstock.gateway.minilm.cache import write_whole

pytestmark = pytest.mark.timeout(60)

EXPORT = "import sys, pathlib; from penstock.gateway.minilm import *; export(locate(), pathlib.Path(sys.argv[1]))"


def start_export(directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", EXPORT, str(directory)])


def test_exporting_again_touches_nothing(files: ModelFiles, int8: MiniLM, cache: Path) -> None:
    path = exported_path(cache)
    before = path.stat()
    assert export(files, cache) == path
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert before.st_size < 25_000_000


def test_precisions_have_different_names(tmp_path: Path) -> None:
    assert exported_path(tmp_path, "int8") != exported_path(tmp_path, "fp32")


def test_two_processes_export_the_same_bytes_side_by_side(int8: MiniLM, cache: Path, tmp_path: Path) -> None:
    directory = tmp_path / "made" / "on the way"
    running = [start_export(directory) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert [path.name for path in directory.iterdir()] == [exported_path(directory).name]
    assert exported_path(directory).read_bytes() == exported_path(cache).read_bytes()


def test_a_process_killed_while_it_writes_leaves_no_model_or_a_whole_one(int8: MiniLM, cache: Path, tmp_path: Path) -> None:
    path = exported_path(tmp_path)
    process = start_export(tmp_path)
    while process.poll() is None and not any(tmp_path.iterdir()):
        pass  # the moment is short: no waiting in between
    process.send_signal(signal.SIGKILL)
    process.wait()
    if path.exists():
        assert path.read_bytes() == exported_path(cache).read_bytes()
    model = MiniLM(tmp_path)
    vector = model.embed(["as if nothing had happened"]).vectors
    assert (vector == int8.embed(["as if nothing had happened"]).vectors).all()


# Every line of the writer is a moment to die at. A child leaves at the n-th one, with no clean-up, as after SIGKILL.
KILL_AT_EVERY_LINE = """
import os, pathlib, sys
from penstock.gateway.minilm import cache

folder, moments = pathlib.Path(sys.argv[1]), 0
while True:
    path = folder / f"{moments}.onnx"
    child = os.fork()
    if child == 0:
        left = moments
        def trace(frame, event, argument):
            global left
            if frame.f_code.co_filename != cache.__file__:
                return None
            if left == 0:
                os._exit(9)
            left -= 1
            return trace
        sys.settrace(trace)
        cache.write_whole(path, b"whole" * 1000)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert not path.exists() or path.read_bytes() == b"whole" * 1000, f"half a file after {moments} lines"
    if status == 0:
        assert path.exists()
        break
    assert status == 9
    moments += 1
print(moments)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_dying_at_any_line_of_the_writer_leaves_all_or_nothing(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", KILL_AT_EVERY_LINE, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(ran.stdout) >= 8


def test_a_failed_write_removes_its_partial_file(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    target.mkdir()
    (target / "occupied").touch()
    with pytest.raises(OSError):
        write_whole(target, b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_leftovers_of_dead_exports_are_removed_and_live_ones_kept(files: ModelFiles, tmp_path: Path) -> None:
    dead, alive, foreign = (tmp_path / name for name in (".minilm-int8-x.onnx.1.partial", ".minilm-int8-x.onnx.2.partial", ".mine.partial"))
    for path in (dead, alive, foreign):
        path.write_bytes(b"half")
    for path in (dead, foreign):
        os.utime(path, (0, 0))
    export(files, tmp_path)
    assert not dead.exists()
    assert alive.exists()
    assert foreign.exists()


def test_a_folder_that_cannot_be_made_is_said_so(files: ModelFiles, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(ExportFailed, match="cannot write the local embedding model") as caught:
        export(files, tmp_path / "taken" / "cache")
    assert caught.value.code == "local_model_export_failed"


def test_without_onnx_the_extra_is_named(files: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(LocalExtraMissing, match=r"'onnx'.*pip install 'penstock\[local\]'") as caught:
        export(files, tmp_path)
    assert caught.value.code == "local_extra_missing"
    assert not list(tmp_path.iterdir())


def test_with_an_export_neither_the_package_nor_onnx_is_needed(
    int8: MiniLM, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = int8.embed(["hello"]).vectors
    monkeypatch.setattr(sys, "path", [str(tmp_path)])  # hides the package with the weights
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert (MiniLM(cache).embed(["hello"]).vectors == expected).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_damaged_export_is_refused_and_mended_by_deleting_it(int8: MiniLM, cache: Path, tmp_path: Path, share: float) -> None:
    whole = exported_path(cache).read_bytes()
    damaged = exported_path(tmp_path)
    damaged.write_bytes(whole[: int(len(whole) * share)])
    model = MiniLM(tmp_path)
    with pytest.raises(ExportFailed, match="Delete it"):
        model.load()
    damaged.unlink()
    model.load()
    assert damaged.read_bytes() == whole

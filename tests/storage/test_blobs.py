"""Blobs: whole or not there, never outside their folder, and what nobody refers to goes."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kernel.errors import NotFound, SettingsError, StorageError, StorageFull
from penstock.kernel.ids import new_id
from penstock.storage import blobs as module
from penstock.storage.blobs import PIECE, FolderBlobs, open_blobs


async def put(blobs: FolderBlobs, data: bytes) -> str:
    name = new_id("file")
    incoming = await blobs.begin(name)
    for start in range(0, len(data), 100_000):
        await incoming.write(data[start : start + 100_000])
    assert await incoming.keep() == hashlib.sha256(data).hexdigest()
    assert incoming.size == len(data)
    return name


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_blob_is_read_as_it_was_written_from_any_place(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    data = os.urandom(3 * PIECE + 17)
    name = await put(blobs, data)
    pieces = [piece async for piece in blobs.read(name)]
    assert b"".join(pieces) == data
    assert max(len(piece) for piece in pieces) <= PIECE
    assert b"".join([piece async for piece in blobs.read(name, 2 * PIECE + 3)]) == data[2 * PIECE + 3 :]
    path = blobs.path(name)
    assert path is not None
    assert path.stat().st_mode & 0o077 == 0
    reader = blobs.read(name)
    first = await anext(reader)
    await blobs.delete(name)
    assert first + b"".join([piece async for piece in reader]) == data  # whoever reads it may finish
    assert blobs.path(name) is None
    await blobs.delete(name)
    with pytest.raises(NotFound):
        await anext(blobs.read(name))


async def test_what_is_dropped_or_unfinished_is_no_blob(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    name = new_id("file")
    incoming = await blobs.begin(name)
    await incoming.write(b"x" * 2_000_000)
    assert blobs.path(name) is None
    with pytest.raises(NotFound):
        await anext(blobs.read(name))
    await incoming.drop()
    await incoming.drop()
    assert everything(tmp_path) == []
    kept = await put(blobs, b"kept")
    assert everything(tmp_path) == [f"{kept[-2:]}/{kept}"]


@given(st.text(max_size=60) | st.from_regex(r"(file_[0-9a-f]{30,33})|(\.\./)*[a-z_0-9]{1,40}", fullmatch=True))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    blobs = FolderBlobs(Path("blobs"))
    try:
        path = blobs.path(name)
    except ValueError:
        return
    assert module.NAME.fullmatch(name) is not None
    assert path is None
    assert "/" not in name
    assert "." not in name


@pytest.mark.parametrize("name", ["../../etc/passwd", "file_" + "0" * 31 + "/", "file_" + "0" * 31 + "\n", "..", "", "FILE_" + "0" * 32])
async def test_what_is_no_name_touches_nothing(tmp_path: Path, name: str) -> None:
    blobs = FolderBlobs(tmp_path)
    with pytest.raises(ValueError, match="no name of a blob"):
        await blobs.begin(name)
    with pytest.raises(ValueError, match="no name of a blob"):
        await blobs.delete(name)
    with pytest.raises(ValueError, match="no name of a blob"):
        await anext(blobs.read(name))
    assert everything(tmp_path) == []


async def test_what_nobody_refers_to_goes_when_it_is_old(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    known, lost, young = [await put(blobs, text) for text in (b"known", b"lost", b"young")]
    left = await blobs.begin(new_id("file"))
    await left.write(b"x")
    hour = time.time() - 3600
    for path in tmp_path.rglob("*_*"):
        if path.is_file() and path.name != young:
            os.utime(path, (hour, hour))
    asked: list[str] = []

    def refer(names: list[str]) -> set[str]:
        asked.extend(names)
        return {known}

    assert await blobs.sweep(1800, refer) == 2
    assert sorted(asked) == sorted([known, lost])
    assert everything(tmp_path) == sorted(f"{name[-2:]}/{name}" for name in (known, young))
    await left.drop()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
async def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def create(temporary: Path, target: Path) -> object:
        return Path("/dev/full").open("wb", buffering=0)

    blobs = FolderBlobs(tmp_path)
    monkeypatch.setattr(module, "_create", create)
    incoming = await blobs.begin(new_id("file"))
    with pytest.raises(StorageFull, match="no room"):
        await incoming.write(b"x" * module.BUFFER)
    await incoming.drop()
    assert everything(tmp_path) == []


async def test_a_folder_that_fails_is_a_fault_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("no folder")
    with pytest.raises(StorageError, match=os.strerror(errno.ENOTDIR)):
        await FolderBlobs(tmp_path / "blobs").begin(new_id("file"))


def test_a_url_picks_the_store(tmp_path: Path) -> None:
    assert open_blobs("", tmp_path).place == str(tmp_path / "blobs")
    assert open_blobs("file:///srv/blobs", tmp_path).place == "/srv/blobs"
    for wrong in ("s3://bucket", "file://", "nonsense"):
        with pytest.raises(SettingsError) as refused:
            open_blobs(wrong, tmp_path)
        assert refused.value.param == "storage.blobs"

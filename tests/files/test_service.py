"""The rules of stored files: who sees which, how many, for how long, and what a killed process may leave."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.files.service import ID, FileService
from penstock.files.settings import FilesSettings
from penstock.kernel.errors import BodyTooLarge, Forbidden, NotFound, StorageError
from penstock.kernel.ports import FileInfo, Files
from penstock.storage.blobs import FolderBlobs
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

SMALL = FilesSettings(max_file_bytes=1024, max_organisation_bytes=3000, max_organisation_files=4)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, ("penstock.files.migrations",))
    yield opened
    opened.close()


async def some(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def store(files: Files, organisation: str, data: bytes = b"x", lifetime: float | None = None, purpose: str = "user_data") -> FileInfo:
    return await files.add(some(data), organisation=organisation, name="a", purpose=purpose, lifetime=lifetime)


async def content(files: Files, reach: str | None, id: str, offset: int = 0) -> bytes:
    return b"".join([piece async for piece in files.read(reach, id, offset)])


def blobs_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


async def test_a_file_is_there_for_its_organisation_alone(records: Records, tmp_path: Path) -> None:
    files = FileService(records, FolderBlobs(tmp_path / "blobs"), FilesSettings())
    made = await files.add(
        some(b"ab", b"", b"cd"), organisation="a", name="n" * 300, purpose="batch", media="text/plain", created_by="key_1"
    )
    assert ID.fullmatch(made.id) is not None
    assert (made.size, made.media, made.created_by, len(made.name)) == (4, "text/plain", "key_1", 200)
    assert made.expires_at == pytest.approx(made.created_at + 30 * 86400)
    for reach in ("a", None):
        assert await files.get(reach, made.id) == made
        assert await content(files, reach, made.id, 1) == b"bcd"
        assert await files.list(reach) == [made]
    assert await files.list("b") == []
    for id in (made.id, "file_" + "0" * 32, "", "../x", "file_\n", "x" * 5000):
        with pytest.raises(NotFound):
            await files.get("b", id)
        with pytest.raises(NotFound):
            await content(files, "b", id)
        with pytest.raises(NotFound):
            await files.delete("b", id)
    await files.delete("a", made.id)
    with pytest.raises(NotFound):
        await files.get("a", made.id)
    assert blobs_in(tmp_path / "blobs") == set()


async def test_room_is_bounded_per_file_and_per_organisation(records: Records, tmp_path: Path) -> None:
    files = FileService(records, FolderBlobs(tmp_path / "blobs"), SMALL)
    with pytest.raises(BodyTooLarge, match="max_file_bytes"):
        await store(files, "a", b"x" * 1025)
    for _ in range(2):
        await store(files, "a", b"x" * 1024)
    with pytest.raises(Forbidden) as full:
        await store(files, "a", b"x" * 1000)
    assert full.value.code == "file_quota_exceeded"
    await store(files, "a", b"x" * 952)
    with pytest.raises(Forbidden, match="max_organisation_bytes"):
        await store(files, "a")
    assert await files.used("a") == (3, 3000)
    for _ in range(4):
        await store(files, "b", b"")
    with pytest.raises(Forbidden, match="max_organisation_files"):
        await store(files, "b", b"")
    assert len(blobs_in(tmp_path / "blobs")) == 7


async def test_room_that_is_taken_meanwhile_is_noticed_at_the_end(records: Records, tmp_path: Path) -> None:
    files = FileService(records, FolderBlobs(tmp_path / "blobs"), SMALL)
    drafts = [await files.begin("a") for _ in range(4)]
    kept = 0
    for draft in drafts:
        await draft.write(b"x" * 1000)
        with contextlib.suppress(Forbidden):
            await draft.keep(name="a", purpose="user_data", media="text/plain", created_by=None, lifetime=None)
            kept += 1
        await draft.drop()
    assert kept == 3
    assert await files.used("a") == (3, 3000)
    assert len(blobs_in(tmp_path / "blobs")) == 3


async def test_files_end_when_their_time_is_over(records: Records, tmp_path: Path) -> None:
    clock = Clock()
    files = FileService(records, FolderBlobs(tmp_path / "blobs"), FilesSettings(), clock)
    short, long = await store(files, "a", lifetime=3600), await store(files, "a")
    assert await files.expire() == 0
    clock.now += 3600
    with pytest.raises(NotFound):
        await files.get("a", short.id)
    assert [file.id for file in await files.list(None)] == [long.id]
    assert short.id in blobs_in(tmp_path / "blobs")
    assert await files.expire() == 1
    assert blobs_in(tmp_path / "blobs") == {long.id}
    assert await files.used("a") == (1, 1)


async def test_bytes_without_a_row_go_and_a_row_without_bytes_says_so(records: Records, tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    files = FileService(records, blobs, FilesSettings(orphan_seconds=60))
    kept, lost = await store(files, "a"), await store(files, "a")
    # As a process leaves it that dies between the bytes and the row.
    draft = await blobs.begin(orphan := "file_" + "ab" * 16)
    await draft.write(b"x")
    await draft.keep()
    for path in (tmp_path / "blobs").rglob("file_*"):
        os.utime(path, (0, 0))
    assert await files.sweep() == 1
    assert blobs_in(tmp_path / "blobs") == {kept.id, lost.id}
    assert orphan not in blobs_in(tmp_path / "blobs")
    await blobs.delete(lost.id)
    with pytest.raises(StorageError, match="are not in"):
        await content(files, "a", lost.id)


async def test_an_upload_that_fails_leaves_nothing(records: Records, tmp_path: Path) -> None:
    files = FileService(records, FolderBlobs(tmp_path / "blobs"), FilesSettings())

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 100
        raise StorageError("gone")

    with pytest.raises(StorageError, match="gone"):
        await files.add(broken(), organisation="a", name="a", purpose="batch")
    assert blobs_in(tmp_path / "blobs") == set()
    assert await files.used("a") == (0, 0)


Step = tuple[str, str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "get", "read", "delete", "list", "expire"]), st.sampled_from(["a", "b"]), st.integers(0, 9)),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_two_organisations_never_meet(steps: list[Step]) -> None:
    asyncio.run(_live(steps))


async def _live(steps: list[Step]) -> None:
    """Two organisations do as they like; each sees exactly what a dictionary of its own says."""
    with tempfile.TemporaryDirectory() as folder:
        records = open_records("", Path(folder))
        try:
            migrate(records, ("penstock.files.migrations",))
            clock = Clock()
            files = FileService(records, FolderBlobs(Path(folder) / "blobs"), FilesSettings(), clock)
            mine: dict[str, dict[str, tuple[FileInfo, bytes]]] = {"a": {}, "b": {}}
            every: list[str] = []
            for what, who, number in steps:
                own = mine[who]
                if what == "add":
                    data = f"{who}{number}".encode()
                    made = await store(files, who, data, lifetime=3600.0 * number if number > 5 else None)
                    own[made.id] = (made, data)
                    every.append(made.id)
                elif what == "expire":
                    clock.now += 3600 * number
                    await files.expire()
                    for each in mine.values():
                        for id in [i for i, (info, _) in each.items() if info.expires_at is not None and info.expires_at <= clock.now]:
                            del each[id]
                elif what == "list":
                    assert {file.id for file in await files.list(who)} == set(own)
                elif every:
                    id = every[number % len(every)]
                    known = own.get(id)
                    if known is None:
                        with pytest.raises(NotFound):
                            await (files.delete(who, id) if what == "delete" else content(files, who, id))
                    elif what == "delete":
                        await files.delete(who, id)
                        del own[id]
                    else:
                        assert await files.get(who, id) == known[0]
                        assert await content(files, who, id) == known[1]
            listed = {file.id: msgspec.structs.asdict(file)["organisation"] for file in await files.list(None)}
            assert listed == {id: who for who, own in mine.items() for id in own}
            assert blobs_in(Path(folder) / "blobs") == set(listed)
        finally:
            records.close()

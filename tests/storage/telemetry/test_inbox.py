from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from penstock.kernel.errors import StorageError, StorageFull
from penstock.storage.telemetry.inbox import STALE_SECONDS, Inbox


def test_batches_wait_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    inbox, another = Inbox(tmp_path / "in"), Inbox(tmp_path / "in", durable=True)
    inbox.put("zz", b"one\n")
    another.put("aa", b"two\n")
    inbox.put("zz", b"one\n")

    waiting = another.waiting()

    assert [(one.batch, one.path.read_bytes(), one.bytes) for one in waiting] == [
        ("zz", b"one\n", 4),
        ("aa", b"two\n", 4),
        ("zz", b"one\n", 4),
    ]
    assert all(one.path.stat().st_mode & 0o077 == 0 for one in waiting)
    inbox.done(waiting[0])
    inbox.set_aside(waiting[1])
    assert [one.batch for one in inbox.waiting()] == ["zz"]
    assert len(list((tmp_path / "in").glob("*.unreadable"))) == 1


@pytest.mark.parametrize("name", ["", "a/b", "..", "a.b", "x" * 65, "a\n"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="named by"):
        Inbox(tmp_path).put(name, b"x")
    assert list(tmp_path.iterdir()) == []


def test_too_much_that_waits_is_refused_until_it_is_gone(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, most_bytes=10)
    inbox.put("a", b"12345678")
    later = Inbox(tmp_path, most_bytes=10)
    for _ in range(2):
        with pytest.raises(StorageFull, match="behind") as caught:
            later.put("b", b"12345678")
    assert caught.value.retry_after == 5
    assert [one.batch for one in inbox.waiting()] == ["a"]
    inbox.done(inbox.waiting()[0])
    later.put("b", b"12345678")


def test_a_disk_that_is_full_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox(tmp_path)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("penstock.storage.telemetry.inbox.os.write", full)
    with pytest.raises(StorageFull, match="disk space"):
        inbox.put("a", b"x")
    assert list(tmp_path.iterdir()) == []


def test_only_what_the_dead_left_is_cleaned_up(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    old, young = tmp_path / "1.2.a.part", tmp_path / "1.2.b.part"
    for path in (old, young):
        path.write_bytes(b"x")
    before = old.stat().st_mtime - STALE_SECONDS - 10
    os.utime(old, (before, before))
    inbox.put("kept", b"x")

    inbox.clean()

    assert {path.suffix for path in tmp_path.iterdir()} == {".part", ".jsonl"}
    assert not old.exists()
    assert [one.batch for one in inbox.waiting()] == ["kept"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="inbox cannot be made"):
        Inbox(tmp_path / "file" / "in")


def test_a_file_that_is_not_ours_stops_nobody(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    (tmp_path / "notes.jsonl").write_text("{}")
    assert inbox.is_empty()
    inbox.put("a", b"1")
    assert [one.batch for one in inbox.waiting()] == ["a"]


def test_that_it_cannot_be_looked_into_is_said_as_any_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    inbox = Inbox(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refused)
        with pytest.raises(StorageError, match="Too many open files"):
            inbox.put("a", b"1")
    inbox.put("a", b"1")
    assert len(inbox.waiting()) == 1

from __future__ import annotations

import asyncio
import errno
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.kernel.errors import StorageError, StorageFull
from penstock.storage import segments
from penstock.storage.segments import FRAME, HEADER, MAGIC, checksum, scan
from penstock.storage.spool import MAX_ENTRY, Spool, SpoolFolder, adopt, damaged_files

SMALL = 64 << 10

payloads = st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=30)


def write(spool: Spool, *entries: bytes) -> None:
    for entry in entries:
        spool.hold()
        spool.append(entry)


def drain(folder: SpoolFolder) -> list[bytes]:
    found: list[bytes] = []
    while (batch := folder.pending()) is not None:
        found += batch.entries
        folder.done(batch)
    return found


def abandon(spool: Spool) -> Path:
    """Let go of the lock and the files as a killed process does: nothing is sealed, drained or deleted."""
    for segment in [*spool.segments, *spool._standby]:
        segment.close()
    os.close(spool._lock)
    return spool.path


def frames(*entries: bytes, base: int = len(HEADER)) -> bytes:
    data = b""
    for entry in entries:
        data += FRAME.pack(MAGIC, len(entry), checksum(entry, base + len(data))) + entry
    return data


@pytest.mark.parametrize("mapped", [True, False])
def test_entries_come_back_in_order_across_segments(tmp_path: Path, mapped: bool) -> None:
    spool = Spool(tmp_path, segment_bytes=SMALL, mapped=mapped)
    entries = [b"%d" % i * 300 for i in range(300)]
    write(spool, *entries)
    assert spool.depth().segments > 3
    assert drain(spool) == entries
    assert spool.pending() is None
    assert spool.depth().bytes == 0
    spool.seal()
    assert drain(spool) == []
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_batch_is_given_again_until_it_is_done_and_done_twice_changes_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    write(spool, b"one", b"two")
    first = spool.pending()
    assert first is not None
    assert spool.pending() == first
    write(spool, b"three")
    spool.done(first)
    spool.done(first)
    second = spool.pending()
    assert second is not None
    assert second.entries == [b"three"]
    spool.seal()
    spool.close()


def test_a_dead_process_spool_is_adopted_and_removed_once_drained(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=SMALL)
    entries = [b"%04d" % i * 50 for i in range(200)]
    write(spool, *entries)
    abandon(spool)
    (folder,) = adopt(tmp_path)
    assert drain(folder) == entries
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_what_was_drained_but_not_deleted_is_delivered_again_after_a_crash(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    write(spool, b"a", b"b")
    assert drain(spool) == [b"a", b"b"]
    abandon(spool)
    (folder,) = adopt(tmp_path)
    assert drain(folder) == [b"a", b"b"]
    folder.close()


def test_a_folder_has_one_holder_who_is_named(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(StorageError, match=rf"in use by process {os.getpid()} on \S+; a spool has one writer"):
        SpoolFolder(spool.path)
    assert adopt(tmp_path) == []
    spool.seal()
    spool.close()


def test_processes_get_folders_of_their_own(tmp_path: Path) -> None:
    one, two = Spool(tmp_path), Spool(tmp_path)
    write(one, b"one")
    write(two, b"two")
    assert drain(two) == [b"two"]
    assert drain(one) == [b"one"]
    for spool in (one, two):
        spool.seal()
        spool.close()


@given(entries=payloads, data=st.data())
def test_a_torn_tail_loses_only_the_entry_that_was_torn(entries: list[bytes], data: st.DataObject) -> None:
    whole = frames(*entries)
    cut = data.draw(st.integers(0, len(whole)))
    found = scan(whole[:cut] + bytes(len(whole) - cut), base=len(HEADER))
    complete, end = 0, 0
    for entry in entries:
        if end + FRAME.size + len(entry) > cut:
            break
        end += FRAME.size + len(entry)
        complete += 1
    # Zeros that were cut off and filled with zeros again are no loss: then one more entry is whole.
    assert found.entries[:complete] == entries[:complete]
    assert len(found.entries) <= complete + 1
    assert found.entries == entries[: len(found.entries)]
    assert found.damaged == 0


@given(entries=payloads, data=st.data())
def test_flipped_bits_lose_only_the_entries_they_hit(entries: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(frames(*entries))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    found = scan(bytes(whole) + bytes(100), base=len(HEADER))
    hit, end = 0, 0
    for hit, entry in enumerate(entries):  # noqa: B007 - the entry that holds the flipped byte is wanted after the loop
        end += FRAME.size + len(entry)
        if at < end:
            break
    survivors = entries[:hit] + entries[hit + 1 :]
    assert found.entries == survivors
    assert (found.damaged > 0) == (hit < len(entries) - 1)


@given(junk=st.binary(max_size=5000))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_reading_junk_finds_nothing_and_never_fails(junk: bytes) -> None:
    assert scan(junk).entries == []


@given(entry=st.binary(min_size=1, max_size=200), shift=st.integers(0, 50))
def test_a_frame_inside_a_payload_is_not_taken_for_an_entry(entry: bytes, shift: int) -> None:
    inner = bytes(shift) + frames(entry, base=0)
    whole = bytearray(frames(inner))
    whole[4] ^= 0xFF  # the outer frame is damaged, so that the reader looks inside it
    assert scan(bytes(whole), base=len(HEADER)).entries == []


def test_damage_in_the_middle_is_stepped_over_counted_and_kept_for_a_person(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    write(spool, b"first" * 20, b"second" * 20, b"third" * 20)
    path = abandon(spool)
    (file,) = path.glob("*.seg")
    raw = bytearray(file.read_bytes())
    raw[raw.find(b"second") + 3] ^= 0x01
    file.write_bytes(raw)
    (folder,) = adopt(tmp_path)
    assert drain(folder) == [b"first" * 20, b"third" * 20]
    assert folder.depth().damaged == FRAME.size + len(b"second" * 20)
    folder.close()
    (kept,) = damaged_files(tmp_path)
    assert kept.read_bytes() == bytes(raw)


def test_damage_at_the_end_of_a_live_segment_is_not_taken_for_a_torn_tail(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    write(spool, b"good", b"last entry, acknowledged")
    os.pwrite(spool.segments[0].fd, b"\xff", spool.segments[0].written - 1)
    assert drain(spool) == [b"good"]
    assert spool.depth().damaged == FRAME.size + len(b"last entry, acknowledged")
    write(spool, b"goes on")
    assert drain(spool) == [b"goes on"]
    spool.seal()
    assert drain(spool) == []
    spool.close()
    assert len(damaged_files(tmp_path)) == 1


def test_a_segment_cut_short_before_its_header_is_empty(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    path = abandon(spool)
    (file,) = path.glob("*.seg")
    file.write_bytes(b"PNS")
    (folder,) = adopt(tmp_path)
    assert drain(folder) == []
    folder.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, MAX_ENTRY + 1])
def test_an_entry_of_a_wrong_size_is_refused(tmp_path: Path, size: int) -> None:
    spool = Spool(tmp_path)
    spool.hold()
    with pytest.raises(ValueError, match="an entry has 1 to"):
        spool.append(bytes(size))
    spool.seal()
    spool.close()


def test_a_full_disk_refuses_new_holds_and_keeps_its_word_to_those_it_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, segment_bytes=SMALL)

    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    held = 0
    while spool.has_room():
        spool.hold()
        held += 1
    with pytest.raises(StorageFull, match="free disk space"):
        spool.hold()
    assert held >= 3
    assert not spool.has_room()
    entries = [bytes([i]) * MAX_ENTRY for i in range(1, held + 1)]
    for entry in entries:
        spool.append(entry)
    assert drain(spool) == entries
    monkeypatch.undo()
    monkeypatch.setattr(spool, "_full_until", 0.0)
    assert spool.has_room()
    write(spool, b"room again")
    assert drain(spool) == [b"room again"]
    spool.seal()
    spool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="needs user namespaces")
def test_a_really_full_disk(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from penstock.kernel.errors import StorageFull
from penstock.storage.spool import MAX_ENTRY, Spool
spool = Spool(Path({str(tmp_path)!r}), segment_bytes=64 << 10)
held = 0
try:
    while True:
        spool.hold()
        held += 1
except StorageFull as fault:
    print(fault.code)
for i in range(held):
    spool.append(bytes([i + 1]) * MAX_ENTRY)
read = 0
while batch := spool.pending():
    read += len(batch.entries)
    spool.done(batch)
print(held, read)
"""
    mount = f'mount -t tmpfs -o size=1024k none "{tmp_path}" && exec "{sys.executable}" -c "$0"'
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount, script], capture_output=True, text=True, timeout=30, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no private mounts here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    code, counts = done.stdout.splitlines()
    held, read = map(int, counts.split())
    assert code == "storage_full"
    assert held == read > 10


def test_a_write_that_fails_raises_and_loses_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, mapped=False)
    write(spool, b"before")
    spool.hold()
    with monkeypatch.context() as broken:
        broken.setattr(os, "pwrite", lambda fd, data, at: len(data) // 2)
        with pytest.raises(StorageError, match="only 10 of 21 bytes could be written"):
            spool.append(b"the entry")
    spool.append(b"the entry")
    assert drain(spool) == [b"before", b"the entry"]
    spool.seal()
    spool.close()


def test_a_page_is_mapped_only_where_the_file_system_keeps_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = {tmp_path: "btrfs", tmp_path / "a place": "xfs", tmp_path / "a place" / "over": "overlay"}
    text = "/dev/root / ext4 rw 0 0\n" + "".join(
        f"dev {str(p).replace(' ', chr(92) + '040')} {kind} rw 0 0\n" for p, kind in mounts.items()
    )
    (tmp_path / "mounts").write_text(text)
    monkeypatch.setattr(segments, "MOUNTS", tmp_path / "mounts")
    assert segments.keeps_room(Path("/elsewhere"))
    assert not segments.keeps_room(tmp_path / "data")
    assert segments.keeps_room(tmp_path / "a place" / "data")
    assert not segments.keeps_room(tmp_path / "a place" / "over" / "data")
    monkeypatch.setattr(segments, "MOUNTS", tmp_path / "absent")
    assert not segments.keeps_room(tmp_path)


def test_holds_are_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=SMALL)
    for _ in range(50):
        spool.hold()
    for _ in range(20):
        spool.release()
    for _ in range(30):
        spool.append(b"x" * MAX_ENTRY)
    assert len(drain(spool)) == 30
    assert spool._held == 0
    spool.seal()
    with pytest.raises(StorageFull):
        spool.hold()
    spool.close()


def test_the_next_segment_is_prepared_ahead(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=SMALL)
    spool.prepare()
    spool.prepare()
    assert len(list(spool.path.glob("*.seg"))) == 2
    spool.seal()
    assert drain(spool) == []
    spool.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(60)
def test_a_spool_that_begins_while_others_look_for_dead_ones_finds_a_folder(tmp_path: Path) -> None:
    """What several processes do that start at once: each looks for folders of the dead, and makes its own."""
    done = threading.Event()
    faults: list[BaseException] = []

    def adopting() -> None:
        try:
            while not done.is_set():
                for folder in adopt(tmp_path):
                    folder.close()
        except BaseException as fault:  # raised where nobody would see it, so it is told to who waits
            faults.append(fault)

    others = [threading.Thread(target=adopting) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for number in range(80):
            spool = Spool(tmp_path, segment_bytes=SMALL)
            write(spool, b"entry %d" % number)
            spool.seal()
            assert drain(spool) == [b"entry %d" % number]
            spool.close()
    finally:
        done.set()
        for other in others:
            other.join()
    assert faults == []


def test_a_folder_that_nobody_moved_into_is_taken_down_later(tmp_path: Path) -> None:
    unfinished = tmp_path / ".1f03-9c0ffee1d2a4"
    unfinished.mkdir()
    assert adopt(tmp_path) == []
    os.utime(unfinished, (0, 0))
    for folder in adopt(tmp_path):
        folder.close()
    assert list(tmp_path.iterdir()) == []


async def test_with_durability_disk_callers_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, durability="disk", segment_bytes=SMALL)
    synced: list[int] = []
    gate = threading.Event()
    real = os.fdatasync

    def slow(fd: int) -> None:
        gate.wait(5)
        synced.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    waits: list[asyncio.Task[None]] = []
    for i in range(40):
        write(spool, b"%d" % i * 500)
        waits.append(asyncio.create_task(spool.commit()))
    await asyncio.sleep(0)
    assert not any(w.done() for w in waits)
    gate.set()
    await asyncio.gather(*waits)
    assert len(synced) < len(waits)
    assert {s.path.stat().st_ino for s in spool.segments} <= set(synced), "every segment that holds an entry was synced"
    spool.seal()
    drain(spool)
    spool.close()


async def test_a_failed_sync_fails_those_who_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, durability="disk")
    write(spool, b"x")

    def broken(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(StorageError, match="could not be synced"):
        await spool.commit()
    monkeypatch.undo()
    await spool.commit()
    spool.seal()
    drain(spool)
    spool.close()


async def test_with_durability_process_commit_returns_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fdatasync")
    spool = Spool(tmp_path)
    write(spool, b"x")
    await spool.commit()
    spool.seal()
    drain(spool)
    spool.close()


def test_reading_in_a_thread_while_writing_delivers_each_entry_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=SMALL)
    found: list[bytes] = []
    over = threading.Event()

    def read() -> None:
        while True:
            last = over.is_set()
            spool.prepare()
            found.extend(drain(spool))
            if last:
                return

    reader = threading.Thread(target=read)
    reader.start()
    entries = [b"%06d" % i * 20 for i in range(4000)]
    write(spool, *entries)
    spool.seal()
    over.set()
    reader.join()
    assert found == entries
    spool.close()
    assert list(tmp_path.iterdir()) == []


WRITER = """
import os, sys
from pathlib import Path
from penstock.storage.spool import Spool
spool = Spool(Path(sys.argv[1]), segment_bytes=64 << 10, mapped=sys.argv[2] == "mapped")
number = 0
while True:
    spool.hold()
    spool.append(number.to_bytes(8, "big") + bytes([number % 256]) * (number * 37 % 1500))
    os.write(1, number.to_bytes(8, "big"))
    number += 1
"""


def entry(number: int) -> bytes:
    return number.to_bytes(8, "big") + bytes([number % 256]) * (number * 37 % 1500)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_sixteen_kills_lose_no_acknowledged_entry(tmp_path: Path) -> None:
    chance = random.Random(7)
    for round_ in range(4):
        root = tmp_path / str(round_)
        way = "mapped" if round_ % 2 else "written"
        writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(root), way], stdout=subprocess.PIPE) for _ in range(4)]
        acknowledged: dict[int, int] = {}
        for writer in writers:
            assert writer.stdout is not None
            target, got = chance.randrange(8, 8_000), 0
            while got < target:
                got += len(os.read(writer.stdout.fileno(), target - got))
            writer.kill()
            writer.wait()
            got += len(writer.stdout.read())
            writer.stdout.close()
            acknowledged[writer.pid] = got // 8
        folders = adopt(root)
        assert len(folders) == 4
        for folder in folders:
            told = acknowledged[int(folder.name.split("-")[0], 16)]
            found = drain(folder)
            # One more may have been journalled than the writer lived to say; what is there is exactly what was written.
            assert len(found) in (told, told + 1)
            assert found == [entry(n) for n in range(len(found))]
            assert folder.depth() == segments.Depth(bytes=0, segments=0, damaged=0)
            folder.close()
        assert list(root.iterdir()) == []

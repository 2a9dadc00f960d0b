"""Journals as kills, running processes and bad disks leave them, read without changing a byte."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.finops.samples import abandon, journal, ledger_row

from penstock.finops.journals import WINDOW, Journals, look, stretches
from penstock.finops.rows import LedgerRow, encode
from penstock.kernel.call import Usage
from penstock.storage.segments import FRAME, HEADER, MAX_ENTRY


def rows(first: int, count: int) -> list[LedgerRow]:
    return [ledger_row(f"call_{number:06d}") for number in range(first, first + count)]


class Seen:
    """What a look told, over a ledger that has these rows."""

    def __init__(self, root: Path, *there: LedgerRow) -> None:
        self.faults: list[str] = []
        ledger = {row.id: row for row in there}

        def known(ids: Sequence[str]) -> Mapping[str, LedgerRow]:
            return {id: ledger[id] for id in ids if id in ledger}

        self.found: Journals = look(root, known, self.faults.append)


def state(root: Path) -> dict[str, tuple[str, int]]:
    return {
        str(p.relative_to(root)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()
    }


async def test_all_rows_of_all_journals_are_counted(tmp_path: Path) -> None:
    # Several batches, segments and processes: one reading of a spool brings a megabyte at most.
    abandon(journal(tmp_path, *rows(0, 9000)))
    abandon(journal(tmp_path, *rows(9000, 10)))
    before = state(tmp_path)
    seen = Seen(tmp_path, *rows(100, 50))
    assert seen.faults == []
    assert seen.found == Journals(spools=2, waiting=8960, delivered=50)
    assert state(tmp_path) == before
    assert len(list(tmp_path.glob("*/*.seg"))) > 2


async def test_rows_of_a_running_process_are_on_their_way(tmp_path: Path) -> None:
    spool = journal(tmp_path, *rows(0, 30))
    assert Seen(tmp_path, *rows(0, 10)).found == Journals(spools=1, held=1, moving=20, delivered=10)
    # Looking let go of the lock, and the writer has lost nothing.
    spool.hold()
    spool.append(encode(ledger_row("call_later")))
    batch = spool.pending()
    assert batch is not None
    assert len(batch.entries) == 31
    spool.seal()
    spool.done(batch)
    spool.close()
    assert Seen(tmp_path).found == Journals()


async def test_a_row_that_the_ledger_has_otherwise_is_told(tmp_path: Path) -> None:
    folder = abandon(journal(tmp_path, *rows(0, 3)))
    other = ledger_row("call_000001", usage=Usage(input=11))
    seen = Seen(tmp_path, rows(0, 1)[0], other)
    assert seen.faults == [f"call_000001: what the ledger has is not what {folder / '00000001.seg'} has journalled"]
    assert (seen.found.delivered, seen.found.waiting) == (2, 1)


async def test_a_wrong_amount_in_a_journal_is_told(tmp_path: Path) -> None:
    abandon(journal(tmp_path, ledger_row("call_w", amount=21), ledger_row("call_u", prices=None, amount=3)))
    assert Seen(tmp_path).faults == ["call_w: 21 in the journal, 20 by its prices", "call_u: 3 in the journal, 0 by its prices"]


async def test_an_entry_that_is_no_row_is_told(tmp_path: Path) -> None:
    spool = journal(tmp_path, *rows(0, 1))
    for entry in (b"\x91\x01", b"no row", b"\x92\xa1\xff\x01"):
        spool.hold()
        spool.append(entry)
    abandon(spool)
    seen = Seen(tmp_path)
    assert [fault.split(": ")[1] for fault in seen.faults] == [f"an entry of {n} bytes is no ledger row of this version" for n in (2, 6, 4)]
    assert seen.found.waiting == 1


@pytest.mark.parametrize("at", [0, 1, 5, 9])
async def test_damage_between_entries_is_told_and_the_rest_is_read(tmp_path: Path, at: int) -> None:
    (segment,) = abandon(journal(tmp_path, *rows(0, 10))).glob("*.seg")
    size = FRAME.size + len(encode(rows(0, 1)[0]))
    data = bytearray(segment.read_bytes())
    data[len(HEADER) + at * size + FRAME.size + 3] ^= 1
    segment.write_bytes(data)
    seen = Seen(tmp_path)
    assert seen.found.waiting == 9
    if at < 9:
        assert seen.faults == [f"{segment}: {size} bytes between entries cannot be read"]
    else:
        # Nothing good follows it, so it is a write that was cut off as far as anybody can tell.
        assert (seen.faults, seen.found.cut_off) == ([], size)


async def test_damage_longer_than_what_is_read_at_once_is_stepped_over(tmp_path: Path) -> None:
    (segment,) = abandon(journal(tmp_path, *rows(0, 14_000), segment_bytes=4 << 20)).glob("*.seg")
    size = FRAME.size + len(encode(rows(0, 1)[0]))
    lost = WINDOW * 2 // size
    assert lost < 13_000
    data = bytearray(segment.read_bytes())
    start = len(HEADER) + 100 * size
    data[start : start + lost * size] = b"\xff" * (lost * size)
    segment.write_bytes(data)
    seen = Seen(tmp_path)
    assert seen.faults == [f"{segment}: {lost * size} bytes between entries cannot be read"]
    assert seen.found.waiting == 14_000 - lost


async def test_files_that_a_kill_left_unbegun_and_files_that_are_no_journal(tmp_path: Path) -> None:
    folder = abandon(journal(tmp_path, *rows(0, 2)))
    (folder / "00000002.seg").write_bytes(b"")
    (folder / "00000003.seg").write_bytes(bytes(4096))
    assert Seen(tmp_path).faults == []
    (folder / "00000004.seg").write_bytes(b"something else")
    (folder / "00000005.damaged").write_bytes(b"set aside")
    seen = Seen(tmp_path)
    assert seen.faults == [
        f"{folder / '00000005.damaged'}: a journal file that cannot be read in full",
        f"{folder / '00000004.seg'}: 14 bytes between entries cannot be read",
    ]
    assert seen.found.waiting == 2


async def test_there_need_not_be_any_journal(tmp_path: Path) -> None:
    assert Seen(tmp_path / "nothing").found == Journals()
    assert list(stretches(tmp_path / "gone.seg")) == []


@given(st.binary(max_size=400), st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=40)), max_size=4))
def test_whatever_stands_in_a_segment_reading_it_ends(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, islands: list[tuple[int, bytes]]
) -> None:
    segment = tmp_path_factory.mktemp("any") / "00000001.seg"
    data = bytearray(WINDOW + 2 * MAX_ENTRY)
    data[: len(HEADER)] = HEADER
    data[len(HEADER) : len(HEADER) + len(start)] = start
    for at, island in islands:
        data[len(HEADER) + at : len(HEADER) + at + len(island)] = island
    segment.write_bytes(data)
    found = list(stretches(segment))
    written = len(bytes(data[len(HEADER) :]).rstrip(b"\0"))
    assert [s.entries for s in found if s.entries] == []
    assert found[-1].cut_off == written

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from penstock.finops.drain import Drain
from penstock.finops.money import UnitPrices
from penstock.finops.rows import LedgerRow, encode
from penstock.finops.tables import LEDGER
from penstock.kernel.call import Usage
from penstock.kernel.errors import StorageError
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records
from penstock.storage.spool import Spool

MIGRATIONS = ["penstock.finops.migrations"]


def row(number: int) -> LedgerRow:
    return LedgerRow(
        f"call_{number:08d}", 1_772_600_000_000 + number, "org", None, "p", None, "k", "t", "m", "openai", "m", "chat",
        Usage(input=number, output=1), UnitPrices(input=10**6), number, "USD", "ok", "0" * 32, {"n": str(number)},
    )  # fmt: skip


def journal(spool: Spool, *numbers: int) -> None:
    for number in numbers:
        spool.hold()
        spool.append(encode(row(number)))


def stored(records: Records) -> list[tuple[str, int]]:
    with records.snapshot() as connection:
        return [(r.id, r.amount) for r in connection.execute(select(LEDGER.c.id, LEDGER.c.amount).order_by(LEDGER.c.id))]


def expected(*numbers: int) -> list[tuple[str, int]]:
    return [(f"call_{n:08d}", n) for n in numbers]


@pytest.fixture
def records(tmp_path: Path):
    opened = open_records("", tmp_path)
    migrate(opened, MIGRATIONS)
    yield opened
    opened.close()


async def test_rows_move_and_the_spool_is_left_empty(tmp_path: Path, records: Records) -> None:
    root = tmp_path / "ledger"
    spool = Spool(root)
    drain = Drain(records, spool, root, 60)
    journal(spool, 1, 2, 3)
    await drain.flush()
    assert stored(records) == expected(1, 2, 3)
    journal(spool, 4)
    await drain.end()
    assert stored(records) == expected(1, 2, 3, 4)
    assert list(root.iterdir()) == []


async def test_a_row_delivered_twice_is_one_row(tmp_path: Path, records: Records) -> None:
    root = tmp_path / "ledger"
    spool = Spool(root)
    drain = Drain(records, spool, root, 60)
    journal(spool, 1, 1, 2)
    await drain.flush()
    journal(spool, 2, 3)
    await drain.end()
    assert stored(records) == expected(1, 2, 3)


async def test_while_the_database_takes_nothing_rows_wait_and_are_not_lost(tmp_path: Path, records: Records) -> None:
    root = tmp_path / "ledger"
    spool = Spool(root)
    drain = Drain(records, spool, root, 60)
    with records.begin() as connection:
        LEDGER.drop(connection)
    journal(spool, 1, 2)
    with pytest.raises(StorageError):
        await drain.flush()
    assert drain.waiting > 0
    with records.begin() as connection:
        LEDGER.create(connection)
    await drain.end()
    assert stored(records) == expected(1, 2)


WRITER = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_drain import Spool, journal
spool = Spool(Path(sys.argv[1]), segment_bytes=64 << 10)
number = int(sys.argv[3])
while True:
    journal(spool, number)
    os.write(1, b".")
    number += 1
"""


def kill_a_writer(root: Path, first: int, target: int) -> int:
    """Run a writer until it acknowledged ``target`` rows or a few more, kill it, and say how many it acknowledged."""
    here = str(Path(__file__).parent)
    with subprocess.Popen([sys.executable, "-c", WRITER, str(root), here, str(first)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        got = 0
        while got < target:
            got += len(os.read(writer.stdout.fileno(), target - got))
        writer.kill()
        writer.wait()
        return got + len(writer.stdout.read())


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_after_kills_every_acknowledged_row_is_on_the_ledger_exactly_once(tmp_path: Path, records: Records) -> None:
    chance, root = random.Random(11), tmp_path / "ledger"
    acknowledged = [(first, kill_a_writer(root, first, chance.randrange(1, 1500))) for first in range(0, 4_000_000, 1_000_000)]
    spool = Spool(root)
    drain = Drain(records, spool, root, 60)
    await drain.recover()
    assert await drain.recover() == 0
    await drain.end()
    found = stored(records)
    for first, count in acknowledged:
        numbers = [amount for _, amount in found if first <= amount < first + 1_000_000]
        # A writer may have journalled one more row than it lived to say.
        assert numbers in (list(range(first, first + count)), list(range(first, first + count + 1)))
    assert list(root.iterdir()) == []

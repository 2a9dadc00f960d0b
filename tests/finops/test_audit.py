"""Each kind of damage is planted in a ledger that is sound, and must be the one thing that is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.finops.samples import AT, ledger_row

from penstock.finops import audit as module
from penstock.finops import store
from penstock.finops.audit import Audit, audit, verify_ledger
from penstock.finops.budgets import Budget
from penstock.finops.rows import LedgerRow
from penstock.finops.tables import LEDGER
from penstock.kernel.call import Usage
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

NOW = AT / 1000 + 60


def correction(corrects: str, number: int, amount: int, **terms: object) -> LedgerRow:
    return ledger_row(
        f"{corrects}.{number:04d}", usage=Usage(), prices=None, amount=amount, status="correction", corrects=corrects, reason="why",
        by="key_a", **terms,
    )  # fmt: skip


ROWS = [
    ledger_row("call_1"),
    ledger_row("call_2", usage=Usage(input=100, output=7, cached=60), team="team_a"),
    ledger_row("call_3", prices=None),
    ledger_row("call_4", at=AT - 40 * 86_400_000),
    ledger_row("call_5", organisation="org_b", model="n"),
    correction("call_1", 1, -15),
    correction("call_1", 2, 4),
    correction("call_4", 1, -1, at=AT - 40 * 86_400_000),
]


def budget(name: str, **terms: object) -> Budget:
    values = {"subject_kind": "everything", "subject": "", "period": "month", "limit": 1000, "hard": True, "created_at": 0.0}
    return Budget(id=f"budget_{name}", name=name, **{**values, **terms})  # type: ignore[arg-type]


BUDGETS = [
    budget("all"),
    budget("ever", period="total", organisation="org_a"),
    budget("team", subject_kind="team", subject="team_a"),
    budget("model", subject_kind="model", subject="n", period="day"),
]


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, ["penstock.finops.migrations"])
    with opened.begin() as connection:
        store.add_rows(connection, ROWS)
        for one in BUDGETS:
            store.put_budget(connection, one, new=True)
    yield opened
    opened.close()


@pytest.fixture
def look(records: Records, tmp_path: Path) -> Callable[..., Audit]:
    """Damage the sound ledger with some SQL, and look at it."""

    def damaged(*statements: str) -> Audit:
        with records.begin() as connection:
            for statement in statements:
                assert connection.execute(text(statement)).rowcount > 0
        return audit(records, tmp_path / "ledger", NOW)

    return damaged


async def test_a_sound_ledger_has_no_faults(look: Callable[..., Audit]) -> None:
    found = look()
    assert (found.faults, found.wrong) == ([], 0)
    assert (found.checked, found.corrections, found.budgets) == (len(ROWS), 3, 4)


CHANGE = "UPDATE ledger SET "
EVER = "budget 'ever': counts"
STRAY = "call_4.0001: corrects call_4, but has another moment or other owners"
UNLIKE = "call_1.0001: corrects call_1, but has a price, usage or another status, or gives no reason"
DAMAGE: list[tuple[str, list[str]]] = [
    (f"{CHANGE} amount = 21 WHERE id = 'call_4'", ["call_4: 21 on the ledger, 20 by its prices", EVER]),
    (f"{CHANGE} input_tokens = 11 WHERE id = 'call_1'", ["call_1: input_tokens is 11, 10 by its usage"]),
    (f"{CHANGE} output_tokens = 0 WHERE id = 'call_1'", ["call_1: output_tokens is 0, 5 by its usage"]),
    (f"{CHANGE} estimated = NOT estimated WHERE id = 'call_1'", ["call_1: estimated is True, False by its usage"]),
    (f"{CHANGE} usage = '{{' WHERE id = 'call_2'", ["call_2: its usage cannot be read"]),
    (f"{CHANGE} prices = '[1]' WHERE id = 'call_2'", ["call_2: its prices cannot be read"]),
    (f"{CHANGE} labels = 'x' WHERE id = 'call_2'", ["call_2: its labels cannot be read"]),
    (
        f"{CHANGE} prices = NULL WHERE id = 'call_5'",
        ["call_5: 20 on the ledger, 0 by its prices", "budget 'all': counts", "budget 'model': counts 20 as spent, its rows come to 0"],
    ),
    ("DELETE FROM ledger WHERE id = 'call_4'", ["call_4.0001: corrects call_4, which is not on the ledger"]),
    ("DELETE FROM ledger WHERE id = 'call_1.0001'", ["call_1: has 1 corrections, the last of which is call_1.0002"]),
    (
        f"{CHANGE} corrects = 'call_1.0001' WHERE id = 'call_1.0002'",
        [
            "call_1.0002: corrects call_1.0001, which is a correction itself",
            "call_1.0001: has 1 corrections, the last of which is call_1.0002",
            "call_1.0001: comes to -11 with its corrections, less than nothing",
        ],
    ),
    (f"{CHANGE} organisation = 'org_b' WHERE id = 'call_4.0001'", [STRAY]),
    (f"{CHANGE} team = 'x' WHERE id = 'call_4.0001'", [STRAY]),
    (f"{CHANGE} at = at + 1 WHERE id = 'call_4.0001'", [STRAY]),
    (f"{CHANGE} amount = -21 WHERE id = 'call_4.0001'", ["call_4: comes to -1 with its corrections, less than nothing"]),
    (f"{CHANGE} status = 'ok' WHERE id = 'call_1.0001'", [UNLIKE]),
    (f"{CHANGE} reason = NULL WHERE id = 'call_1.0001'", [UNLIKE]),
    (f"{CHANGE} status = 'correction' WHERE id = 'call_2'", ["call_2: is a correction, of no row"]),
    ("UPDATE budgets SET alerts = 'x' WHERE name = 'team'", ["budget budget_team: its terms cannot be read"]),
    ("UPDATE budgets SET period = 'decade' WHERE name = 'team'", ["budget budget_team: its terms cannot be read"]),
]


@pytest.mark.parametrize(("statement", "told"), DAMAGE, ids=[statement for statement, _ in DAMAGE])
async def test_damage_is_told_and_nothing_else(look: Callable[..., Audit], statement: str, told: list[str]) -> None:
    found = look(statement)
    assert [fault for fault in found.faults if not fault.startswith(tuple(told))] == []
    for one in told:
        assert [fault for fault in found.faults if fault.startswith(one)], (one, found.faults)
    assert found.wrong == len(found.faults)


async def test_a_wrong_amount_moves_what_its_budgets_count(look: Callable[..., Audit]) -> None:
    found = look("UPDATE ledger SET amount = amount + 5 WHERE id = 'call_2'")
    # 9 of call_1 with its corrections, 114 of call_2, 20 of the other organisation, 19 of the old month.
    assert sorted(found.faults) == [
        "budget 'all': counts 148 as spent, its rows come to 143",
        "budget 'ever': counts 147 as spent, its rows come to 142",
        "budget 'team': counts 119 as spent, its rows come to 114",
        "call_2: 119 on the ledger, 114 by its prices",
    ]


async def test_faults_beyond_what_is_told_are_counted(look: Callable[..., Audit], records: Records) -> None:
    with records.begin() as connection:
        store.add_rows(connection, [ledger_row(f"call_x{number:04d}", amount=1, at=0) for number in range(3000)])
    found = look("DELETE FROM budgets")
    assert (found.wrong, len(found.faults), found.checked) == (3000, module.KEPT, 3000 + len(ROWS))


LOOK = """
import re, sys
from pathlib import Path
from penstock.finops.audit import audit
from penstock.storage.records import open_records
records = open_records(sys.argv[1], Path(sys.argv[2]))
found = audit(records, Path(sys.argv[2]) / "ledger", 0.0)
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(found.checked, found.wrong, peak[1])
"""


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
async def test_memory_does_not_grow_with_the_ledger(records: Records, database: str, tmp_path: Path) -> None:
    def peak() -> tuple[int, int, float]:
        """Rows, faults, and the most memory in MB that a process of its own needed: a driver's own is seen too."""
        said = subprocess.run([sys.executable, "-c", LOOK, database, str(tmp_path)], capture_output=True, text=True, check=True).stdout
        rows, wrong, kilobytes = map(int, said.split())
        return rows, wrong, kilobytes / 1024

    _, _, few = peak()
    columns = ", ".join(f'"{column.name}"' for column in LEDGER.columns if column.name not in ("id", "labels"))
    labels = '\'{"n":"\' || ' + ("repeat('x', 4000)" if database else "hex(zeroblob(2000))") + " || '\"}'"
    with records.begin() as connection:
        for power in range(13):
            connection.execute(text(f"INSERT INTO ledger (id, labels, {columns}) SELECT id || '-{power}', {labels}, {columns} FROM ledger"
                                    " WHERE id LIKE 'call_3%'"))  # fmt: skip
    rows, wrong, many = peak()
    assert (rows, wrong) == (len(ROWS) - 1 + 2**13, 0)
    # 8,000 rows of 4 kB; whatever holds them all holds 33 MB more.
    assert many < few + 15


async def test_an_installation_that_has_no_database_yet_has_no_faults(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(f'[server]\ndata_dir = "{tmp_path}/data"\n')
    found = verify_ledger(config)
    assert (found.checked, found.wrong, found.journals.spools) == (0, 0, 0)
    assert not (tmp_path / "data").exists()

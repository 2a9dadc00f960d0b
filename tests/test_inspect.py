"""The commands that only look: the doctor, the line, the schema. They change nothing, and say what to do."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from penstock.app import capabilities
from penstock.inspect import doctor, line, migrate, places
from penstock.kernel.stage import Slot


class Installation:
    """A settings file and a data folder, and what the commands print about them."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str], settings: str = "", database: str = "") -> None:
        self.data = folder / "data"
        self.config = folder / "penstock.toml"
        self._capture = capture
        records = f'[storage]\nrecords = "{database}"\n' if database else ""
        self.config.write_text(f'[server]\ndata_dir = "{self.data}"\n{records}[gateway]\ndiscover = false\n{settings}', "utf-8")

    def doctor(self) -> tuple[int, str]:
        return doctor(self.config), self._capture.readouterr().out

    def migrate(self, *, verify: bool = False) -> tuple[int, str]:
        return migrate(self.config, verify=verify), self._capture.readouterr().out


@pytest.fixture
def fresh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Installation:
    return Installation(tmp_path, capsys)


def test_before_the_first_start_the_doctor_says_so_and_makes_no_database(fresh: Installation) -> None:
    code, said = fresh.doctor()
    assert code == 0
    assert re.search(r"^ok    settings: .*penstock\.toml; \d+ values set$", said, re.MULTILINE)
    assert re.search(r"^WARN  records: SQLite at .*lacks .*identity_0001", said, re.MULTILINE)
    assert "      -> run `penstock migrate`" in said
    # Said once, not by everybody who would ask the database.
    assert said.count("WARN") == 1
    assert not list(fresh.data.glob("*.db"))


def test_the_doctor_finds_an_installation_well_and_says_what_is_off(fresh: Installation) -> None:
    assert fresh.migrate()[0] == 0
    code, said = fresh.doctor()
    assert code == 0
    assert re.search(r"^ok    records: .*the schema is up to date$", said, re.MULTILINE)
    assert re.search(r"^off   keys: ", said, re.MULTILINE)
    assert "FAIL" not in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("[gatewya]\n", r"FAIL  settings: .*unknown section 'gatewya'; did you mean 'gateway'"),
        ("[log]\nlevel = 'loud'\n", r"FAIL  settings: log\.level"),
        ("[identity]\ntrusted_proxies = ['proxy.local']\n", r"FAIL  house: identity\.trusted_proxies"),
    ],
)
def test_a_wrong_setting_fails_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: str, said: str) -> None:
    code, told = Installation(tmp_path, capsys, settings).doctor()
    assert code == 1
    assert re.search(said, told)
    assert "      -> correct the setting and run this again" in told


def test_a_database_that_does_not_answer_fails_and_is_named_without_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://penstock:hunter2@127.0.0.1:{taken.getsockname()[1]}/penstock"
        code, said = Installation(tmp_path, capsys, database=url).doctor()
    assert code == 1
    assert re.search(r"^FAIL  records: PostgreSQL at 127\.0\.0\.1:\d+/penstock does not answer", said, re.MULTILINE)
    assert "check storage.records and that the database runs" in said
    assert "hunter2" not in said


def test_migrate_looks_then_changes_then_has_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str], database: str) -> None:
    installation = Installation(tmp_path, capsys, database=database)
    code, said = installation.migrate(verify=True)
    assert code == 1
    assert "run `penstock migrate`" in said
    code, said = installation.migrate()
    assert code == 0
    assert "ran " in said
    for revision in ("identity_0001", "finops_0001", "observability_0001"):
        assert revision in said
    assert installation.migrate() == (0, installation.migrate()[1])
    code, said = installation.migrate(verify=True)
    assert code == 0
    assert said.endswith("the schema is up to date\n")


def test_the_line_names_every_stage_in_order_with_a_place_in_the_code(fresh: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    line(fresh.config)
    rows = [row.split() for row in capsys.readouterr().out.splitlines()]
    slots = [slot.name.lower() for slot in Slot]
    assert [slots.index(row[0]) for row in rows] == sorted(slots.index(row[0]) for row in rows)
    assert {"authenticate", "admit", "send"} <= {row[1] for row in rows}
    names = {room.name for room in capabilities()}
    source = Path(__file__).parent.parent / "src"
    for row, place in zip(rows, places(fresh.config), strict=True):
        assert row[2] in names
        file, _, number = row[3].rpartition(":")
        text = (source / file).read_text("utf-8").splitlines()
        assert text[int(number) - 1].lstrip().startswith(("class ", "async def ", "def ", "@")), row
        assert (place.file, place.line) == (file, int(number))
    assert not fresh.data.exists()

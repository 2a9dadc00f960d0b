"""When the journal is opened, and what is said where it cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.house import open_house

from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.journal.wiring import JournalLife
from penstock.kernel.errors import SettingsError
from penstock.kernel.journal import Journal, Run


async def _nothing(run: Run, _: object) -> object:
    return run.organisation


def define(journal: Journal) -> None:
    journal.define("nothing", _nothing)


def test_the_command_line_does_not_load_the_engine() -> None:
    code = """
import sys
from penstock.cli import main
sys.argv = ["penstock", "--help"]
try:
    main()
except SystemExit:
    pass
assert not {"dbos", "sqlalchemy"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "worker" in done.stdout


async def test_a_house_with_runs_works_on_them(tmp_path: Path) -> None:
    settings = f'[gateway]\ndiscover = false\nlocal_embeddings = false\n[journal]\ndefinitions = ["{__name__}:define"]\n'
    sys.modules.setdefault(__name__, sys.modules[define.__module__])
    async with open_house(tmp_path, settings) as house:
        journal = house.app.ports.get(Journal)
        run = await journal.start("nothing", organisation="org")
        assert await journal.result("org", run, 20) == "org"


async def test_a_definition_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    settings = JournalSettings(definitions=("penstock.nowhere:define",))
    with pytest.raises(SettingsError, match=r"journal\.definitions: 'penstock\.nowhere' cannot be loaded"):
        await JournalLife(JournalService(settings, "", tmp_path), settings).start()

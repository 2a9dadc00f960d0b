"""The journal before it is opened and where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from tests.journal.conftest import migrated

from penstock.journal import service as service_module
from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.kernel.errors import JournalNotInstalled, JournalUnavailable, NotFound
from penstock.kernel.journal import Run, RunFilter


async def nothing(run: Run, _: object) -> object:
    return run.organisation


async def test_without_the_extra_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "installed", lambda: False)
    journal = JournalService(JournalSettings(), "", tmp_path)
    journal.define("nothing", nothing)
    with pytest.raises(JournalNotInstalled, match=r"pip install 'penstock\[journal\]'") as caught:
        await journal.start("nothing", organisation="org")
    assert caught.value.code == "journal_not_installed"
    assert not list(tmp_path.iterdir())


async def test_where_there_can_be_no_runs_nothing_is_opened_to_say_so(tmp_path: Path) -> None:
    journal = JournalService(JournalSettings(), "", tmp_path)
    assert await journal.list(None, RunFilter()) == []
    assert await journal.depths(None) == []
    with pytest.raises(NotFound):
        await journal.get(None, "run_none")
    with pytest.raises(NotFound):
        await journal.list(None, RunFilter(before="run_none"))
    assert not journal.open
    assert not list(tmp_path.iterdir())
    await journal.close()


async def test_a_closed_journal_stays_closed(tmp_path: Path) -> None:
    journal = JournalService(JournalSettings(), "", tmp_path)
    journal.define("nothing", nothing)
    await journal.close()
    with pytest.raises(JournalUnavailable, match="closed"):
        await journal.start("nothing", organisation="org")


@pytest.mark.parametrize(("name", "version"), [("", 1), ("a@b", 1), ("a", 0), ("x" * 201, 1)])
async def test_names_and_versions_are_checked(tmp_path: Path, name: str, version: int) -> None:
    with pytest.raises(ValueError, match="a run's name"):
        JournalService(JournalSettings(), "", tmp_path).define(name, nothing, version=version)


async def test_a_database_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    journal = JournalService(JournalSettings(), "postgresql://user:hunter2@127.0.0.1:1/nowhere", tmp_path)
    journal.define("nothing", nothing)
    with pytest.raises(JournalUnavailable, match="PostgreSQL nowhere cannot be opened") as caught:
        await journal.start("nothing", organisation="org")
    assert "hunter2" not in caught.value.message
    await journal.close()


async def test_a_database_without_our_table_is_told(tmp_path: Path, postgres: str) -> None:
    journal = JournalService(JournalSettings(), postgres, tmp_path)
    journal.define("nothing", nothing)
    with pytest.raises(JournalUnavailable, match="cannot be opened"):
        await journal.start("nothing", organisation="org")
    migrated(postgres, tmp_path)
    assert await journal.result(None, await journal.start("nothing", organisation="org"), 20) == "org"
    await journal.close()


async def test_a_database_that_fails_later_is_told_without_what_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = JournalService(JournalSettings(), "", tmp_path)
    journal.define("nothing", nothing)
    run = await journal.start("nothing", organisation="org")
    await journal.result(None, run, 20)
    reader = journal._reader  # pyright: ignore[reportPrivateUsage]

    def broken(*_: object) -> object:
        raise OperationalError("SELECT", {"key": "hunter2"}, Exception("hunter2"))

    monkeypatch.setattr(reader, "get", broken)
    with pytest.raises(JournalUnavailable, match=r"does not answer \(OperationalError\)") as caught:
        await journal.get(None, run)
    assert "hunter2" not in caught.value.message
    assert caught.value.__suppress_context__
    await journal.close()

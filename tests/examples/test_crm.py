"""The example of a clerk who keeps the CRM."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from examples.crm import server
from tests.examples.stage import begun, open_example, over, serving, tools
from tests.house import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clerk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, Path]]:
    folder = tmp_path_factory.mktemp("crm")
    async with serving(server.app(folder / "crm.db")) as crm:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CRM_URL", crm)
            async with open_example("crm", folder) as house:
                yield house, folder / "crm.db"


def rows(file: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(statement).fetchall()


async def test_a_note_becomes_a_contact_that_is_up_to_date(clerk: tuple[House, Path]) -> None:
    house, file = clerk
    note = "Spoke with Ines Okafor. She wants an offer by Friday, new number +49 30 1234 567."
    run = await begun(house, "crm-clerk", note)
    ended = await over(house, run)
    assert ended["output"] == "Ines Okafor: the note is there; phone is +49 30 1234 567, stage is talking."
    assert rows(file, "SELECT phone, stage FROM contacts WHERE id = 1") == [("+49 30 1234 567", "talking")]
    assert rows(file, "SELECT contact, text FROM notes") == [(1, note)]
    shown = (await house.ask("GET", f"/v1/runs/{run}")).json
    assert tools(shown) == ["find_contacts", "change_contact", "add_note"]
    effects = (await house.ask("GET", f"/v1/agents/runs/{run}")).json["effects"]
    assert [(one["tool"], one["effect"], one["state"]) for one in effects] == [
        ("change_contact", "write", "done"),
        ("add_note", "write", "done"),
    ]


@pytest.mark.parametrize(("note", "told"), [("Spoke with somebody.", "names nobody"), ("Spoke with Nobody Known.", "0 contacts")])
async def test_what_fits_nobody_changes_nothing(clerk: tuple[House, Path], note: str, told: str) -> None:
    house, file = clerk
    before = rows(file, "SELECT * FROM contacts"), rows(file, "SELECT * FROM notes")
    assert told in (await over(house, await begun(house, "crm-clerk", note)))["output"]
    assert (rows(file, "SELECT * FROM contacts"), rows(file, "SELECT * FROM notes")) == before

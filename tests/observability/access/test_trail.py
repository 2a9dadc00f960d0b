"""The trail shows what was changed in it or taken out, also beyond what is read at once; lines written at once stand in a row."""

from __future__ import annotations

import asyncio

import pytest
from tests.observability.calls import READER

from penstock.kernel.principal import Scope
from penstock.observability.access import trail
from penstock.observability.access.service import PayloadAccess
from penstock.observability.access.trail import LINES
from penstock.storage.records import Records


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "PIECE", 3)


async def test_a_line_that_was_changed_or_taken_out_shows(records: Records) -> None:
    access = PayloadAccess(records, Scope.READ)
    for number in range(4):
        await access.note(READER, "opened", "call", f"call_{number}", "org_a", "api")
    newest, *_, oldest = await access.lines("org_a", None, None, 10)
    with records.begin() as connection:
        connection.execute(LINES.update().where(LINES.c.id == oldest.id + 1).values(subject="call_x"))
    assert await access.broken("org_a") == oldest.id + 1
    with records.begin() as connection:
        connection.execute(LINES.delete().where(LINES.c.id == oldest.id + 1))
    assert await access.broken("org_a") == oldest.id + 2
    assert newest.id == oldest.id + 3


async def test_lines_that_are_written_at_once_stand_in_one_row(records: Records) -> None:
    several = [PayloadAccess(records, Scope.READ) for _ in range(4)]
    await asyncio.gather(
        *(one.note(READER, "opened", "call", f"call_{n}_{m}", "org_a", "api") for n, one in enumerate(several) for m in range(5))
    )
    assert len(await several[0].lines("org_a", None, None, 100)) == 20
    assert await several[0].broken("org_a") is None

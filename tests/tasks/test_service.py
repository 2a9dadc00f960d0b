"""Changes of tasks leave lines that cannot be changed unseen, and two that change at once do not overwrite each other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from tests.tasks.people import rig

from penstock.tasks.tables import AUDIT

pytestmark = pytest.mark.timeout(60)


async def test_of_two_changes_at_once_one_is_told_so(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        made = (await house.declare("triage")).json
        body = {"owner": "support", "candidates": ["up/a"]}
        path = f"/v1/tasks/triage?digest={made['digest']}"
        answers = await asyncio.gather(*(house.house.ask("PUT", path, {**body, "sample": n / 10}) for n in range(1, 6)))
        assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409]
        trail = (await house.house.ask("GET", "/v1/tasks-audit")).json
        assert [line["action"] for line in trail["data"]] == ["created", "replaced"]


async def test_what_changes_nothing_is_no_change(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        made = (await house.declare("triage")).json
        body = {"owner": "support", "candidates": ["up/a", "up/b"], "mode": "route"}
        answer = await house.house.ask("PUT", f"/v1/tasks/triage?digest={made['digest']}", body)
        assert (answer.status, answer.json["digest"]) == (200, made["digest"])
        assert len((await house.house.ask("GET", "/v1/tasks-audit")).json["data"]) == 1


@pytest.mark.parametrize("how", ["changed", "taken out"])
async def test_a_line_of_the_trail_that_was_tampered_with_shows(tmp_path: Path, how: str) -> None:
    async with rig(tmp_path) as house:
        for name in ("one", "two", "three"):
            assert (await house.declare(name)).status == 201
        lines = (await house.house.ask("GET", "/v1/tasks-audit")).json["data"]
        second = AUDIT.c.id == lines[1]["id"]
        work = update(AUDIT).where(second).values(by="somebody else") if how == "changed" else delete(AUDIT).where(second)
        await house.house.app.store.write(lambda connection: connection.execute(work))
        broken = (await house.house.ask("GET", "/v1/tasks-audit")).json["broken_at"]
        assert broken == lines[1 if how == "changed" else 2]["id"]

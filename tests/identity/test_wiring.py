"""How the parts stand together: the first start, alone or with others, and what the doctor says of keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.house import SETTINGS, House, open_house
from tests.identity.process import Clock, Process, lay_out

from penstock.identity.model import Organisation, Project
from penstock.kernel.capability import Finding
from penstock.kernel.ports import FirstKey
from penstock.storage.records import open_records


@pytest.fixture
async def starting(database: str, tmp_path: Path) -> AsyncIterator[list[Process]]:
    """Several processes at their first start on one database: tables, and nothing in them."""
    opened = [open_records(database, tmp_path) for _ in range(4)]
    lay_out(opened[0])
    yield [Process(records, Clock()) for records in opened]
    for records in opened:
        records.close()


async def test_processes_that_start_at_once_make_one_organisation_and_one_admin_key(starting: list[Process]) -> None:
    async def first_start(process: Process) -> str | None:
        await process.owners.ensure_home()
        return await process.keys.ensure()

    secrets = [secret for secret in await asyncio.gather(*map(first_start, starting)) if secret is not None]
    assert len(secrets) == 1
    for process in starting:
        await process.refresh.now()
        assert process.who(secrets[0]).reach is None
        assert [(o.name, o.home) for o in (await process.owners.list(Organisation, None)).data] == [("Default", True)]
        assert [p.name for p in (await process.owners.list(Project, None)).data] == ["default"]
        assert len((await process.keys.list(None)).data) == 1


async def findings(house: House) -> dict[str, Finding]:
    found: list[Sequence[Finding]] = [await check() for check in house.app.offers["identity"].checks]
    return {finding.name: finding for several in found for finding in several}


async def test_the_doctor_tells_of_a_first_key_that_nobody_used_and_how_to_make_another(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        told = (await findings(house))["first admin key"]
        assert told.status == "warn"
        assert told.mend is not None
        assert "penstock keys create --name YOU --admin" in told.mend
        (id,) = [word.strip("`") for word in told.mend.split() if word.startswith("key_")]
        assert (await findings(house))["keys"].status == "off"
        admin = house.admin
        house.admin, _ = await house.key(name="recovery", scopes=["admin"])
        # That request was the first use: from then on somebody has it.
        assert "first admin key" not in await findings(house)
        assert (await findings(house))["keys"].status == "ok"
        assert (await house.ask("POST", f"/v1/keys/{id}/revoke")).status == 200
        assert (await house.ask("GET", "/v1/keys", key=admin)).status == 401


async def test_a_first_key_that_was_revoked_unused_is_no_news(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        keys = Process(house.app.store, Clock()).keys
        (first,) = (await keys.list(None)).data
        await keys.revoke(None, first.id)
        assert set(await findings(house)) == {"keys"}


async def test_whoever_wants_no_first_key_gets_none(tmp_path: Path) -> None:
    async with open_house(tmp_path, SETTINGS + "[identity]\nfirst_key = false\n") as house:
        assert house.admin == ""
        assert not await house.app.ports.get(FirstKey).configured()
        assert (await house.ask("GET", "/v1/keys", key="")).status == 401


async def test_the_first_start_is_the_first_only_once(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        assert house.admin
        assert await house.app.ports.get(FirstKey).ensure() is None
        assert not await house.app.ports.get(FirstKey).configured()
    async with open_house(tmp_path) as house:
        assert house.admin == ""

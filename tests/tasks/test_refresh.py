"""What one process declares, another serves within a second; and what the settings say is checked before anything is served."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.conftest import fresh_database
from tests.tasks.people import INTENT, rig

from penstock.app import App, capabilities, load_settings, open_store
from penstock.kernel.errors import SettingsError
from penstock.kernel.tasks import Tasks
from penstock.tasks.tables import CHANGES, TASKS

pytestmark = pytest.mark.timeout(90)


async def test_two_processes_on_one_database(tmp_path: Path, postgres_server: str) -> None:
    url = fresh_database(postgres_server)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with rig(tmp_path / "one", database=url) as one, rig(tmp_path / "two", database=url, admin=one.house.admin) as two:
        made = (await one.declare("triage", candidates=["up/a"])).json

        async def until(served: str) -> float:
            began = time.monotonic()
            async with asyncio.timeout(20):
                while (await two.call("task:triage")).status != 200 or two.served[-1] != served:
                    await asyncio.sleep(0.01)
            return time.monotonic() - began

        assert await until("a") < 5, "its setting is half a second; the rest is patience with a busy machine"
        body = {"owner": "support", "candidates": ["up/b"]}
        assert (await one.house.ask("PUT", f"/v1/tasks/triage?digest={made['digest']}", body)).status == 200
        assert await until("b") < 5


async def test_a_task_that_cannot_be_read_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        for name in ("good", "bad"):
            assert (await house.declare(name)).status == 201

        def spoil(connection: object) -> None:
            connection.execute(update(TASKS).where(TASKS.c.name == "bad").values(declaration='{"owner": 5}'))  # type: ignore[attr-defined]
            connection.execute(update(CHANGES).values(version=CHANGES.c.version + 1))  # type: ignore[attr-defined]

        await house.house.app.store.write(spoil)
        tasks = house.house.app.ports.get(Tasks)
        async with asyncio.timeout(10):
            while len(tasks.all()) != 2:
                await asyncio.sleep(0.01)
        assert (await house.call("task:good")).status == 200
        assert (await house.call("task:bad")).status == 404
        metrics = (await house.house.ask("GET", "/metrics")).text
        assert "penstock_tasks_unreadable 1.0" in metrics


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[tasks.t]\nowner = "a"\n', 'tasks."t".candidates: there is none'),
        (INTENT.replace("up/b", "upp/b"), 'tasks."support.intent".candidates\\[1\\]: no provider serves'),
        ('[tasks.t]\nowner = "a"\ncandidates = ["far/big"]\ndata_class = "restricted"\n', "no candidate may do this work"),
    ],
)
async def test_tasks_of_the_settings_that_cannot_be_keep_the_house_closed(tmp_path: Path, settings: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        async with rig(tmp_path, settings):
            pass
    assert caught.value.code == "task_invalid"


async def test_the_doctor_says_what_is_wrong_without_starting(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(f'[server]\ndata_dir = "{tmp_path}/data"\n[gateway]\ndiscover = false\n[tasks.t]\nowner = "a"\ndefault = "gone/a"\n')
    rooms = capabilities()
    settings = load_settings(rooms, config)
    app = App(rooms, settings, open_store(settings))
    (finding,) = await app.offers["tasks"].checks[0]()
    app.store.close()
    assert (finding.status, 'tasks."t".default: no provider serves' in finding.what) == ("fail", True)


async def test_shared_tasks_belong_to_the_home_organisation_which_is_made_after_the_first_start(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        home = await house.house.home()
        tasks = house.house.app.ports.get(Tasks)
        async with asyncio.timeout(10):
            while tasks.all()[0].organisation != home:
                await asyncio.sleep(0.01)

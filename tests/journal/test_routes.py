"""The journal over HTTP and in the console: what is shown and done, to whom, and that tenants are apart."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.house import SETTINGS, Answer, House, open_house

from penstock.journal import service as service_module
from penstock.kernel.journal import Journal, Queue, Run, RunState
from penstock.kernel.ports import Directory

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


async def _secret() -> dict[str, str]:
    return {"said": "hushed result"}


async def _work(run: Run, _: Any) -> Any:
    await run.step("hushed step", _secret)
    child = await run.child("hushed-child")
    value = await run.wait("go")
    return [value, await child.result()]


async def _child(run: Run, _: Any) -> Any:
    await run.sleep(0.01)
    return 1


def define(journal: Journal) -> None:
    journal.define("hushed-work", _work)
    journal.define("hushed-child", _child)
    journal.declare(Queue(name="hushed-queue", concurrency=1))


class Case:
    """A house in which the home organisation has a run that waits."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.journal = house.app.ports.get(Journal)
        self.home = ""
        self.them = ""
        self.reader = ""

    async def run(self, queue: str | None = None) -> str:
        """The id of a new run of the home organisation that waits for its signal."""
        run = await self.journal.start("hushed-work", organisation=self.home, queue=queue, labels={"batch": "hushed"})
        while len(await self.journal.history(None, run)) < 3 or (await self.journal.get(None, run)).state is not RunState.RUNNING:
            await asyncio.sleep(0.02)
        return run

    async def act(self, run: str, what: str, body: Any = None, key: str | None = None) -> Answer:
        return await self.house.ask("POST", f"/v1/runs/{run}/{what}", body, key=key)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Case]:
    sys.modules.setdefault(__name__, sys.modules[define.__module__])
    settings = f'{SETTINGS}[journal]\npoll_seconds = 0.05\ndefinitions = ["{__name__}:define"]\n'
    async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
        case = Case(house)
        case.them, _ = await house.outsider()
        case.reader, id = await house.key(name="reader", scopes=["read"])
        case.home = (await house.ask("GET", f"/v1/keys/{id}")).json["organisation"]
        assert house.app.ports.get(Directory).name(case.home) != case.home
        yield case


async def test_a_run_is_listed_and_shown_with_its_history(case: Case) -> None:
    run = await case.run()
    page = (await case.house.ask("GET", "/v1/runs?name=hushed-work&limit=1", key=case.reader)).json
    assert page["data"][0]["id"] == page["next"] == run
    shown = (await case.house.ask("GET", f"/v1/runs/{run}", key=case.reader)).json
    assert (shown["run"]["state"], shown["run"]["labels"]) == ("running", {"batch": "hushed"})
    assert [(s["number"], s["kind"]) for s in shown["steps"][:2]] == [(1, "step"), (2, "child")]
    assert shown["steps"][0]["output"] == {"said": "hushed result"}
    assert (await case.act(run, "signal", {"topic": "go", "value": 5, "key": "once"})).status == 200
    assert await case.journal.result(None, run, 20) == [5, 1]
    assert (await case.house.ask("GET", "/v1/runs?state=done&name=hushed-work")).json["data"][0]["id"] == run
    assert (await case.act(run, "signal", {"topic": "go"})).json["error"]["code"] == "conflict"


async def test_a_run_is_paused_resumed_forked_and_cancelled(case: Case) -> None:
    run = await case.run()
    assert (await case.act(run, "pause")).json["state"] == "paused"
    assert (await case.act(run, "resume")).json["state"] in ("queued", "running")
    assert (await case.act(run, "resume")).status == 409
    fork = await case.act(run, "fork", {"step": 2})
    assert (fork.status, fork.json["forked_from"]) == (201, run)
    for one in (run, fork.json["id"]):
        assert (await case.act(one, "cancel")).json["state"] == "cancelled"


async def test_steps_come_page_by_page_and_a_run_is_replayed(case: Case) -> None:
    run = await case.run()
    first = (await case.house.ask("GET", f"/v1/runs/{run}/steps?limit=1", key=case.reader)).json
    assert ([step["number"] for step in first["data"]], first["next"]) == ([1], 1)
    rest = (await case.house.ask("GET", f"/v1/runs/{run}/steps?after=1", key=case.reader)).json
    assert rest["data"][0]["number"] == 2
    assert rest["next"] is None
    assert (await case.house.ask("GET", f"/v1/runs/{run}/steps", key=case.them)).status == 404
    assert (await case.act(run, "replay", key=case.reader)).status == 403
    again = await case.act(run, "replay")
    assert (again.status, again.json["forked_from"], again.json["name"]) == (201, run, "hushed-work")
    for one in (run, again.json["id"]):
        assert (await case.act(one, "signal", {"topic": "go", "value": 1})).status == 200
        assert await case.journal.result(None, one, 20) == [1, 1]


async def test_queues_show_what_waits_and_runs(case: Case) -> None:
    first = await case.run("hushed-queue")
    second = await case.journal.start("hushed-work", organisation=case.home, queue="hushed-queue")
    queues = (await case.house.ask("GET", "/v1/queues")).json["data"]
    assert queues == [{"queue": "hushed-queue", "waiting": 1, "running": 1}]
    assert (await case.house.ask("GET", "/v1/queues", key=case.them)).json["data"] == []
    page = await case.house.ask("GET", "/console/runs", accept="text/html")
    assert "1 waiting" in page.text
    for run in (first, second):
        await case.act(run, "cancel")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/runs/run_none", None, 404),
        ("/v1/runs?state=odd", None, 400),
        ("/v1/runs?limit=0", None, 400),
        ("/v1/runs?before=run_none", None, 404),
    ],
)
async def test_bad_questions_are_answered_as_such(case: Case, path: str, body: Any, status: int) -> None:
    assert (await case.house.ask("GET", path, body)).status == status


async def test_bad_changes_are_answered_as_such(case: Case) -> None:
    run = await case.run()
    for what, body in (("fork", {"step": 0}), ("fork", {"step": "x"}), ("signal", {}), ("signal", {"topic": ""}), ("signal", {"topic": 1})):
        assert (await case.act(run, what, body)).status == 400, (what, body)
    for what, body in (("cancel", None), ("fork", {"step": 1}), ("signal", {"topic": "go"})):
        assert (await case.act(run, what, body, key=case.reader)).status == 403
        assert (await case.act("run_none", what, body)).status == 404
    await case.act(run, "cancel")


async def test_another_organisation_finds_nothing_of_it(case: Case) -> None:
    run = await case.run()
    for path in ("/v1/runs", "/v1/queues", "/console/runs"):
        answer = await case.house.ask("GET", path, key=case.them, accept="text/html")
        assert answer.status == 200
        assert run not in answer.text
        assert "ushed" not in answer.text
    missing = await case.house.ask("GET", "/v1/runs/run_none", key=case.them)
    for what, body in (("signal", {"topic": "go"}), ("cancel", None), ("pause", None), ("resume", None), ("fork", {"step": 1})):
        answer = await case.act(run, what, body, key=case.them)
        assert (answer.status, answer.text) == (404, missing.text.replace("run_none", run))
        page = await case.house.ask(
            "POST", f"/console/runs/{run}/{what}", "step=1", key=case.them, content_type="application/x-www-form-urlencoded"
        )
        assert page.status == 404
    assert (await case.house.ask("GET", f"/v1/runs/{run}", key=case.them)).status == 404
    assert (await case.house.ask("GET", f"/console/runs/{run}", key=case.them, accept="text/html")).status == 404
    assert (await case.house.ask("GET", f"/v1/runs?before={run}", key=case.them)).status == 404
    assert (await case.journal.get(None, run)).state is RunState.RUNNING
    await case.act(run, "cancel")


async def test_pages_show_a_run_and_change_it(case: Case) -> None:
    run = await case.run()
    listed = await case.house.ask("GET", "/console/runs", accept="text/html")
    assert "hushed-work" in listed.text
    shown = await case.house.ask("GET", f"/console/runs/{run}", accept="text/html")
    assert "hushed step" in shown.text
    assert "hushed result" not in shown.text
    assert "hushed result" in (await case.house.ask("GET", f"/console/runs/{run}?step=1", accept="text/html")).text
    assert "/pause" in shown.text
    assert "/pause" not in (await case.house.ask("GET", f"/console/runs/{run}", key=case.reader, accept="text/html")).text
    assert (await case.house.ask("POST", f"/console/runs/{run}/pause")).headers["location"] == f"/console/runs/{run}"
    paused = await case.house.ask("GET", f"/console/runs/{run}", accept="text/html")
    assert "paused" in paused.text
    assert (await case.house.ask("POST", f"/console/runs/{run}/resume")).status == 303
    form = {"content_type": "application/x-www-form-urlencoded"}
    forked = await case.house.ask("POST", f"/console/runs/{run}/fork", "step=2", **form)
    assert forked.status == 303
    assert run not in forked.headers["location"]
    assert (await case.house.ask("POST", f"/console/runs/{run}/fork", "step=two", **form)).status == 400
    for one in (run, forked.headers["location"].rpartition("/")[2]):
        assert (await case.house.ask("POST", f"/console/runs/{one}/cancel")).status == 303


async def test_without_the_extra_a_question_says_how_to_get_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "installed", lambda: False)
    settings = f'{SETTINGS}[journal]\ndefinitions = ["{__name__}:define"]\n'
    async with open_house(tmp_path, settings) as house:
        answer = await house.ask("GET", "/v1/runs")
        assert (answer.status, answer.json["error"]["code"]) == (503, "journal_not_installed")
        assert "pip install 'penstock[journal]'" in answer.text
        page = await house.ask("GET", "/console/runs", accept="text/html")
        assert page.status == 200
        assert "penstock[journal]" in page.text

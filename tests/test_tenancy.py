"""What belongs to one organisation is not there for another, whichever door one tries."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, House, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

REPLY = json.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "private reply"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
).encode()


SAID = {"model": "m", "messages": [{"role": "user", "content": "private prompt"}], "metadata": {"task": "hushed"}}
ASKING = {"x_penstock_task": "hushed-task", "x_penstock_cache": "on"}


class Case:
    """A house in which the home organisation has made a call, and the ids of everything that it owns."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.ids: dict[str, str] = {}
        self.them = ""
        self.caller = ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def case(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Case]:
    async def provider(peer: Conversation) -> None:
        while True:
            await peer.request()
            await peer.json(REPLY)

    folder: Path = tmp_path_factory.mktemp("house")
    async with serving(provider) as upstream:
        settings = (
            f'{SETTINGS}[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["m"]\n'
            '[finops.prices."up/m"]\ninput = 1\noutput = 2\n'
        )
        async with open_house(folder, settings) as house:
            case = Case(house)
            case.them, _ = await house.outsider()
            case.ids["team"] = (await house.made("/v1/teams", {"name": "Hushed team"}))["id"]
            case.ids["project"] = (await house.made("/v1/projects", {"name": "Hushed project", "team": case.ids["team"]}))["id"]
            case.ids["person"] = (await house.made("/v1/people", {"name": "Hushed person"}))["id"]
            case.caller, case.ids["key"] = await house.key(name="Hushed key", project=case.ids["project"], scopes=["call", "read"])
            budget = {"name": "Hushed budget", "limit": 1_000_000, "subject_kind": "model", "subject": "m"}
            case.ids["budget"] = (await house.made("/v1/budgets", budget))["budget"]["id"]
            answer = await house.ask("POST", "/v1/chat/completions", SAID, key=case.caller, **ASKING)
            assert answer.status == 200, answer.text
            case.ids["call"] = answer.headers["x-request-id"]
            case.ids["organisation"] = (await house.ask("GET", f"/v1/keys/{case.ids['key']}")).json["organisation"]
            form = '--XX\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
            body = form.format("purpose", "", "user_data") + form.format("file", '; filename="Hushed file"', "private content") + "--XX--"
            made = await house.ask("POST", "/v1/files", body, key=case.caller, content_type="multipart/form-data; boundary=XX")
            case.ids["file"] = made.json["id"]
            body = form.format("purpose", "", "batch") + form.format("file", '; filename="Hushed lines"', "no line") + "--XX--"
            made = await house.ask("POST", "/v1/files", body, key=case.caller, content_type="multipart/form-data; boundary=XX")
            case.ids["lines"] = made.json["id"]
            asked = {"input_file_id": case.ids["lines"], "endpoint": "/v1/chat/completions", "metadata": {"what": "Hushed batch"}}
            case.ids["batch"] = (await house.ask("POST", "/v1/batches", asked, key=case.caller)).json["id"]
            asked = {"requests": [{"custom_id": "hushed", "params": SAID}]}
            case.ids["message_batch"] = (await house.ask("POST", "/v1/messages/batches", asked, key=case.caller)).json["id"]
            made = await house.made("/v1/prompts", {"name": "Hushed.prompt", "text": "private words"})
            case.ids["prompt"] = made["prompt"]["id"]
            yield case


ONE = {
    "organisations": "organisation",
    "teams": "team",
    "projects": "project",
    "people": "person",
    "keys": "key",
    "budgets": "budget",
    "calls": "call",
    "ledger": "call",
    "files": "file",
    "batches": "batch",
    "messages/batches": "message_batch",
    "prompts": "prompt",
}


@pytest.mark.parametrize("noun", ONE)
async def test_lists_hold_only_what_is_ones_own(case: Case, noun: str) -> None:
    mine = (await case.house.ask("GET", f"/v1/{noun}")).json
    theirs = await case.house.ask("GET", f"/v1/{noun}", key=case.them)
    assert theirs.status == 200
    wanted = case.ids[ONE[noun]]
    assert wanted in json.dumps(mine)
    assert wanted not in theirs.text
    assert "ushed" not in theirs.text


@pytest.mark.parametrize("noun", ONE)
async def test_one_thing_of_another_organisation_is_not_found(case: Case, noun: str) -> None:
    path = f"/v1/{noun}/{case.ids[ONE[noun]]}"
    assert (await case.house.ask("GET", path)).status == 200
    answer = await case.house.ask("GET", path, key=case.them)
    error = answer.json["error"]
    assert (answer.status, error.get("code") or error["type"]) in ((404, "not_found"), (404, "not_found_error"))
    assert "ushed" not in answer.text


CHANGES: list[tuple[str, str, Any]] = [
    ("PATCH", "/v1/organisations/{organisation}", {"name": "Ours now"}),
    ("DELETE", "/v1/teams/{team}", None),
    ("PATCH", "/v1/teams/{team}", {"name": "Ours now"}),
    ("PATCH", "/v1/projects/{project}", {"name": "Ours now"}),
    ("DELETE", "/v1/projects/{project}", None),
    ("PATCH", "/v1/people/{person}", {"name": "Ours now"}),
    ("DELETE", "/v1/people/{person}", None),
    ("PATCH", "/v1/keys/{key}", {"name": "Ours now"}),
    ("POST", "/v1/keys/{key}/rotate", {}),
    ("POST", "/v1/keys/{key}/revoke", None),
    ("PUT", "/v1/budgets/{budget}", {"name": "Ours now", "limit": 1}),
    ("DELETE", "/v1/budgets/{budget}", None),
    ("GET", "/v1/calls/{call}/payload", None),
    ("GET", "/v1/files/{file}/content", None),
    ("DELETE", "/v1/files/{file}", None),
    ("POST", "/v1/batches", {"input_file_id": "{lines}", "endpoint": "/v1/chat/completions"}),
    ("POST", "/v1/batches/{batch}/cancel", None),
    ("GET", "/v1/batches/{batch}/results", None),
    ("GET", "/v1/batches/{message_batch}", None),
    ("POST", "/v1/messages/batches/{message_batch}/cancel", None),
    ("DELETE", "/v1/messages/batches/{message_batch}", None),
    ("GET", "/v1/messages/batches/{message_batch}/results", None),
    ("POST", "/console/batches/{batch}/cancel", None),
    ("GET", "/console/batches/{batch}", None),
    ("POST", "/v1/prompts/{prompt}/versions", {"text": "Ours now"}),
    ("GET", "/v1/prompts/{prompt}/versions/1", None),
    ("GET", "/v1/prompts/{prompt}/diff?before=1", None),
    ("PUT", "/v1/prompts/{prompt}/labels/production", {"version": "1"}),
    ("DELETE", "/v1/prompts/{prompt}/labels/production", None),
    ("POST", "/v1/prompts/{prompt}/render", {"version": "1"}),
    ("POST", "/v1/prompts/{prompt}/versions/1/revocation", {"reason": "Ours now"}),
    ("GET", "/v1/prompts/Hushed.prompt", None),
    ("GET", "/console/prompts/{prompt}", None),
    ("POST", "/v1/ledger/{call}/corrections", {"amount": 0, "reason": "because"}),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_nothing_of_another_organisation_can_be_changed(case: Case, method: str, path: str, body: Any) -> None:
    told = {k: v.format(**case.ids) if isinstance(v, str) else v for k, v in body.items()} if body is not None else None
    answer = await case.house.ask(method, path.format(**case.ids), told, key=case.them)
    assert answer.status == 404, answer.text
    for noun, kind in ONE.items():
        assert (await case.house.ask("GET", f"/v1/{noun}/{case.ids[kind]}")).status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/teams", {"name": "x", "organisation": "{organisation}"}),
        ("/v1/projects", {"name": "x", "team": "{team}"}),
        ("/v1/people", {"name": "x", "team": "{team}"}),
        ("/v1/keys", {"name": "x", "project": "{project}"}),
        ("/v1/keys", {"name": "x", "person": "{person}"}),
    ],
)
async def test_nothing_can_be_made_inside_another_organisation(case: Case, path: str, body: dict[str, str]) -> None:
    answer = await case.house.ask("POST", path, {k: v.format(**case.ids) for k, v in body.items()}, key=case.them)
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")
    budget = {"name": "x", "limit": 1, "organisation": case.ids["organisation"]}
    assert (await case.house.ask("POST", "/v1/budgets", budget, key=case.them)).status == 403
    assert (await case.house.ask("POST", "/v1/budgets", {**budget, "organisation": ""}, key=case.them)).status == 403
    assert (await case.house.ask("POST", "/v1/organisations", {"name": "Third"}, key=case.them)).status == 403


async def test_sums_count_only_ones_own(case: Case) -> None:
    for path in ("/v1/overview?group=task", "/v1/spend?group=task", "/v1/ledger", "/v1/ledger/export", "/v1/cache"):
        mine, theirs = await case.house.ask("GET", path), await case.house.ask("GET", path, key=case.them)
        assert theirs.status == 200
        assert "hushed-task" in mine.text
        assert "hushed-task" not in theirs.text
    assert (await case.house.ask("GET", "/v1/overview")).json["calls"] >= 1
    assert (await case.house.ask("GET", "/v1/overview", key=case.them)).json["calls"] == 0
    assert (await case.house.ask("GET", "/v1/ledger", key=case.them)).json["amount"] == 0


PAGES = (
    *("/console/", "/console/calls", "/console/spend", "/console/ledger", "/console/budgets", "/console/keys", "/console/organisation"),
    "/console/files",
    "/console/cache",
    "/console/prompts",
)
"""`/console/batches` names nothing but ids: see its own test."""


@pytest.mark.parametrize("page", PAGES)
async def test_pages_show_only_ones_own(case: Case, page: str) -> None:
    mine = await case.house.ask("GET", page, accept="text/html")
    theirs = await case.house.ask("GET", page, key=case.them, accept="text/html")
    assert (mine.status, theirs.status) == (200, 200)
    assert any(word in mine.text for word in ("ushed", case.ids["call"]))
    assert "ushed" not in theirs.text
    assert case.ids["call"] not in theirs.text


async def test_the_page_of_batches_shows_only_ones_own(case: Case) -> None:
    mine = await case.house.ask("GET", "/console/batches", accept="text/html")
    theirs = await case.house.ask("GET", "/console/batches", key=case.them, accept="text/html")
    for id in (case.ids["batch"], case.ids["message_batch"]):
        assert id in mine.text
        assert id not in theirs.text


async def test_a_call_page_of_another_organisation_is_not_found(case: Case) -> None:
    path = f"/console/calls/{case.ids['call']}"
    mine = await case.house.ask("GET", path, accept="text/html")
    assert "private prompt" in mine.text
    assert "private reply" in mine.text
    theirs = await case.house.ask("GET", path, key=case.them, accept="text/html")
    assert theirs.status == 404
    assert "private" not in theirs.text


async def test_measures_are_for_whoever_runs_the_installation(case: Case) -> None:
    assert (await case.house.ask("GET", "/metrics", key=case.caller)).status == 200
    assert (await case.house.ask("GET", "/metrics", key=case.them)).status == 403


async def test_a_budget_on_a_model_counts_only_its_own_organisations_calls(case: Case) -> None:
    made = await case.house.made("/v1/budgets", {"name": "theirs", "limit": 1, "subject_kind": "model", "subject": "m"}, key=case.them)
    assert made["standing"]["spent"] == 0
    said = {"model": "m", "messages": [{"role": "user", "content": "again"}]}
    assert (await case.house.ask("POST", "/v1/chat/completions", said, key=case.caller)).status == 200
    after = await case.house.ask("GET", f"/v1/budgets/{made['budget']['id']}", key=case.them)
    assert after.json["standing"]["spent"] == 0
    assert (await case.house.ask("POST", "/v1/chat/completions", said, key=case.them)).json["error"]["code"] == "insufficient_quota"


async def test_what_was_answered_for_one_is_asked_anew_for_another(case: Case) -> None:
    for budget in (await case.house.ask("GET", "/v1/budgets", key=case.them)).json["data"]:
        await case.house.ask("DELETE", f"/v1/budgets/{budget['budget']['id']}", key=case.them)
    ours = await case.house.ask("POST", "/v1/chat/completions", SAID, key=case.caller, **ASKING)
    theirs = await case.house.ask("POST", "/v1/chat/completions", SAID, key=case.them, **ASKING)
    assert (ours.headers["x-penstock-cache"], theirs.headers["x-penstock-cache"]) == ("hit", "miss")
    assert (await case.house.ask("POST", "/v1/cache/clear", {"task": "hushed-task"}, key=case.them)).json == {"entries": 1}
    ours = await case.house.ask("POST", "/v1/chat/completions", SAID, key=case.caller, **ASKING)
    assert ours.headers["x-penstock-cache"] == "hit"

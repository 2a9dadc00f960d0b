"""Tasks on the line: who serves, who stands in, and what holds whatever the evidence says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.tasks.people import INTENT, Rig, rig

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
MORE = """
[tasks.secret]
owner = "security"
candidates = ["up/a", "up/b"]
data_class = "restricted"

[tasks.own-rules]
owner = "nobody"
candidates = ["up/c"]

[gateway.models."task:old"]
targets = ["up/b"]

[gateway.models."task:own-rules"]
targets = ["up/a"]

[[cache.rules]]
tasks = ["cached"]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("house"), INTENT + MORE) as made:
        yield made


def error(answer: Any) -> tuple[int, str, str]:
    found = answer.json["error"]
    return answer.status, found["code"], found["message"]


async def test_the_default_serves_a_task(house: Rig) -> None:
    answer = await house.call("task:support.intent")
    assert answer.status == 200, answer.text
    assert house.served[-1] == "a"
    call = (await house.house.ask("GET", f"/v1/calls/{answer.headers['x-request-id']}")).json
    assert "support.intent" in str(call)


async def test_others_stand_in_when_the_default_fails_but_nobody_less_trusted(house: Rig) -> None:
    house.down = {"a"}
    before = len(house.served)
    assert (await house.call("task:support.intent")).status == 200
    assert house.served[before:] == ["a", "b"]
    house.down = {"a", "b"}
    before = len(house.served)
    assert (await house.call("task:support.intent")).status >= 500
    assert "big" not in house.served[before:], "a vendor does not stand in for an own machine"
    house.down = set()


async def test_a_plain_model_with_the_header_means_that_model_for_that_task(house: Rig) -> None:
    assert (await house.call("far/big", task="support.intent")).status == 200
    assert house.served[-1] == "big"
    assert (await house.call("up/c", task="secret")).status == 200


async def test_data_does_not_go_where_it_may_not(house: Rig) -> None:
    before = len(house.served)
    status, code, said = error(await house.call("far/big", task="secret"))
    assert (status, code) == (403, "place_not_allowed")
    assert "far/big: restricted data of the task 'secret' may go to device or own, and this is a vendor" in said
    assert len(house.served) == before


async def test_a_header_cannot_lend_a_task_the_rules_of_another(house: Rig) -> None:
    before = len(house.served)
    assert (await house.declare("vendors", candidates=["far/big"])).status == 201
    assert error(await house.call("far/big", task="secret"))[1] == "place_not_allowed"
    answer = await house.call("task:vendors", task="secret")
    assert answer.status == 200, "what the model's name says counts"
    assert house.served[before:] == ["big"]


async def test_names_of_the_old_way_stay_and_declared_tasks_come_first(house: Rig) -> None:
    assert (await house.call("task:old")).status == 200
    assert house.served[-1] == "b"
    assert (await house.call("task:own-rules")).status == 200
    assert house.served[-1] == "c"


async def test_unknown_tasks_are_refused_with_the_nearest_name(house: Rig) -> None:
    status, code, said = error(await house.call("task:support.intend"))
    assert (status, code) == (404, "model_not_found")
    assert "did you mean 'task:support.intent'" in said
    assert "POST /v1/tasks" in error(await house.call("task:zzz"))[2]


async def test_a_word_that_is_no_task_holds_a_call_to_nothing(house: Rig) -> None:
    assert (await house.call("far/big", task="just a label")).status == 200


async def test_tasks_are_listed_among_the_models(house: Rig) -> None:
    listed = [m["id"] for m in (await house.house.ask("GET", "/v1/models")).json["data"]]
    assert {"task:support.intent", "task:secret", "task:old", "up/a" if "up/a" in listed else "a"} <= set(listed)
    assert len(listed) == len(set(listed))
    assert (await house.house.ask("GET", "/v1/models/task:secret")).json["owned_by"] == "penstock"
    key, _ = await house.house.key(tasks=["support.*"])
    mine = [m["id"] for m in (await house.house.ask("GET", "/v1/models", key=key)).json["data"]]
    assert "task:support.intent" in mine
    assert "task:secret" not in mine


async def test_a_cached_reply_is_not_told_again_once_its_model_may_not_do_the_task(house: Rig) -> None:
    made = (await house.declare("cached", candidates=["far/big"])).json
    assert (await house.call("task:cached")).status == 200
    before = len(house.served)
    hit = await house.call("task:cached")
    assert (hit.headers["x-penstock-cache"], len(house.served)) == ("hit", before)
    changed = {"owner": "support", "candidates": ["up/a", "far/big"], "data_class": "confidential"}
    answer = await house.house.ask("PUT", f"/v1/tasks/cached?digest={made['digest']}", changed)
    assert answer.status == 200, answer.text
    assert (await house.call("task:cached")).headers["x-penstock-cache"] == "miss"
    assert house.served[before:] == ["a"]


async def test_a_task_that_nobody_may_do_names_each_candidate_and_why(house: Rig) -> None:
    from tests.registry.people import Rig as Registry

    registry = Registry(house.house, [], {})
    registry.second, _ = await house.house.key(name="second", scopes=["admin", "call"])
    assert (await house.declare("alone", candidates=["up/c", "far/big"])).status == 201
    assert (await house.call("task:alone")).status == 200
    id = await registry.approved("up/c")
    assert (await house.call("task:alone")).status == 200
    await registry.step(id, "revocation", {"reason": "worse"})
    status, code, said = error(await house.call("task:alone"))
    assert (status, code) == (403, "no_candidate_allowed")
    assert "up/c is revoked" in said or "up/c: is revoked" in said
    assert "far/big: no fallback: it stands at a vendor" in said


async def test_organisations_have_tasks_of_their_own_and_share_those_of_the_settings(house: Rig) -> None:
    theirs, _ = await house.house.outsider()
    call, _ = await house.house.key(by=theirs, scopes=["call"])
    assert (await house.declare("mine", candidates=["up/b"])).status == 201
    assert error(await house.call("task:mine", key=call))[1] == "model_not_found"
    assert (await house.call("task:support.intent", key=call)).status == 200
    assert (await house.declare("mine", key=theirs, candidates=["up/a"])).status == 201
    assert (await house.call("task:mine", key=call)).status == 200
    assert house.served[-1] == "a"
    assert (await house.call("task:mine")).status == 200
    assert house.served[-1] == "b"


async def test_a_provider_that_is_said_to_be_free_is_priced_at_nothing(tmp_path: Path) -> None:
    text = '[tasks.t]\nowner = "a"\ncandidates = ["gratis/m"]\n'
    async with rig(tmp_path, text, places={"gratis": ("own", "")}, more_of={"gratis": "free = true"}) as free:
        (one,) = (await free.house.ask("GET", "/v1/tasks/t/candidates")).json["data"]
        assert (one["input_price"], one["traits"]["priced"], one["traits"]["place"]) == (0, True, "own")


async def test_an_open_circuit_sends_nothing_to_whom_is_less_trusted(tmp_path: Path) -> None:
    async with rig(tmp_path, INTENT) as troubled:
        troubled.down = {"a", "b"}
        answers = [await troubled.call("task:support.intent") for _ in range(12)]
        assert min(answer.status for answer in answers) >= 500
        assert "big" not in troubled.served
        assert len(troubled.served) < 24, "the circuits did open"

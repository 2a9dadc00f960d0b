"""Every route of the tasks answers what the document says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.edge.contract import Contract
from tests.tasks.people import rig

OWN = ("/v1/tasks", "/v1/tasks-audit", "/v1/tasks/{name}", "/v1/tasks/{name}/candidates", "/v1/tasks/{name}/check")
"""Other rooms have routes below a task, and tests of their own."""
pytestmark = pytest.mark.timeout(60)


async def test_the_document_is_true(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        contract = await Contract.of(house.house)

        async def ask(method: str, path: str, body: Any = None, *, status: int = 200, key: str | None = None) -> Any:
            answer = await house.house.ask(method, path, body, key=key)
            contract.check(method, path, body, answer)
            assert answer.status == status, answer.text
            return answer.json

        new = {"name": "triage", "owner": "support", "candidates": ["up/a"], "judge": {"kind": "exact"}, "sample": 0.1}
        made = await ask("POST", "/v1/tasks", new, status=201)
        assert (made["shared"], made["declaration"]["sample"]) == (False, 0.1)
        assert (await ask("POST", "/v1/tasks", new, status=409))["error"]["param"] == "name"
        wrong = await ask("POST", "/v1/tasks", {**new, "name": "x", "candidates": ["up/a", "upp/b"]}, status=400)
        assert (wrong["error"]["code"], wrong["error"]["param"]) == ("task_invalid", "candidates[1]")
        assert "name it as provider/model" in wrong["error"]["message"]
        assert [task["name"] for task in (await ask("GET", "/v1/tasks"))["data"]] == ["support.intent", "triage"]
        assert await ask("GET", "/v1/tasks/triage") == made
        assert (await ask("GET", "/v1/tasks/support.intent"))["shared"]
        await ask("GET", "/v1/tasks/nobody", status=404)

        del new["name"]
        path = f"/v1/tasks/triage?digest={made['digest']}"
        changed = await ask("PUT", path, {**new, "sample": 0.2})
        assert changed["digest"] != made["digest"]
        late = await ask("PUT", path, {**new, "sample": 0.3}, status=409)
        assert (late["error"]["code"], changed["digest"] in late["error"]["message"]) == ("task_changed", True)
        await ask("DELETE", path, status=409)
        for method, body in (("PUT", new), ("DELETE", None)):
            shared = await ask(method, "/v1/tasks/support.intent?digest=x", body, status=409)
            assert shared["error"]["code"] == "task_in_settings"
            await ask(method, "/v1/tasks/nobody?digest=x", body, status=404)
        taken = await ask("POST", "/v1/tasks", {**new, "name": "support.intent"}, status=409)
        assert taken["error"]["code"] == "task_in_settings"
        assert (await ask("GET", "/v1/tasks/triage/check"))["ready"] is False
        (one,) = (await ask("GET", "/v1/tasks/triage/candidates"))["data"]
        assert (one["name"], one["default"], one["allowed"], one["traits"]["place"]) == ("up/a", True, True, "device")
        await ask("DELETE", f"/v1/tasks/triage?digest={changed['digest']}", status=204)
        await ask("GET", "/v1/tasks/triage", status=404)

        trail = await ask("GET", "/v1/tasks-audit?task=triage")
        assert [line["action"] for line in trail["data"]] == ["created", "replaced", "deleted"]
        assert trail["data"][1]["changes"] == {"sample": [0.1, 0.2]}
        assert trail["broken_at"] is None
        mine = {o["operationId"] for _, path, o in contract.operations() if path in OWN}
        assert mine - contract.succeeded == set()


async def test_what_is_not_json_of_this_shape_is_refused(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        cases: tuple[tuple[dict[str, Any], str | None], ...] = (
            ({"name": "x", "owner": "a", "candidats": []}, None),
            ({"name": "x", "owner": "a", "floor": {"level": 1.5}}, "floor.level"),
            ({"name": "x", "owner": "a", "data_class": "secret"}, "data_class"),
        )
        for body, param in cases:
            answer = await house.house.ask("POST", "/v1/tasks", body)
            assert (answer.status, answer.json["error"]["param"]) == (400, param), answer.text


async def test_organisations_see_and_change_their_own(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        theirs, organisation = await house.house.outsider()
        reader, _ = await house.house.key(by=theirs, scopes=["read"])
        mine = (await house.declare("secret")).json
        assert (await house.house.ask("GET", "/v1/tasks/secret", key=theirs)).status == 404
        assert (await house.house.ask("DELETE", f"/v1/tasks/secret?digest={mine['digest']}", key=theirs)).status == 404
        assert (await house.house.ask("GET", f"/v1/tasks/secret?organisation={mine['organisation']}", key=theirs)).status == 403
        assert (await house.declare("theirs", key=reader)).status == 403
        assert (await house.declare("theirs", key=theirs)).status == 201
        listed = [task["name"] for task in (await house.house.ask("GET", "/v1/tasks", key=reader)).json["data"]]
        assert listed == ["support.intent", "theirs"]
        everything = [task["name"] for task in (await house.house.ask("GET", "/v1/tasks")).json["data"]]
        assert everything == ["secret", "support.intent", "theirs"], "whoever runs the installation sees all"
        seen = await house.house.ask("GET", f"/v1/tasks/theirs?organisation={organisation}")
        assert (seen.status, seen.json["organisation"]) == (200, organisation)
        assert (await house.house.ask("GET", "/v1/tasks-audit", key=theirs)).json["data"][0]["task"] == "theirs"

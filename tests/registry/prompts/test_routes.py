"""Every route of prompts answers what the document says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.edge.contract import Contract
from tests.registry.people import rig


@pytest.mark.timeout(60)
async def test_the_document_is_true(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        contract = await Contract.of(house.house)

        async def ask(method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
            answer = await house.house.ask(method, f"/v1/prompts{path}", body)
            contract.check(method, f"/v1/prompts{path}", body, answer)
            assert answer.status == status, answer.text
            return answer.json

        messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "{{q}} in {{n}}"}]
        variables = {"q": {"enum": ["a", "b"]}, "n": {"type": "integer", "default": 3}}
        new = {"name": "p", "description": "d", "messages": messages, "variables": variables, "note": "first"}
        prompt = (await ask("POST", "", new, status=201))["prompt"]["id"]
        await ask("POST", "", new, status=409)
        await ask("POST", f"/{prompt}/versions", {"text": "{{q}}!", "variables": {"q": {}}}, status=201)
        assert (await ask("GET", "/p/versions/2"))["kind"] == "text"
        diff = await ask("GET", "/p/diff?before=1&after=2")
        assert [one["change"] for one in diff["variables"]] == ["removed", "changed"]
        assert "+{{q}}!" in diff["text"]
        await ask("PUT", "/p/labels/production", {"version": "1", "reason": "good"})
        rendered = await ask("POST", "/p/render", {"variables": {"q": "a"}})
        assert rendered["messages"][1]["content"] == "a in 3"
        assert (await ask("POST", "/p/render", {"version": "2", "variables": {"q": "x"}}))["version"] == 2
        await ask("POST", "/p/render", {"variables": {"q": "c"}}, status=400)
        await ask("POST", "/p/versions/2/revocation", {"reason": "bad"})
        await ask("DELETE", "/p/labels/production")
        assert [one["number"] for one in (await ask("GET", "/p"))["versions"]] == [2, 1]
        assert len((await ask("GET", "?limit=1"))["data"]) == 1
        await ask("GET", "/nobody", status=404)
        mine = {o["operationId"] for _, path, o in contract.operations() if path.startswith("/v1/prompts")}
        assert mine - contract.succeeded == set()

"""Names that no PostgreSQL holds are the fault of who sends them, and told as such: not as a database that is away, to be asked again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.house import open_house

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]

HUGE = "9" * 30


async def test_what_no_database_holds_is_refused_or_not_found(postgres: str, tmp_path: Path) -> None:
    async with open_house(tmp_path, "[gateway]\ndiscover = false\nlocal_embeddings = false\n", database=postgres) as house:
        conversation = (await house.ask("POST", "/v1/conversations", {"items": [{"role": "user", "content": "x"}]})).json["id"]
        items = f"/v1/conversations/{conversation}/items"
        refused = [
            ("GET", "/v1/runs/%00", None, 404),
            ("GET", "/v1/agents/threads/%00", None, 404),
            ("GET", "/v1/agents/threads?agent=%00", None, 400),
            ("GET", f"/v1/agents/threads/one?before={HUGE}", None, 400),
            ("GET", "/v1/agents/memory/%00", None, 404),
            ("DELETE", "/v1/agents/memory/%00", None, 404),
            ("GET", "/v1/agents/memory?owner=%00&scope=agent", None, 400),
            ("POST", "/v1/agents/memory", {"text": "a", "scope": "agent", "owner": "de\0sk"}, 400),
            ("GET", f"{items}/%00", None, 404),
            ("GET", f"{items}?after=%00", None, 404),
            ("DELETE", f"{items}/%00", None, 404),
            ("GET", "/v1/responses/resp_ps%00", None, 404),
            ("POST", "/v1/responses", {"model": "m\0", "input": "x", "background": True}, 404),
        ]
        for method, path, body, status in refused:
            answer = await house.ask(method, path, body)
            assert (answer.status, bool(answer.json["error"]["code"])) == (status, True), (method, path, answer.text)
        for path in ("/v1/runs?label=a.b%22%5B=c", "/v1/runs?label=%3D", "/v1/runs?name=%00", "/v1/runs?label=a%7B,b=c"):
            answer = await house.ask("GET", path)
            assert (answer.status, answer.json.get("data")) == (200, []), (path, answer.text)
        given = [{"id": "a\0b", "role": "user", "content": "x"}, {"id": "a" * 1000, "role": "user", "content": "y"}]
        added = await house.ask("POST", items, {"items": given})
        assert added.status == 200, added.text
        assert all(one["id"].startswith("item_") for one in added.json["data"])

"""A call in two halves: up to where it would be sent, and from where its reply is there."""

from __future__ import annotations

import json
from pathlib import Path

from tests.batches.house import line, reply
from tests.batches.test_delegating import delegating, rows

from penstock.kernel.delegation import Holding, Returned
from penstock.kernel.ports import Holders, ModelAsk, ModelClient


async def test_a_call_that_is_handed_over_is_charged_and_recorded_once_when_its_reply_is_there(tmp_path: Path) -> None:
    async with delegating(tmp_path) as (house, vendor):
        client, key = house.app.ports.get(ModelClient), (await house.ask("GET", "/v1/keys")).json["data"][0]["id"]
        principal = house.app.ports.get(Holders).holder_of(key)
        body = json.dumps(line("x")["body"]).encode()
        ask = ModelAsk(path="/v1/chat/completions", body=body, principal=principal, to=frozenset({"openai"}))
        answer = await client.call(ask)
        handed = answer.handed
        assert handed is not None
        assert json.loads(handed.body)["model"] == "m"
        assert handed.most > 1300
        assert not await rows(house)
        assert not (await house.ask("GET", "/v1/calls")).json["data"]
        for _ in range(2):
            settled = await client.settle(ask, handed, Returned(200, reply("x")))
            assert (settled.status, settled.cost, settled.full) == (200, 650, 1300)
        (row,) = await rows(house)
        assert (row["id"], row["amount"], row["prices"]["input"]) == (handed.call, 650, 50_000_000)
        refused = (await client.call(ask)).handed
        assert refused is not None
        told = await client.settle(ask, refused, Returned(400, b'{"error": {"message": "no"}}'))
        assert (told.status, told.cost) == (400, 0)
        house.app.ports.get(Holding).drop(refused.call)
        assert not vendor.requests

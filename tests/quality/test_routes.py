"""Every route of quality, held against the OpenAPI document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.batches.house import uploaded
from tests.edge.contract import Contract
from tests.quality.house import ended, item, quality_house
from tests.quality.test_inspect_logs import made, written
from tests.quality.test_judges import RUBRIC, graded, scripted

pytestmark = pytest.mark.timeout(90)

MINE = ("/v1/datasets", "/v1/evaluations", "/v1/feedback", "/v1/samples", "/v1/judges")


async def test_every_route_answers_what_the_document_says(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        scripted(provider, graded)
        contract = await Contract.of(house)

        async def done(method: str, path: str, body: object = None) -> Any:
            answer = await house.ask(method, path, body)
            contract.check(method, path, body, answer)
            assert answer.status < 300, answer.text
            return answer.json

        items = [item(f"q{n}", f"q{n} ?", groups={"team": "x"}) for n in range(4)]
        dataset = await done("POST", "/v1/datasets", {"name": "set", "items": items, "provenance": {"by": "ada"}})
        await done("GET", "/v1/datasets?limit=3")
        await done("GET", f"/v1/datasets/{dataset['id']}")
        await done("GET", f"/v1/datasets/{dataset['id']}/items?limit=2")
        wanted = {"dataset": "set", "candidates": ["up/m", "up/s"], "judge": RUBRIC, "by": ["language"], "cap": 1_000_000}
        floors = {"floor": {"level": 0.9}, "reference": "up/m", "slices": [{"by": "team", "level": 0.8, "least": 2}]}
        id = (await done("POST", "/v1/evaluations", {**wanted, **floors, "params": {"max_tokens": 9}}))["id"]
        await ended(house, id)
        await done("GET", f"/v1/evaluations/{id}")
        await done("GET", "/v1/evaluations?limit=3")
        await done("GET", f"/v1/evaluations/{id}/answers?limit=2&state=judged")
        answer = await house.ask("GET", f"/v1/evaluations/{id}/inspect?candidate=up/m&format=json")
        contract.check("GET", f"/v1/evaluations/{id}/inspect?candidate=up/m&format=json", None, answer)
        await done("POST", "/v1/feedback", {"evaluation": id, "item": "q0", "candidate": "up/m", "score": 1, "comment": "so"})
        await done("GET", "/v1/feedback?limit=3")
        await done("GET", "/v1/samples?limit=3")
        await done("POST", "/v1/judges", {"evaluation": id})
        await done("GET", "/v1/judges")
        file = await uploaded(house, made(written()))
        await done("POST", "/v1/evaluations/import", {"files": [file], "name": "theirs"})
        provider.held.clear()
        other = (await done("POST", "/v1/evaluations", {**wanted, "fresh": True}))["id"]
        await done("POST", f"/v1/evaluations/{other}/cancel")
        provider.held.set()
        await ended(house, other)
        await done("DELETE", f"/v1/evaluations/{other}")
        await done("DELETE", f"/v1/datasets/{dataset['id']}")
        mine = {o["operationId"] for _, path, o in contract.operations() if path.startswith(MINE)}
        assert mine - contract.succeeded == set()

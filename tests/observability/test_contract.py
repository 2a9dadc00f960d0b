"""Every route about spans, measures, views and who opened prompts answers what the document of the API says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.edge.contract import Contract
from tests.observability.traces.rig import BAD, GOOD, trace_house

pytestmark = pytest.mark.timeout(60)

SPAN = f"/v1/traces/{GOOD}/spans/{3:016x}"
OWN = (
    *("/v1/traces", "/v1/traces/export", "/v1/traces/{trace}", "/v1/traces/{trace}/diff/{other}", "/v1/threads", "/v1/threads/{session}"),
    *(f"/v1/traces/{{trace}}/spans/{{span}}{more}" for more in ("", "/payload", "/replay", "/similar")),
    *("/v1/traces/{trace}/annotations", "/v1/traces/{trace}/annotations/{id}", "/v1/views", "/v1/views/{id}"),
    *("/v1/measures", "/v1/measures/readings", "/v1/measures/compare", "/v1/measures/{name}/examples", "/v1/marks"),
    *("/v1/payloads/access", "/v1/people/{person}/records"),
)
"""Routes that are held against the document here."""


async def test_the_document_is_true(tmp_path: Path) -> None:
    async with trace_house(tmp_path) as rig:
        house = rig.house
        contract = await Contract.of(house)

        async def ask(method: str, path: str, body: Any = None, *, status: int = 200, key: str | None = None) -> Any:
            answer = await house.ask(method, path, body, key=key)
            contract.check(method, path, body, answer)
            assert answer.status == status, answer.text
            return answer.json

        for path in ("", "?text=kettle&kind=call", f"/{GOOD}", f"/{GOOD}/diff/{BAD}", "/export?format=csv"):
            await ask("GET", f"/v1/traces{path}")
        for path in ("", "/payload", "/replay", "/similar"):
            await ask("GET", SPAN + path)
            await ask("GET", SPAN + path, status=404, key=rig.outsider)
        await ask("GET", "/v1/traces?min_ms=long", status=400)
        await ask("GET", "/v1/threads")
        await ask("GET", "/v1/threads/chat-1")
        await ask("GET", "/v1/threads/nobody", status=404)

        said = {"span": f"{3:016x}", "label": "wrong", "score": 0.2, "comment": "it left on Monday"}
        note = await ask("POST", f"/v1/traces/{GOOD}/annotations", said, status=201)
        await ask("POST", f"/v1/traces/{GOOD}/annotations", {"score": 2}, status=400)
        await ask("GET", f"/v1/traces/{GOOD}/annotations")
        await ask("DELETE", f"/v1/traces/{GOOD}/annotations/{note['id']}", status=204)
        await ask("DELETE", f"/v1/traces/{GOOD}/annotations/{note['id']}", status=404)

        view = await ask("POST", "/v1/views", {"name": "Slow", "path": "/console/traces", "query": "min_ms=500"}, status=201)
        await ask("GET", "/v1/views")
        await ask("DELETE", f"/v1/views/{view['id']}", status=204)
        await ask("POST", "/v1/views", {"name": "", "path": "/elsewhere"}, status=400)

        now = int(time.time())
        period = f"since={now - 7200}&until={now}"
        await ask("GET", "/v1/measures")
        await ask("GET", f"/v1/measures/readings?names=calls,error_rate,latency_p95_ms&by=model&{period}")
        await ask("GET", f"/v1/measures/readings?names=nothing&{period}", status=404)
        await ask("GET", f"/v1/measures/compare?what=model&a=m-1&b=m-2&{period}")
        await ask("GET", f"/v1/measures/error_rate/examples?{period}")
        await ask("GET", f"/v1/marks?{period}")
        for path in ("/v1/marks?", "/v1/measures/readings?names=calls,latency_p95_ms&whole=true&", "/v1/measures/calls/examples?"):
            await ask("GET", f"{path}since=0&until=253402300799")
            await ask("GET", f"{path}since=0&until=1e300", status=400)

        assert (await ask("GET", "/v1/payloads/access"))["data"]
        reader, _ = await house.key(scopes=["read"])
        await ask("GET", "/v1/payloads/access", status=403, key=reader)
        await ask("DELETE", "/v1/people/ann/records")
        await ask("DELETE", "/v1/people/ann/records", status=403, key=reader)
        own = {
            one["operationId"] for method, path, one in contract.operations() if path in OWN and (method, path) != ("POST", "/v1/traces")
        }
        assert own - contract.succeeded == set()

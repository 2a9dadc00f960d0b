"""Every route about alerts and webhooks answers what the document of the API says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.alerts.rig import alarmed, receiving
from tests.alerts.series import NOW, steps
from tests.edge.contract import Contract

from penstock.kernel.measures import Example

pytestmark = pytest.mark.timeout(60)


async def test_the_document_is_true(tmp_path: Path) -> None:
    async with receiving() as receiver, alarmed(tmp_path, f'[alerts.routes.ops]\nkind = "webhook"\nurl = "{receiver.url}"\n') as one:
        one.at(NOW)
        receiver.answer = lambda: 500
        contract = await Contract.of(one.house)

        async def ask(method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
            answer = await one.house.ask(method, path, body)
            contract.check(method, path, body, answer)
            assert answer.status == status, answer.text
            return answer.json

        terms = {"measure": "toy_error_rate", "objective": {"target": 0.999}, "by": "task", "where": {"model": ["m"]}, "note": "look"}
        one.source.shown = [Example(id="call_1", href="/console/calls/call_1", at=NOW, value=1.0)]
        one.source.put("toy_error_rate", steps([0.0] * 850 + [0.5] * 14, step=300, count=100, group="m"))
        made = await ask("POST", "/v1/alerts/rules", {"name": "slo", "terms": terms}, status=201)
        rule = f"/v1/alerts/rules/{made['rule']['id']}"
        tried = await ask("POST", "/v1/alerts/rules/try", {"terms": terms})
        assert tried["verdicts"]["m"]["state"] == "bad"
        await ask("POST", "/v1/alerts/rules", {"name": "slo", "terms": terms}, status=409)
        await ask("PUT", rule, {"name": "slo", "terms": {**terms, "severity": "page"}})
        await ask("GET", rule)
        await ask("GET", "/v1/alerts/rules")
        await one.life.watching.lead()
        await one.life.watching.look()
        one.at(NOW + 2 * 86_400)  # so late that the first failure is the last
        await one.life.watching.deliver()
        (alert,) = (await ask("GET", "/v1/alerts?state=open&since=0"))["data"]
        await ask("GET", f"/v1/alerts/{alert['id']}")
        await ask("POST", f"/v1/alerts/{alert['id']}", {"what": "acknowledge"})
        (failed,) = (await ask("GET", "/v1/alerts/deliveries?state=failed"))["data"]
        await ask("POST", f"/v1/alerts/deliveries/{failed['id']}/again", status=204)
        await ask("GET", "/v1/alerts/routes")
        body = {"match": {"rule": "slo"}, "until": NOW + 3 * 86_400, "why": "we know"}
        silence = await ask("POST", "/v1/alerts/silences", body, status=201)
        await ask("GET", "/v1/alerts/silences")
        await ask("DELETE", f"/v1/alerts/silences/{silence['id']}", status=204)
        await ask("DELETE", rule, status=204)
        await ask("GET", rule, status=404)

        made = await ask("POST", "/v1/webhooks", {"url": receiver.url, "events": ["penstock.*"]}, status=201)
        hook = f"/v1/webhooks/{made['webhook']['id']}"
        await ask("GET", "/v1/webhooks")
        await ask("GET", hook)
        await ask("PATCH", hook, {"events": ["penstock.alert.*"]})
        await ask("POST", f"{hook}/test", status=202)
        await ask("POST", f"{hook}/rotate")
        await ask("DELETE", hook, status=204)
        mine = {o["operationId"] for _, path, o in contract.operations() if path.startswith(("/v1/alerts", "/v1/webhooks"))}
        assert mine - contract.succeeded == set()

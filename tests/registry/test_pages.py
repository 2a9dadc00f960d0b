"""The pages show how versions stand, and their buttons do what the API does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.registry.people import rig


@pytest.mark.timeout(60)
async def test_the_pages(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        empty = await house.house.ask("GET", "/console/models")
        assert (empty.status, "No version here" in empty.text) == (200, True)
        id = await house.version("v/<b>x", licence="MIT <script>")
        await house.step(id, "evaluations", {"metric": "exact", "value": 0.9, "low": 0.8, "high": 0.95, "examples": 50})
        listed = (await house.house.ask("GET", "/console/models?state=evaluated")).text
        assert "evaluated" in listed
        assert "v/&lt;b&gt;x" in listed
        assert id not in (await house.house.ask("GET", "/console/models?state=revoked")).text
        assert (await house.house.ask("GET", "/console/models?state=odd")).status == 400
        page = (await house.house.ask("GET", f"/console/models/{id}")).text
        assert "0.8 to 0.95" in page
        assert "MIT &lt;script&gt;" in page
        form = "coverage=task&name=triage&reason=good"
        kind = {"content_type": "application/x-www-form-urlencoded"}
        own = await house.house.ask("POST", f"/console/models/{id}/approve", form, **kind)
        assert (own.status, "another person must" in own.text) == (403, True)
        done = await house.house.ask("POST", f"/console/models/{id}/approve", form, key=house.second, **kind)
        assert done.status == 303
        assert "Approved for task triage" in (await house.house.ask("GET", f"/console/models/{id}")).text
        assert (await house.house.ask("POST", f"/console/models/{id}/approve", "coverage=x", **kind)).status == 400
        gone = await house.house.ask("POST", f"/console/models/{id}/revoke", "reason=worse", **kind)
        assert gone.status == 303
        after = (await house.house.ask("GET", f"/console/models/{id}")).text
        assert "worse" in after
        assert 'name="coverage"' not in after

"""The pages show what versions say and what changed, and their form moves a label."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.registry.people import rig


@pytest.mark.timeout(60)
async def test_the_pages(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        ask = house.house.ask
        assert "No prompt here" in (await ask("GET", "/console/prompts")).text
        new = {"name": "p", "text": "Say <b>{{x}}", "variables": {"x": {"enum": ["<i>"], "description": "what"}}}
        id = (await house.house.made("/v1/prompts", new))["prompt"]["id"]
        first = (await ask("GET", "/console/prompts/p")).text
        assert "Say &lt;b&gt;{{x}}" in first
        assert "What changed" not in first
        await house.house.made("/v1/prompts/p/versions", {"text": "Say more", "note": "longer"})
        page = (await ask("GET", f"/console/prompts/{id}")).text
        assert "-Say &lt;b&gt;{{x}}" in page
        assert "+Say more" in page
        assert "<strong>x</strong> removed" in page
        kind = {"content_type": "application/x-www-form-urlencoded"}
        form = "label=production&version=2&reason=good"
        assert (await ask("POST", f"/console/prompts/{id}/label", form, **kind)).status == 303
        assert "version 2" in (await ask("GET", "/console/prompts")).text
        assert "good" in (await ask("GET", "/console/prompts/p?version=production")).text
        assert (await ask("POST", f"/console/prompts/{id}/label", "label=X&version=2", **kind)).status == 400
        assert (await ask("GET", "/console/prompts/p?version=9")).status == 404
        reader, _ = await house.house.key(name="reader", scopes=["read"])
        assert "Move a label" not in (await ask("GET", "/console/prompts/p", key=reader)).text
        assert (await ask("POST", "/console/prompts/p/label", form, key=reader, **kind)).status == 403

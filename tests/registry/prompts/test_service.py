"""Versions never change, labels move with a line on the trail, and production moves by a second person where approvals are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.registry.people import Rig, rig

pytestmark = pytest.mark.timeout(60)


async def made(house: Rig, name: str = "p", **more: object) -> None:
    await house.house.made("/v1/prompts", {"name": name, "text": "one", **more})


async def move(house: Rig, label: str, version: str, *, key: str | None = None) -> tuple[int, str]:
    answer = await house.house.ask("PUT", f"/v1/prompts/p/labels/{label}", {"version": version, "reason": "because"}, key=key)
    return answer.status, answer.json["error"]["code"] if answer.status != 200 else ""


async def test_versions_and_labels(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        ask = house.house.ask
        await made(house)
        assert (await ask("POST", "/v1/prompts", {"name": "p", "text": "x"})).status == 409
        two = await house.house.made("/v1/prompts/p/versions", {"text": "two", "note": "shorter"})
        assert (two["number"], two["note"]) == (2, "shorter")
        again = await house.house.made("/v1/prompts/p/versions", {"text": "two"})
        assert again["id"] == two["id"], "what says the same is the same version"
        assert (await ask("GET", "/v1/prompts/p")).json["prompt"]["newest"] == 2
        assert await move(house, "production", "1") == (200, "")
        assert await move(house, "staging", "latest") == (200, "")
        assert await move(house, "production", "staging") == (200, "")
        one = (await ask("GET", "/v1/prompts/p")).json
        assert one["prompt"]["labels"] == {"production": 2, "staging": 2}
        assert (await ask("GET", "/v1/prompts/p/versions/staging")).json["number"] == 2
        assert (await ask("DELETE", "/v1/prompts/p/labels/staging")).json["labels"] == {"production": 2}
        assert (await ask("DELETE", "/v1/prompts/p/labels/staging")).status == 404
        trail = (await ask("GET", f"/v1/registry/audit?model={one['prompt']['id']}")).json
        assert [(line["action"], line["before"], line["after"]) for line in trail["data"]] == [
            ("prompt made", "", "1"),
            ("version made", "1", "2"),
            ("label production moved", "", "1"),
            ("label staging moved", "", "2"),
            ("label production moved", "1", "2"),
            ("label staging taken away", "2", ""),
        ]
        assert trail["broken_at"] is None


@pytest.mark.parametrize("label", ["latest", "7", "Production", "a b", "-x"])
async def test_what_is_no_label(tmp_path: Path, label: str) -> None:
    async with rig(tmp_path) as house:
        await made(house)
        assert await move(house, label, "1") == (400, "invalid_request")


async def test_production_is_moved_by_a_second_person_where_models_are_approved(tmp_path: Path) -> None:
    async with rig(tmp_path, 'default = "approved"\n') as house:
        await made(house)
        assert await move(house, "staging", "1") == (200, "")
        assert await move(house, "production", "1") == (403, "same_person")
        assert await move(house, "production", "1", key=house.second) == (200, "")


async def test_a_revoked_version_is_revoked_once_and_for_good(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        await made(house)
        path = "/v1/prompts/p/versions/1/revocation"
        assert (await house.house.ask("POST", path, {"reason": "bad"})).json["state"] == "revoked"
        assert (await house.house.ask("POST", path, {"reason": "bad"})).json["error"]["code"] == "version_revoked"
        assert await move(house, "production", "1") == (409, "version_revoked")
        again = await house.house.made("/v1/prompts/p/versions", {"text": "one"})
        assert again["number"] == 2, "a revoked version does not stand for a new one"


@pytest.mark.parametrize(
    "body",
    [
        {"name": "pmpt_x", "text": "x"},
        {"name": "prm_x", "text": "x"},
        {"name": "a b", "text": "x"},
        {"name": "x"},
        {"name": "x", "text": "x", "messages": [{"role": "user", "content": "x"}]},
        {"name": "x", "text": "{{a}}"},
        {"name": "x", "text": "{{a}}", "variables": {"a": {"type": "date"}}},
        {"name": "x", "text": "{{a}}", "variables": {"a": {"typ": "string"}}},
        {"name": "x", "messages": [{"role": "tool", "content": "x"}]},
    ],
)
async def test_what_is_no_prompt_is_not_made(tmp_path: Path, body: object) -> None:
    async with rig(tmp_path) as house:
        assert (await house.house.ask("POST", "/v1/prompts", body)).status == 400
        assert (await house.house.ask("GET", "/v1/prompts")).json["data"] == []

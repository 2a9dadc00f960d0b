"""What is registered here goes out as MLflow's folder and comes back the same, by the commands."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.registry.people import Rig, rig
from typer.testing import CliRunner, Result

from penstock.registry.commands import app
from penstock.registry.mlflow.folder import read_folder


async def command(house: Rig, *words: str) -> Result:
    env = {"PENSTOCK_KEY": house.house.admin, "PENSTOCK_URL": house.house.url}
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, list(words), env=env))


async def prompts(house: Rig) -> dict[str, Any]:
    one = (await house.house.ask("GET", "/v1/prompts/p")).json
    return {
        "labels": one["prompt"]["labels"],
        "versions": [(v["number"], v["kind"], v["messages"], v["variables"], v["digest"]) for v in one["versions"]],
    }


@pytest.mark.timeout(60)
async def test_there_and_back_again(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    out = tmp_path / "out"
    async with rig(tmp_path / "one") as house:
        await house.approved("up/a")
        revoked = await house.version("up/b", licence="mit")
        await house.step(revoked, "revocation", {"reason": "bad"})
        messages = [{"role": "system", "content": "S {{n}}"}, {"role": "user", "content": "{{q}} \\{{x}}"}]
        variables = {"q": {"enum": ["é", "b"], "description": "d"}, "n": {"type": "integer", "default": 3}}
        await house.house.made("/v1/prompts", {"name": "p", "text": "one"})
        await house.house.made("/v1/prompts/p/versions", {"messages": messages, "variables": variables})
        for label, version in (("staging", "2"), ("dotted.label", "1")):
            await house.house.ask("PUT", f"/v1/prompts/p/labels/{label}", {"version": version})
        before = await prompts(house)
        done = await command(house, "export", "mlflow", "--to", str(out))
        assert (done.exit_code, "3 models and prompts" in done.output) == (0, True), done.output
        assert (await command(house, "export", "mlflow", "--to", str(out))).exit_code == 1
    by_state = {model.versions[-1].tags["penstock.state"]: model for model in read_folder(out) if not model.is_prompt}
    assert set(by_state) == {"approved", "revoked"}
    assert all(model.versions[-1].stage == "" for model in by_state.values()), "an approval here is no stage there"
    async with rig(tmp_path / "two") as house:
        done = await command(house, "import", "mlflow", "--from", str(out))
        assert done.exit_code == 0, done.output
        after = await prompts(house)
        assert after["versions"] == before["versions"], "digests and all"
        assert after["labels"] == {"staging": 2}
        found = (await house.house.ask("GET", "/v1/registry/models")).json["data"]
        states = [(await house.house.ask("GET", f"/v1/registry/models/{one['id']}")).json["versions"][0] for one in found]
        assert [one["state"] for one in states] == ["draft", "draft"]
        assert {one["facts"]["notes"]["tag.penstock.state"] for one in states} == {"approved", "revoked"}
        again = await command(house, "import", "mlflow", "--from", str(out))
        assert (again.exit_code, "adopted" in again.output.replace("not adopted", "")) == (0, False), again.output
    async with rig(tmp_path / "three") as house:
        nothing = await command(house, "import", "mlflow", "--from", str(tmp_path / "three"))
        assert nothing.exit_code == 1

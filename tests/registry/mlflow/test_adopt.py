"""What MLflow holds arrives as drafts with their origin noted; nothing that it says approves anything."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.registry.people import Rig, rig, weights

from penstock.kernel.errors import RequestError
from penstock.registry.mlflow.adopt import Adoption, Told, content_of, local
from penstock.registry.mlflow.shape import IS_PROMPT, PROMPT_TEXT, PROMPT_TYPE, ModelVersion, RegisteredModel
from penstock.remote import Remote

pytestmark = pytest.mark.timeout(60)
CHAT = json.dumps([{"role": "system", "content": "S"}, {"role": "user", "content": "{{ q }}"}])
PROMPT = RegisteredModel(
    name="greet",
    tags={IS_PROMPT: "true"},
    aliases={"production": 3, "Team": 1, "old": 2},
    versions=(
        ModelVersion(number=1, description="first", tags={PROMPT_TEXT: "Hello {{name}}", PROMPT_TYPE: "text"}),
        ModelVersion(number=2, tags={PROMPT_TEXT: "Hello {{ user.name }}"}),
        ModelVersion(number=3, tags={PROMPT_TEXT: CHAT, PROMPT_TYPE: "chat"}),
    ),
)


async def adopt(house: Rig, *models: RegisteredModel, into: Path | None = None) -> list[Told]:
    remote = Remote(house.house.url, house.house.admin)
    return await asyncio.to_thread(lambda: list(Adoption(remote, "mlflow test", into).adopt(models)))


async def test_a_production_version_arrives_as_a_draft(tmp_path: Path) -> None:
    made = weights(tmp_path / "artifacts" / "1")
    store = tmp_path / "weights"
    (made / "MLmodel").write_text(json.dumps({"flavors": {"transformers": {"code": None}}, "model_size_bytes": 9}), "utf-8")
    model = RegisteredModel(
        name="churn",
        description="who leaves",
        tags={"team": "growth"},
        aliases={"champion": 1},
        versions=(
            ModelVersion(number=1, stage="Production", source=made.as_uri(), run="r1", tags={"License": "MIT", "state": "approved"}),
            ModelVersion(number=4, source="s3://bucket/4", status="READY"),
        ),
    )
    (tmp_path / "house").mkdir()
    async with rig(tmp_path / "house", f'weights = "{store}"\n') as house:
        told = await adopt(house, model, into=store)
        assert [(one.what, one.became) for one in told] == [("churn 1", "adopted"), ("churn 4", "adopted")]
        assert "put its weights (s3://bucket/4) below registry.weights" in told[1].why
        (held,) = (await house.house.ask("GET", "/v1/registry/models")).json["data"]
        two, one = (await house.house.ask("GET", f"/v1/registry/models/{held['id']}")).json["versions"]
        assert (one["state"], two["state"], one["approvals"]) == ("draft", "draft", [])
        assert (one["facts"]["origin"], two["facts"]["origin"], one["facts"]["licence"]) == ("trained", "file", "MIT")
        notes = one["facts"]["notes"]
        assert (notes["mlflow.stage"], notes["mlflow.aliases"], notes["tag.team"], notes["mlflow.origin"]) == (
            "Production", "champion", "growth", "mlflow test",
        )  # fmt: skip
        assert (notes["mlflow.flavors"], notes["mlflow.model_size_bytes"]) == ("transformers", "9")
        scanned = await house.step(one["id"], "scan")
        assert (scanned.json["state"], scanned.json["digest"] != "") == ("scanned", True), (
            "what was copied is scanned like all other weights"
        )
        unscanned = await house.step(two["id"], "scan")
        assert (unscanned.status, "path" in unscanned.json["error"]["message"]) == (400, True)
        assert [told.became for told in await adopt(house, model, into=store)] == ["there already"] * 2
        page = (await house.house.ask("GET", f"/console/models/{one['id']}")).text
        assert page.count("What other registries said") == 1
        assert "mlflow.stage" in page


async def test_prompts_arrive_and_production_is_left_to_somebody(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        told = {one.what: one for one in await adopt(house, PROMPT)}
        assert told["prompt greet 2"].became == "not adopted"
        assert "must begin {{name}}" in told["prompt greet 2"].why
        assert "somebody may move to production" in told["prompt greet alias production"].why
        assert "prompt greet alias old" not in told, "what it points to did not arrive"
        found = (await house.house.ask("GET", "/v1/prompts/greet")).json
        assert found["prompt"]["labels"] == {"mlflow-production": 2, "team": 1}
        chat, text = found["versions"]
        assert (text["kind"], text["variables"], text["note"]) == ("text", {"name": {}}, "from mlflow test, version 1: first")
        assert [message["role"] for message in chat["messages"]] == ["system", "user"]
        again = {one.what: one.became for one in await adopt(house, PROMPT)}
        assert set(again.values()) == {"there already", "not adopted"}
        assert (await house.house.ask("GET", "/v1/prompts/greet")).json["prompt"]["newest"] == 2


async def test_one_that_cannot_be_taken_does_not_keep_the_others_out(tmp_path: Path) -> None:
    async with rig(tmp_path) as house:
        bad = RegisteredModel(name="bad name!", tags={IS_PROMPT: "true"}, versions=(ModelVersion(number=1, tags={PROMPT_TEXT: "x"}),))
        told = await adopt(house, bad, RegisteredModel(name="good", versions=(ModelVersion(number=1, source="s3://x"),)))
        assert [one.became for one in told] == ["not adopted", "adopted"]


@pytest.mark.parametrize(
    "tags", [{}, {PROMPT_TEXT: "[", PROMPT_TYPE: "chat"}, {PROMPT_TEXT: '[{"role":"tool","content":"x"}]', PROMPT_TYPE: "chat"}]
)
def test_what_is_no_prompt(tags: dict[str, str]) -> None:
    with pytest.raises(RequestError):
        content_of(ModelVersion(number=1, tags=tags))


def test_only_folders_of_this_machine_are_local(tmp_path: Path) -> None:
    assert local(str(tmp_path)) == tmp_path
    assert local(tmp_path.as_uri()) == tmp_path
    sources: list[Any] = ["s3://bucket/x", "models:/m/1", "relative", f"file://elsewhere{tmp_path}", "", str(tmp_path / "missing")]
    assert [local(source) for source in sources] == [None] * len(sources)

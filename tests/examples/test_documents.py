"""The agents that README.md and the docs show, run as they stand there."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from pathlib import Path

import pytest
from examples.stand_in import Call, Conversation, Said, app
from tests.examples.stage import QUICK, begun, over, serving, until
from tests.house import open_house

from penstock.agents.definition import startables_in

ROOT = Path(__file__).parents[2]
PROVIDER = """
[gateway]
discover = false
local_embeddings = false

[gateway.providers.up]
profile = "openai-compatible"
models = ["gpt-4o-mini"]
"""


def blocks(page: str, language: str = "python") -> dict[str, str]:
    """The code of a page by the file that its first line names."""
    return dict(re.findall(rf"```{language}\n# (\S+)\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL))


def clerk(said: Conversation) -> Said:
    """What a model does with the agent of README.md."""
    if not (found := said.results("stock")):
        return Call("stock", {"article": "lamp"})
    if found[0] < 5 and not said.results("order"):
        return Call("order", {"article": "lamp", "pieces": 5 - found[0]})
    return str(said.results("order")[0])


@pytest.mark.timeout(120)
async def test_the_agent_of_the_readme_runs_as_it_stands_there(own_folder: Path) -> None:
    (own_folder / "clerk.py").write_text(blocks("README.md")["clerk.py"], "utf-8")
    settings = blocks("README.md", "toml")["penstock.toml"]
    assert tomllib.loads(settings) == {"agents": {"modules": ["clerk"]}}
    async with (
        serving(app({"gpt-4o-mini": clerk})) as model,
        open_house(own_folder, f'{settings}{PROVIDER}base_url = "{model}/v1"\n{QUICK}') as house,
    ):
        run = await begun(house, "clerk", "How are we on lamps?")
        waiting = await until(house, f"/v1/inbox/requests?run={run}", lambda found: found["data"])
        request = waiting["data"][0]["request"]
        assert request["proposal"]["arguments"] == {"article": "lamp", "pieces": 4}
        pia = (await house.made("/v1/people", {"name": "Pia"}))["id"]
        boss, _ = await house.key(name="boss", scopes=["admin"], person=pia)
        path = f"/v1/inbox/requests/{request['id']}/approve"
        agreed = await house.ask("POST", path, {"digest": request["digest"]}, key=boss)
        assert agreed.status == 200, agreed.text
        ended = await over(house, run)
        assert (ended["state"], ended["output"]) == ("done", "4 of lamp are on their way")


def test_the_agent_of_the_readme_has_the_lines_that_it_says() -> None:
    code = blocks("README.md")["clerk.py"]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize(
    ("page", "file", "agents"), [("docs/toolbox.md", "acme/desk.py", ["desk"]), ("docs/memory.md", "acme/agents.py", ["desk"])]
)
def test_the_agents_of_the_docs_are_declared_as_they_stand_there(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch, page: str, file: str, agents: list[str]
) -> None:
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{own_folder}/shop.db")
    (own_folder / "reports").mkdir()
    (own_folder / "acme").mkdir()
    (own_folder / file).write_text(blocks(page)[file], "utf-8")
    sys.path.append(str(own_folder))
    found = startables_in(importlib.import_module(file.removesuffix(".py").replace("/", ".")))
    assert [one.name for one in found] == agents
